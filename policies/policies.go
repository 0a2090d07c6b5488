package policies

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// LeaseStale is how long a server's lease may stay unchanged before other servers consider the server gone.
const LeaseStale = 10 * time.Second

// Expired lifts the pins and holds whose deadline is not after now, the time of a clock that is confirmed (package
// clocks). The fold treats a pin or hold as active until the event.
func Expired(v *projections.View, now time.Time) []domain.Decision {
	var past []projections.Deadline
	for d := range v.Deadlines() {
		if !now.Before(d.Until) {
			past = append(past, d)
		}
	}
	slices.SortFunc(past, func(a, b projections.Deadline) int { // pins, then holds by machine
		return cmp.Or(cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.Project, b.Project),
			cmp.Compare(a.Environment, b.Environment))
	})
	var all []domain.Decision
	for _, d := range past {
		all = append(all, lift(d))
	}
	return all
}

func lift(d projections.Deadline) domain.Decision {
	if d.Machine == "" {
		return domain.Decision{Kind: "expire-pin", Stream: domain.ProjectStream(d.Project),
			Events: []domain.Event{domain.PinLifted{Environment: d.Environment, Reason: domain.Expired}}}
	}
	return domain.Decision{Kind: "expire-hold", Stream: domain.ProjectStream(d.Project),
		Events: []domain.Event{domain.HoldLifted{Machine: d.Machine, Reason: domain.Expired}}}
}

// Contact is how long a server has heard nothing from a session.
type Contact struct {
	Machine string
	Connect domain.ID // the event that began the session
	Silent  time.Duration
}

// Offline ends the sessions that have been silent for longer than their machine's policy allows.
func Offline(v *projections.View, contacts []Contact) []domain.Decision {
	var all []domain.Decision
	for _, c := range contacts {
		m := v.Machines[c.Machine]
		if m == nil || !m.Online || m.Connect != c.Connect || c.Silent <= time.Duration(v.PolicyOf(m).OfflineAfter) {
			continue
		}
		all = append(all, offline(m, domain.Silent))
	}
	return all
}

func offline(m *projections.Machine, reason string) domain.Decision {
	return domain.Decision{Kind: "went-offline", Stream: domain.MachineStream(m.Name), Causes: []domain.ID{m.Connect},
		Events: []domain.Event{domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance,
			Reason: reason}}}
}

// Orphans ends the sessions of servers that are gone. stale returns for how long the lease of the machine's server has
// been stale, negative while that server is alive. It counts LeaseStale after the last change of the lease, but not
// from before this server was ready or the session began. Orphans calls stale only for sessions of servers for which
// gone returns true.
func Orphans(v *projections.View, self domain.ID, gone func(domain.ID) bool,
	stale func(*projections.Machine) time.Duration) []domain.Decision {
	var orphans []*projections.Machine
	for server, machines := range v.Sessions() {
		if server == self || !gone(server) {
			continue
		}
		for _, m := range machines {
			if stale(m) > time.Duration(v.PolicyOf(m).OfflineAfter) {
				orphans = append(orphans, m)
			}
		}
	}
	var all []domain.Decision
	for _, m := range byName(orphans) {
		all = append(all, offline(m, domain.ServerGone))
	}
	return all
}

// Watch decides that this server has watched for a full span, if a machine with a clean-up policy is offline. age is
// how long this server has run without interruption since it folded a position.
func Watch(v *projections.View, self domain.ID, age projections.Age) []domain.Decision {
	span, server := watchSpan(v), v.Servers[self]
	if span == 0 || server == nil {
		return nil
	}
	since, at := v.Watch.Last, v.Watch.Position
	if server.Started > at {
		since, at = server.Event, server.Started
	}
	if age(at) < span {
		return nil
	}
	return []domain.Decision{{Kind: "watch", Stream: domain.WatchStream, Causes: []domain.ID{since},
		Events: []domain.Event{domain.WatchPassed{Since: since, Span: domain.Duration(span)}}}}
}

// watchSpan returns a tenth of the shortest clean-up time of the offline machines, between 1 and 10 minutes. It returns
// 0 if none of them has a clean-up policy.
func watchSpan(v *projections.View) time.Duration {
	var shortest time.Duration
	for policy := range v.OfflineByPolicy() {
		if cleanUp := policy.CleanUp; cleanUp != nil {
			if after := time.Duration(cleanUp.After); shortest == 0 || after < shortest {
				shortest = after
			}
		}
	}
	if shortest == 0 {
		return 0
	}
	return min(max(shortest/10, time.Minute), 10*time.Minute)
}

// CleanUp deletes the machines that were absent, while watched, for as long as their policy requires. If more than the
// policy's share of their environment is that absent at once, it records MachineCleanUpHeld instead, once per absence.
// Every absent machine of the environment counts, also under other policies (law 23).
func CleanUp(v *projections.View) []domain.Decision {
	var all []domain.Decision
	away := map[absence]int{}
	for _, m := range absent(v) {
		if v.DoubtOf(m) != nil { // a person decides about it
			continue
		}
		policy := v.PolicyOf(m).CleanUp
		key := absence{m.Environment, time.Duration(policy.After)}
		if away[key] == 0 {
			away[key] = countAbsent(v, key)
		}
		here, of := away[key], len(v.MachinesIn(m.Environment))
		var e domain.Event = domain.MachineDeleted{Reason: domain.CleanUpReason}
		if here > max(1, of*policy.MaxShare/100) {
			if m.CleanUpHeld {
				continue
			}
			e = domain.MachineCleanUpHeld{Absent: here, Machines: of}
		}
		all = append(all, domain.Decision{Kind: "clean-up", Stream: domain.MachineStream(m.Name),
			Events: []domain.Event{e}, Causes: []domain.ID{m.Connect}})
	}
	return all
}

// absence selects the machines of an environment that were absent for at least after.
type absence struct {
	environment string
	after       time.Duration
}

// countAbsent counts the machines of an environment that were absent, while watched, for at least as long. A machine
// whose server was gone counts too, as long as it is unknown: it is evidence of an outage, whatever it turns out to be.
func countAbsent(v *projections.View, a absence) int {
	count := 0
	for _, away := range v.OfflineByPolicy() {
		for _, m := range away {
			if m.Environment == a.environment && (m.Unknown || m.Absence >= a.after) {
				count++
			}
		}
	}
	return count
}

// absent returns the machines that were absent, while watched, for as long as their policy requires, by name.
func absent(v *projections.View) []*projections.Machine {
	var found []*projections.Machine
	for policy, away := range v.OfflineByPolicy() {
		if policy.CleanUp == nil {
			continue
		}
		for _, m := range away {
			if m.Absence >= time.Duration(policy.CleanUp.After) {
				found = append(found, m)
			}
		}
	}
	return byName(found)
}

func byName(machines []*projections.Machine) []*projections.Machine {
	slices.SortFunc(machines, func(a, b *projections.Machine) int { return strings.Compare(a.Name, b.Name) })
	return machines
}
