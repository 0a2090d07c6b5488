package policies

import (
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// LeaseStale is how long a server's lease may stand unchanged before others call the server gone.
const LeaseStale = 10 * time.Second

// Expired lifts the pins and holds whose wall-clock deadline has passed. A clock that is wrong can only be
// late or early by as much; until the event the fold says pinned or held.
func Expired(v *projections.View, now time.Time) []domain.Decision {
	var all []domain.Decision
	for _, name := range names(v.Projects) {
		p := v.Projects[name]
		stream := domain.ProjectStream(name)
		for _, environment := range names(p.Environments) {
			if pin := p.Environments[environment].Pin; pin != nil && past(pin.Until, now) {
				all = append(all, domain.Decision{Kind: "expire-pin", Stream: stream,
					Events: []domain.Event{domain.PinLifted{Environment: environment, Reason: domain.Expired}}})
			}
		}
	}
	return append(all, expiredHolds(v, now)...)
}

func expiredHolds(v *projections.View, now time.Time) []domain.Decision {
	var all []domain.Decision
	for _, m := range machines(v, func(m *projections.Machine) bool { return len(expiredOn(m, now)) > 0 }) {
		for _, project := range expiredOn(m, now) {
			all = append(all, domain.Decision{Kind: "expire-hold", Stream: domain.ProjectStream(project),
				Events: []domain.Event{domain.HoldLifted{Machine: m.Name, Reason: domain.Expired}}})
		}
	}
	return all
}

// expiredOn are the projects whose hold on the machine is past its deadline, sorted.
func expiredOn(m *projections.Machine, now time.Time) []string {
	var projects []string
	for project, i := range m.Installed {
		if i.Hold != nil && past(i.Hold.Until, now) {
			projects = append(projects, project)
		}
	}
	slices.Sort(projects)
	return projects
}

func past(until *time.Time, now time.Time) bool { return until != nil && !now.Before(*until) }

// Contact is what a server knows of a session: for how long it has heard nothing.
type Contact struct {
	Machine string
	Connect domain.ID // the event that began the session
	Silent  time.Duration
}

// Reasons of MachineWentOffline that a server writes.
const (
	Silent     = "silent"
	ServerGone = "server-gone"
)

// Offline ends the sessions that have been silent for longer than their machine's policy allows.
func Offline(v *projections.View, contacts []Contact) []domain.Decision {
	var all []domain.Decision
	for _, c := range contacts {
		m := v.Machines[c.Machine]
		if m == nil || !m.Online || m.Connect != c.Connect || c.Silent <= time.Duration(v.PolicyOf(m).OfflineAfter) {
			continue
		}
		all = append(all, offline(m, Silent))
	}
	return all
}

func offline(m *projections.Machine, reason string) domain.Decision {
	return domain.Decision{Kind: "went-offline", Stream: domain.MachineStream(m.Name), Causes: []domain.ID{m.Connect},
		Events: []domain.Event{domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance, Reason: reason}}}
}

// Orphans ends the sessions of servers that are gone. stale is how long ago the lease of a session's server was known to
// stand still (LeaseStale after its last change), counted at the earliest from the watcher's own readiness and from
// the session's beginning; negative while the server lives.
func Orphans(v *projections.View, self domain.ID, stale func(*projections.Machine) time.Duration) []domain.Decision {
	var all []domain.Decision
	for _, m := range machines(v, func(m *projections.Machine) bool {
		return m.Online && m.Server != self && stale(m) > time.Duration(v.PolicyOf(m).OfflineAfter)
	}) {
		all = append(all, offline(m, ServerGone))
	}
	return all
}

// Watch says that this server has watched for a span, if a machine under a clean-up policy is offline and
// the span is full. age is how long the server has run without a break since it folded a position.
func Watch(v *projections.View, self domain.ID, age func(eventlog.Position) time.Duration) []domain.Decision {
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

// watchSpan is a tenth of the shortest clean-up time of the offline machines, 1 to 10 minutes; 0 if none is under one.
func watchSpan(v *projections.View) time.Duration {
	var shortest time.Duration
	for _, m := range v.Machines {
		if cleanUp := v.PolicyOf(m).CleanUp; cleanUp != nil && !m.Online && m.Offline > 0 {
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

// CleanUp deletes the machines that were watched being absent for as long as their policy says, unless more
// than its share of their environment is absent so long at once: then it says so, once for each absence.
func CleanUp(v *projections.View) []domain.Decision {
	absent, total := map[string]int{}, map[string]int{}
	due := machines(v, func(m *projections.Machine) bool {
		total[m.Environment]++
		cleanUp := v.PolicyOf(m).CleanUp
		if cleanUp == nil || m.Online || m.Offline == 0 || m.Absence < time.Duration(cleanUp.After) {
			return false
		}
		absent[m.Environment]++
		return true
	})
	var all []domain.Decision
	for _, m := range due {
		here, of := absent[m.Environment], total[m.Environment]
		var e domain.Event = domain.MachineDeleted{Reason: "clean-up"}
		if here > max(1, of*v.PolicyOf(m).CleanUp.MaxShare/100) {
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

// machines are those that keep wants, by name. It asks first and sorts the few that are left.
func machines(v *projections.View, keep func(*projections.Machine) bool) []*projections.Machine {
	var kept []*projections.Machine
	for _, m := range v.Machines {
		if keep(m) {
			kept = append(kept, m)
		}
	}
	slices.SortFunc(kept, func(a, b *projections.Machine) int { return strings.Compare(a.Name, b.Name) })
	return kept
}

func names[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
