package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// fleeting is the policy that cleans machines up after fleetingAfter, unless more than fleetingShare percent are
// absent.
const (
	fleeting      = "fleeting"
	fleetingAfter = 10 * time.Minute
	fleetingShare = 50
)

// watch is the state of the spans that servers have watched.
type watch struct {
	last   domain.ID
	at     eventlog.Position
	starts map[domain.ID]eventlog.Position
	// moved is the position of the last change to the set of machines or their environments by a person or an agent.
	moved eventlog.Position
}

// applyPassed adds a watched span to the absence of the machines that were offline during all of it. A span that
// overlaps another one does not count.
func (l *ledger) applyPassed(rec eventlog.Recorded, e domain.WatchPassed) {
	since := l.watch.starts[e.Since]
	if e.Since == l.watch.last {
		since = l.watch.at
	} else if since <= l.watch.at {
		return
	}
	l.watch.last, l.watch.at = domain.ID(rec.ID), rec.Position
	for _, h := range l.machines {
		if h.Online || h.away == 0 || h.away >= since {
			continue
		}
		if h.unknown {
			h.unheard += time.Duration(e.Span)
			h.unknown = h.unheard < cmp.Or(l.graces[h.Policy], time.Duration(domain.DefaultOfflineAfter))
			continue
		}
		if h.absence += time.Duration(e.Span); h.absentAt == 0 && h.absence >= fleetingAfter {
			h.absentAt = rec.Position
		}
	}
}

// applyAway updates the absence of a machine that came online, or went offline for a reason.
func (l *ledger) applyAway(h *machineState, before machineFacts, reason string) {
	if h.Connect != before.Connect {
		h.absence, h.absentAt, h.serverGone, h.unknown = 0, 0, false, false
	}
	if before.Online && !h.Online {
		h.serverGone = reason == "server-gone"
		h.unknown, h.unheard = h.serverGone, 0
		h.away, h.watchedAt, h.busy = l.at, l.cluster.watched, h.running != nil
	}
}

// checkCleanUp checks the deletion of a machine because of its absence.
func (l *ledger) checkCleanUp(h *machineState, fact domain.Event) {
	if e, ok := fact.(domain.MachineDeleted); !ok || e.Reason != "clean-up" {
		l.watch.moved = l.at
		return
	}
	violate := l.cluster.violate
	switch watched := l.cluster.watched - h.watchedAt; {
	case h.Online:
		violate("law 24: only machines without contact are cleaned up", "%s was cleaned up while online and %s",
			h.Name, h.Health)
	case h.away == 0 || watched < fleetingAfter:
		violate("law 22: absence counts only while servers watched it", "%s was cleaned up after %s of watched absence",
			h.Name, watched)
	case h.unknown:
		violate("law 22: a machine whose server was gone is unknown and not absent", "%s was cleaned up", h.Name)
	case h.absence < fleetingAfter:
		violate("law 22: spans never overlap, and two absences do not add up",
			"%s was cleaned up after an absence of %s", h.Name, h.absence)
	}
	from := l.origin.from
	if l.watch.moved > from {
		return // its writer may have counted other machines
	}
	absent, total := 0, 0
	for _, o := range l.machines {
		if o.Environment != h.Environment {
			continue
		}
		if total++; o.absentAt > 0 && o.absentAt <= from || o.unknown && !o.Online && o.away <= from {
			absent++
		}
	}
	if absent > max(1, total*fleetingShare/100) {
		violate("law 23: more absent machines than the policy's share are an outage",
			"%s was cleaned up with %d of %d absent", h.Name, absent, total)
	}
}

// checkAbsence brings all machines online and then disconnects n of them permanently and at once. In an environment in
// which at most the policy's share is absent, they must be cleaned up; otherwise none must be.
func (p *cluster) checkAbsence(n int) {
	p.repairServers()
	p.bringOnline()
	for range 4 {
		p.advance(0)
	}
	var gone []string
	for _, name := range p.names {
		if a, m := p.agent(name), p.audit.Machines[name]; m != nil && m.Online && m.Session == a.session &&
			a.reachable() && len(gone) < n {
			a.log("silent")
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
	for turn := 0; time.Duration(turn)*healStep < 2*fleetingAfter && p.violation == nil; turn++ {
		p.advance(turn)
	}
	for _, name := range gone {
		environment, there := where[name], p.audit.Machines[name] != nil
		outage := absent[environment] > max(1, total[environment]*fleetingShare/100)
		switch {
		case outage && !there:
			p.violate("law 23: more absent machines than the policy's share are an outage",
				"%s was cleaned up, one of %d absent of %d", name, absent[environment], total[environment])
		case !outage && there:
			p.violate("long absent machines are cleaned up", "%s still exists, one of %d absent of %d", name,
				absent[environment], total[environment])
		}
	}
}
