package sim

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// damaged contains an event that cannot be folded for each kind of stream.
var damaged = map[string]eventlog.Event{
	domain.MachineStreams: {Type: "machine.changed/v1", Data: []byte(`{"environment":7}`)},
	domain.ProjectStreams: {Type: "project.defined/v1", Data: []byte(`{"settings":7}`)},
	domain.ReleaseStreams: {Type: "release.created/v1", Data: []byte(`{"version":7}`)},
	domain.PartStreams:    {Type: "part.claimed/v1", Data: []byte(`{"project":7}`)},
	domain.WatchStream:    {Type: "watch.passed/v1", Data: []byte(`{"since":7}`)},
}

// damage appends an event that cannot be folded. Only its stream must be set aside.
func (p *cluster) damage(st step) {
	stream := p.victim(st)
	revision := p.audit.Revision(stream)
	if revision == eventlog.NoStream {
		return
	}
	kind, _ := domain.SplitStream(stream)
	event := damaged[kind]
	event.ID, event.Time = uuid.UUID(p.id("damage", stream)), p.servers[0].Now()
	if _, err := p.log.Append(p.ctx, stream, revision, event); err != nil {
		p.violate("the simulation itself", "damage %s: %v", stream, err)
	}
	p.transcript.damage(p.now, p.serving(0), stream, event)
}

// victim selects a stream, mostly that of a machine.
func (p *cluster) victim(st step) string {
	switch busy := p.busy(); {
	case st.a%4 == 0 && len(busy) > 0:
		a := busy[st.b%len(busy)]
		return domain.PartStream(a.running.deployment, a.machine)
	case st.a%6 == 0:
		return domain.ProjectStream(projects[st.b%len(projects)])
	case st.a%7 == 0:
		return domain.WatchStream
	case st.a%11 == 0:
		if a := p.ledger.projects[projects[st.b%len(projects)]]; a != nil {
			return domain.ReleaseStream(a.name, a.incarnation, "1.0")
		}
	}
	return domain.MachineStream(p.machine(st.b))
}

// clear clears a stream that is set aside.
func (p *cluster) clear(st step) {
	if aside := slices.Sorted(maps.Keys(p.audit.Aside)); len(aside) > 0 {
		stream := aside[st.b%len(aside)]
		p.do(p.serving(st.a), domain.ClearStream{Name: stream, Origin: domain.By(by)}, "log clear",
			p.transcript.stream(stream))
	}
}

// maxRepairs bounds the number of clear commands at the end of a run.
const maxRepairs = 500

// clearStreams clears every stream, as often as it was damaged.
func (p *cluster) clearStreams() {
	for range maxRepairs {
		if len(p.audit.Aside) == 0 || p.violation != nil {
			return
		}
		p.clear(step{})
		p.check()
	}
	p.violate("law 18: a person can clear every stream", "after %d commands %d streams are still set aside",
		maxRepairs, len(p.audit.Aside))
}

// checkFolded checks that exactly the damaged events are left out of the fold, and that drover does not write to a stream
// that is set aside. Commands that clear a stream are folded even there.
func (p *cluster) checkFolded(rec eventlog.Recorded, folded bool) {
	if _, err := domain.Decode(rec.Type, rec.Data); (err == nil) != folded {
		p.violate("law 18: only a stream with a damaged event is set aside, and drover writes nothing to it",
			"#%s %s in %s: folded %v, decoded with %v; set aside: %+v", rec.Position, rec.Type, rec.Stream, folded, err,
			p.audit.Aside[rec.Stream])
	}
}

// applyWatch records a watched span, or the command to clear a stream of one damaged event.
func (l *ledger) applyWatch(rec eventlog.Recorded, fact domain.Event) {
	if passed, ok := fact.(domain.WatchPassed); ok {
		l.applyPassed(rec, passed)
	}
	e, ok := fact.(domain.StreamCleared)
	if !ok {
		return
	}
	if l.aside[e.Stream]--; l.aside[e.Stream] <= 0 {
		delete(l.aside, e.Stream)
	}
}

// checkAside checks that exactly the streams with damaged events are set aside.
func (p *cluster) checkAside() {
	for stream := range p.ledger.aside {
		if !p.audit.SetAside(stream) {
			p.violate("law 18: an event that cannot be folded sets its own stream aside", "%s is not set aside", stream)
		}
	}
	for stream, aside := range p.audit.Aside {
		if p.ledger.aside[stream] == 0 {
			p.violate("law 18: all other streams continue", "%s is set aside: %s", stream, aside.Reason)
		}
	}
}
