package access

import (
	"net"
	"sync"
	"time"

	"github.com/droverhq/drover/doctor"
)

// refusals records refused callers for `drover doctor`. It does not affect the admission of callers.
type refusals struct {
	mu sync.Mutex // guards by
	by map[refusedKey]*doctor.Refused
}

type refusedKey struct{ address, machine string }

const (
	// maxRefusals limits the memory. When it is reached, all records are dropped.
	maxRefusals = 1000
	// refusalMaxAge is how long a refusal is reported if it is not repeated.
	refusalMaxAge = 15 * time.Minute
)

// RecordRefusal records that an agent at an address was refused, also in the access log. machine is the name that it
// sent; it may be empty. RecordRefusal stores the texts unchanged, so callers must limit the length of untrusted input.
func (a *Access) RecordRefusal(remote, machine, reason string) {
	a.recordRefusal(remote, machine, reason)
	a.audit.denied[AgentRefused].Add(1)
	a.Record(Caller{Remote: remote}, Entry{Kind: Denied, Machine: machine, Route: "GET /api/v1/agent",
		Reason: AgentRefused, Detail: reason})
}

func (a *Access) recordRefusal(remote, machine, reason string) {
	a.refusals.record(remote, machine, reason, a.clock.Now())
}

// ClearRefusals removes the refusals of a machine's agent. It is called when the agent has connected.
func (a *Access) ClearRefusals(machine string) { a.refusals.clear(machine) }

// Refusals lists the recent refusals. Addresses are included only for admins.
func (a *Access) Refusals(admin bool) []doctor.Refused {
	list := a.refusals.list(a.clock.Now())
	for i := range list {
		if !admin {
			list[i].Address = ""
		}
	}
	return list
}

// record counts a refusal. machine is empty unless an agent was refused.
func (r *refusals) record(remote, machine, reason string, now time.Time) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil || len(r.by) >= maxRefusals {
		r.by = map[refusedKey]*doctor.Refused{}
	}
	key := refusedKey{host, machine}
	seen := r.by[key]
	if seen == nil || now.Sub(seen.Last) > refusalMaxAge {
		seen = &doctor.Refused{Address: host, Machine: key.machine}
		r.by[key] = seen
	}
	seen.Times++
	seen.Last, seen.Reason = now, reason
}

// clear removes the refusals of a machine's agent.
func (r *refusals) clear(machine string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.by {
		if key.machine == machine {
			delete(r.by, key)
		}
	}
}

func (r *refusals) list(now time.Time) (list []doctor.Refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seen := range r.by {
		if now.Sub(seen.Last) <= refusalMaxAge {
			list = append(list, *seen)
		}
	}
	return list
}
