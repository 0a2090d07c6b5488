//go:build unix && !linux

package run

import (
	"errors"
	"syscall"
	"time"
)

// process is a whole group where there is no /proc to look into.
type process struct {
	id, group int
	start     uint64
}

// awaitExit returns when the child is gone or waits to be reaped. Without waitid(2) the only
// sign is that its group cannot be signalled any more.
func awaitExit(child int) {
	for syscall.Kill(-child, 0) == nil {
		time.Sleep(lookEvery)
	}
}

// newGroup names the group of a leader that was just started.
func newGroup(leader int) Group { return Group{ID: leader} }

// bootID is not known, so no orphan is ever surely ours.
func bootID() string { return "" }

// members says whether anything can be signalled in the group.
func (g Group) members() []process {
	if syscall.Kill(-g.ID, 0) != nil {
		return nil
	}
	return []process{{id: g.ID, group: g.ID}}
}

func readProcess(int) (process, error) { return process{}, errors.ErrUnsupported }

func (process) carries(string) bool { return false }
