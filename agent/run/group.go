//go:build unix

package run

import (
	"os"
	"syscall"
	"time"
)

const (
	// killFor bounds the wait for processes that were sent SIGKILL.
	killFor = 2 * time.Second
	// lookEvery is how often it is looked whether processes are gone.
	lookEvery = 10 * time.Millisecond
)

// Group names the processes of one script so that they can be found again, also by a later
// run of the agent: the id alone may be another's by then.
type Group struct {
	// ID is the process id of the leader and the id of its group and session.
	ID int `json:"id"`
	// Start is when the leader started, in the kernel's ticks since the boot; 0: not known.
	Start uint64 `json:"start,omitempty"`
	// Boot names the boot of the machine; empty: not known.
	Boot string `json:"boot,omitempty"`
}

// clear ends what runs of a group whose leader this process has not reaped: SIGTERM, up to
// grace for it to go, SIGKILL. It returns how many there were and how many are still there.
func (g Group) clear(grace time.Duration) (left, stuck int) {
	defer syscall.Kill(-g.ID, syscall.SIGKILL) // also where members cannot be listed
	return endAll(grace, g.members, func(signal syscall.Signal, members []process) {
		_ = syscall.Kill(-g.ID, signal)
		for _, m := range members {
			if m.group != g.ID {
				_ = syscall.Kill(m.id, signal)
			}
		}
	})
}

// ClearOrphans ends what runs of a group that an earlier run of the agent started for
// deployment, as far as it is surely that: the leader with its recorded start is there, or
// a process of the group carries the deployment's mark in its environment.
func (g Group) ClearOrphans(deployment string, grace time.Duration) (left, stuck int) {
	if g.ID <= 1 || g.Start == 0 || g.Boot == "" || g.Boot != bootID() {
		return 0, 0
	}
	orphans := func() []process { return g.orphans(mark(deployment)) }
	return endAll(grace, orphans, func(signal syscall.Signal, members []process) {
		for _, m := range members {
			m.signal(signal)
		}
	})
}

// orphans are the members of the group that are surely its own.
func (g Group) orphans(mark string) (sure []process) {
	leader, err := readProcess(g.ID)
	led := err == nil && leader.start == g.Start
	for _, m := range g.members() {
		if led || m.start >= g.Start && m.carries(mark) {
			sure = append(sure, m)
		}
	}
	return sure
}

// signal signals the process unless its id became another's.
func (p process) signal(signal syscall.Signal) {
	handle, err := os.FindProcess(p.id) // from here on the handle means one process only
	if err != nil {
		return
	}
	defer handle.Release()
	if now, err := readProcess(p.id); err == nil && now.start == p.start {
		_ = handle.Signal(signal)
	}
}

// endAll signals the members until there are none.
func endAll(grace time.Duration, members func() []process, signal func(syscall.Signal, []process)) (left, stuck int) {
	now := members()
	left = len(now)
	for _, round := range []struct {
		signal syscall.Signal
		wait   time.Duration
		again  bool // new members get the signal too
	}{{syscall.SIGTERM, grace, false}, {syscall.SIGKILL, killFor, true}} {
		if len(now) == 0 || round.wait <= 0 {
			continue
		}
		signal(round.signal, now)
		for until := time.Now().Add(round.wait); len(now) > 0 && time.Now().Before(until); now = members() {
			time.Sleep(lookEvery)
			if round.again {
				signal(round.signal, now)
			}
		}
	}
	return left, len(now)
}
