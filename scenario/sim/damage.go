package sim

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// damaged are events of each kind of stream that no drover can fold.
var damaged = map[string]eventlog.Event{
	domain.MachineStreams: {Type: "machine.changed/v1", Data: []byte(`{"environment":7}`)},
	domain.ProjectStreams: {Type: "project.defined/v1", Data: []byte(`{"settings":7}`)},
	domain.ReleaseStreams: {Type: "release.created/v1", Data: []byte(`{"version":7}`)},
	domain.PartStreams:    {Type: "part.claimed/v1", Data: []byte(`{"project":7}`)},
	domain.WatchStream:    {Type: "watch.passed/v1", Data: []byte(`{"since":7}`)},
}

// damage writes an event that cannot be folded, past all rules: its stream is set aside, and no other.
func (p *plant) damage(st step) {
	stream := p.victim(st)
	revision := p.audit.Revision(stream)
	if revision == eventlog.NoStream {
		return
	}
	kind, _ := domain.SplitStream(stream)
	event := damaged[kind]
	event.ID, event.Time = uuid.UUID(p.id("damage", stream)), p.servers[0].Now()
	if _, err := p.log.Append(p.ctx, stream, revision, event); err != nil {
		p.breaks("the simulation itself", "damage %s: %v", stream, err)
	}
	p.story.damage(p.now, p.serving(0), stream, event)
}

// victim picks a stream: mostly that of a machine, now and then one that more depends on.
func (p *plant) victim(st step) string {
	switch busy := p.busy(); {
	case st.a%4 == 0 && len(busy) > 0:
		a := busy[st.b%len(busy)]
		return domain.PartStream(a.running.deployment, a.machine)
	case st.a%6 == 0:
		return domain.ProjectStream(projects[st.b%len(projects)])
	case st.a%7 == 0:
		return domain.WatchStream
	case st.a%11 == 0:
		if a := p.ledger.apps[projects[st.b%len(projects)]]; a != nil {
			return domain.ReleaseStream(a.name, a.incarnation, "1.0")
		}
	}
	return domain.MachineStream(p.machine(st.b))
}

// clear lets a stream that was set aside go on.
func (p *plant) clear(st step) {
	if aside := slices.Sorted(maps.Keys(p.audit.Aside)); len(aside) > 0 {
		stream := aside[st.b%len(aside)]
		p.do(p.serving(st.a), domain.ClearStream{Name: stream, Origin: domain.By(by)}, "log clear", p.story.stream(stream))
	}
}

// maxRepairs bounds how often all streams of a day are damaged together.
const maxRepairs = 500

// repair clears every stream, as often as it was damaged.
func (p *plant) repair() {
	for range maxRepairs {
		if len(p.audit.Aside) == 0 || p.broken != nil {
			return
		}
		p.clear(step{})
		p.check()
	}
	p.breaks("law 18: a person can let every stream go on", "after %d words %d streams are still set aside", maxRepairs, len(p.audit.Aside))
}

// noteDamage takes note of an event that was not folded. Only what nobody can read is left out, and drover itself
// writes nothing more to a stream that is set aside.
func (l *ledger) noteDamage(rec eventlog.Recorded) {
	if _, err := domain.Decode(rec.Type, rec.Data); err == nil {
		l.plant.breaks("law 18: what cannot be folded is set aside and left alone", "#%s %s was not folded in %s: %+v",
			rec.Position, rec.Type, rec.Stream, l.plant.audit.Aside[rec.Stream])
	}
	l.aside[rec.Stream]++
}

// noteWatch takes note of a span that was watched, or of a stream that a person has cleared of one damaged event.
func (l *ledger) noteWatch(rec eventlog.Recorded, fact domain.Event) {
	if passed, ok := fact.(domain.WatchPassed); ok {
		l.notePassed(rec, passed)
	}
	e, ok := fact.(domain.StreamCleared)
	if !ok {
		return
	}
	if l.aside[e.Stream]--; l.aside[e.Stream] <= 0 {
		delete(l.aside, e.Stream)
	}
}

// checkAside looks whether exactly those streams are set aside that hold what nobody can read.
func (p *plant) checkAside() {
	for stream := range p.ledger.aside {
		if !p.audit.SetAside(stream) {
			p.breaks("law 18: what cannot be folded sets its own stream aside", "%s goes on", stream)
		}
	}
	for stream, aside := range p.audit.Aside {
		if p.ledger.aside[stream] == 0 {
			p.breaks("law 18: all others go on", "%s is set aside: %s", stream, aside.Reason)
		}
	}
}
