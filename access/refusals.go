package access

import (
	"net"
	"sync"
	"time"

	"github.com/droverhq/drover/doctor"
)

// refusals remembers who was refused again and again, for `drover doctor`. It does not decide who may come in.
type refusals struct {
	mu sync.Mutex // guards by
	by map[refusedKey]*doctor.Refused
}

type refusedKey struct{ address, machine string }

const (
	// refusalsKept bounds the memory; beyond it counting starts over.
	refusalsKept = 1000
	// refusalsFor is how long a refusal that was not followed by another counts.
	refusalsFor = 15 * time.Minute
)

// Refused remembers that a caller at an address was refused. machine is the name that an agent gave, empty for others.
// Both texts are kept as they are: bound what a stranger sent.
func (a *Access) Refused(remote, machine, reason string) {
	a.refusals.note(remote, machine, reason, a.clock.Now())
}

// Forgive forgets the refusals of a machine's agent: it is connected now.
func (a *Access) Forgive(machine string) { a.refusals.forgive(machine) }

// Refusals lists who was refused lately. Only an admin sees the addresses.
func (a *Access) Refusals(admin bool) []doctor.Refused {
	list := a.refusals.list(a.clock.Now())
	for i := range list {
		if !admin {
			list[i].Address = ""
		}
	}
	return list
}

// note counts a refusal. machine is empty where no agent asked.
func (r *refusals) note(remote, machine, reason string, now time.Time) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil || len(r.by) >= refusalsKept {
		r.by = map[refusedKey]*doctor.Refused{}
	}
	key := refusedKey{host, machine}
	seen := r.by[key]
	if seen == nil || now.Sub(seen.Last) > refusalsFor {
		seen = &doctor.Refused{Address: host, Machine: key.machine}
		r.by[key] = seen
	}
	seen.Times++
	seen.Last, seen.Reason = now, reason
}

// forgive forgets the refusals of a machine's agent.
func (r *refusals) forgive(machine string) {
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
		if now.Sub(seen.Last) <= refusalsFor {
			list = append(list, *seen)
		}
	}
	return list
}
