//go:build unix

package run

import (
	"context"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// killTimeout bounds the wait for processes that were sent SIGKILL.
	killTimeout = 2 * time.Second
	// pollInterval is the time between two checks of whether processes have exited.
	pollInterval = 10 * time.Millisecond
	// settleQuiet is how long the processes that a script left must be asleep before they count as left running, and
	// settleTimeout is how long they can take for that.
	settleQuiet   = 200 * time.Millisecond
	settleTimeout = 5 * time.Second
)

// Group identifies the processes of one script, so that a later run of the agent can find them again. The id alone is
// not enough, because the system may have reused it.
type Group struct {
	// ID is the process id of the leader and the id of its group and session.
	ID int `json:"id"`
	// Start is when the leader started, in kernel ticks since the boot; 0 if unknown.
	Start uint64 `json:"start,omitempty"`
	// Boot is the id of the machine's boot; empty if unknown.
	Boot string `json:"boot,omitempty"`
}

// clear ends the running processes of a group. This process must not have reaped the group's leader yet. It sends
// SIGTERM, waits up to grace, and then sends SIGKILL. It returns how many processes there were and how many are still
// running.
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

// settle waits until each process that the script left has either left the session or is asleep in it. A process that
// the script started just before its end must get the processor to call setsid, and on a busy machine that takes a while.
// Without settle, it would be chance whether such a process is ended.
func (g Group) settle(ctx context.Context) {
	before, since := g.members(), time.Now()
	for begin := since; len(before) > 0 && time.Since(since) < settleQuiet && time.Since(begin) < settleTimeout; {
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return
		}
		now := g.members()
		if !slices.Equal(now, before) || slices.ContainsFunc(now, process.busy) {
			since = time.Now()
		}
		before = now
	}
}

// ClearOrphans ends the processes of a group that an earlier run of the agent started for deployment. It signals a
// process only if it certainly belongs to the group: either the leader still runs with its recorded start time, or
// the process carries the deployment's mark in its environment.
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

// orphans returns the members of the group that certainly belong to it.
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

// signal signals the process unless its id now belongs to another process.
func (p process) signal(signal syscall.Signal) {
	handle, err := os.FindProcess(p.id) // a handle refers to one process only, even if the id is reused
	if err != nil {
		return
	}
	defer handle.Release()
	if now, err := readProcess(p.id); err == nil && now.start == p.start {
		_ = handle.Signal(signal)
	}
}

// endAll signals the members until none is left.
func endAll(grace time.Duration, members func() []process, signal func(syscall.Signal, []process)) (left, stuck int) {
	now := members()
	left = len(now)
	for _, round := range []struct {
		signal syscall.Signal
		wait   time.Duration
		again  bool // also signal members that appear later
	}{{syscall.SIGTERM, grace, false}, {syscall.SIGKILL, killTimeout, true}} {
		if len(now) == 0 || round.wait <= 0 {
			continue
		}
		signal(round.signal, now)
		for until := time.Now().Add(round.wait); len(now) > 0 && time.Now().Before(until); now = members() {
			time.Sleep(pollInterval)
			if round.again {
				signal(round.signal, now)
			}
		}
	}
	return left, len(now)
}
