package sim

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// fleeting is the policy whose machines are cleaned up: after fleetingAfter, unless more than fleetingShare percent are absent.
const (
	fleeting      = "fleeting"
	fleetingAfter = 10 * time.Minute
	fleetingShare = 50
)

// watch is what the ledger knows of the spans that servers have watched.
type watch struct {
	last   domain.ID
	at     eventlog.Position
	starts map[domain.ID]eventlog.Position
	// moved is where a person or an agent last changed which machines there are and where.
	moved eventlog.Position
}

// notePassed adds a span that was watched to the absence of those who were offline in all of it. One that overlaps with another
// counts for nothing.
func (l *ledger) notePassed(rec eventlog.Recorded, e domain.WatchPassed) {
	since := l.watch.starts[e.Since]
	if e.Since == l.watch.last {
		since = l.watch.at
	} else if since <= l.watch.at {
		return
	}
	l.watch.last, l.watch.at = domain.ID(rec.ID), rec.Position
	for _, h := range l.hosts {
		if h.Online || h.away == 0 || h.away >= since {
			continue
		}
		if h.absence += time.Duration(e.Span); h.absentAt == 0 && h.absence >= fleetingAfter {
			h.absentAt = rec.Position
		}
	}
}

// noteAway takes note of a machine that goes or comes.
func (l *ledger) noteAway(h *host, before domain.Machine) {
	if h.Connect != before.Connect {
		h.absence, h.absentAt = 0, 0
	}
	if before.Online && !h.Online {
		h.away, h.watchedAt, h.busy = l.at, l.plant.watched, h.running != nil
	}
}

// checkCleanUp looks at a machine that was deleted for its absence.
func (l *ledger) checkCleanUp(h *host, fact domain.Event) {
	if e, ok := fact.(domain.MachineDeleted); !ok || e.Reason != "clean-up" {
		l.watch.moved = l.at
		return
	}
	breaks := l.plant.breaks
	switch watched := l.plant.watched - h.watchedAt; {
	case h.Online:
		breaks("law 24: only who is out of contact is cleaned up", "%s was, which is online and %s", h.Name, h.Health)
	case h.away == 0 || watched < fleetingAfter:
		breaks("law 22: absence counts only as far as servers watched it", "%s was cleaned up after %s that anybody watched", h.Name, watched)
	case h.absence < fleetingAfter:
		breaks("law 22: spans never overlap, and two absences do not add up", "%s was cleaned up after %s", h.Name, h.absence)
	}
	from := l.origin.from
	if l.watch.moved > from {
		return // its writer may have counted others
	}
	absent, total := 0, 0
	for _, o := range l.hosts {
		if o.Environment != h.Environment {
			continue
		}
		if total++; o.absentAt > 0 && o.absentAt <= from && o.Policy == fleeting {
			absent++
		}
	}
	if absent > max(1, total*fleetingShare/100) {
		breaks("law 23: more than the policy's share absent at once is an outage", "%s was cleaned up with %d of %d absent", h.Name, absent, total)
	}
}

// desert brings every machine online and cuts some of them off for good, n of them at once. Where those are no more than the
// policy's share they are cleaned up, else none is.
func (p *plant) desert(n int) {
	p.mend()
	p.gather()
	for range 4 {
		p.turn(0)
	}
	var gone []string
	for _, name := range p.names {
		if a, m := p.agent(name), p.audit.Machines[name]; m != nil && m.Online && m.Session == a.session && a.talks() && len(gone) < n {
			a.say("silent")
			a.silent = true
			gone = append(gone, name)
		}
	}
	absent, total := map[string]int{}, map[string]int{}
	for _, m := range p.audit.Machines {
		total[m.Environment]++
		if slices.Contains(gone, m.Name) {
			absent[m.Environment]++
		}
	}
	where := map[string]string{}
	for _, name := range gone {
		where[name] = p.audit.Machines[name].Environment
	}
	for turn := 0; time.Duration(turn)*healStep < 2*fleetingAfter && p.broken == nil; turn++ {
		p.turn(turn)
	}
	for _, name := range gone {
		environment, there := where[name], p.audit.Machines[name] != nil
		outage := absent[environment] > max(1, total[environment]*fleetingShare/100)
		switch {
		case outage && !there:
			p.breaks("law 23: more than the policy's share absent at once is an outage", "%s was cleaned up, one of %d of %d", name, absent[environment], total[environment])
		case !outage && there:
			p.breaks("who is absent for long is cleaned up", "%s is still there, one of %d of %d", name, absent[environment], total[environment])
		}
	}
}
