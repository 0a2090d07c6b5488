package api

import (
	"net"
	"sync"
	"time"

	"github.com/droverhq/drover/doctor"
)

// refusals remembers who was refused again and again, for `drover doctor`. It is no part of who may come in.
type refusals struct {
	mu sync.Mutex
	by map[refusedKey]*doctor.Refused
}

type refusedKey struct{ address, machine string }

const (
	// refusalsKept bounds the memory; beyond it all begin anew.
	refusalsKept = 1000
	// refusalsFor is how long a refusal that was not followed by another counts.
	refusalsFor = 15 * time.Minute
)

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
	key := refusedKey{host, bounded(machine)}
	seen := r.by[key]
	if seen == nil || now.Sub(seen.Last) > refusalsFor {
		seen = &doctor.Refused{Address: host, Machine: key.machine}
		r.by[key] = seen
	}
	seen.Times++
	seen.Last, seen.Reason = now, bounded(reason)
}

// forgive forgets what an agent was refused for: it is in.
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
