//go:build unix && !linux

package run

import (
	"errors"
	"syscall"
	"time"
)

// process stands for a whole group, because this system has no /proc to list its members.
type process struct {
	id, group int
	start     uint64
}

// awaitExit waits until the child has exited. Without waitid(2), the only indication is that its group can no longer
// be signalled.
func awaitExit(child int) {
	for syscall.Kill(-child, 0) == nil {
		time.Sleep(pollInterval)
	}
}

// newGroup returns the group of a leader that was just started.
func newGroup(leader int) Group { return Group{ID: leader} }

// bootID is unknown on this system, so ClearOrphans never signals a process.
func bootID() string { return "" }

// members returns one entry for the whole group while the group can be signalled.
func (g Group) members() []process {
	if syscall.Kill(-g.ID, 0) != nil {
		return nil
	}
	return []process{{id: g.ID, group: g.ID}}
}

func readProcess(int) (process, error) { return process{}, errors.ErrUnsupported }

func (process) arguments() []string { return nil }

func ownUnit() string { return "" }

func (process) carries(string) bool { return false }

// busy is false: the state of a process is unknown on this system.
func (process) busy() bool { return false }

// exitedChildren returns nothing: only on Linux is an agent process 1 of a container.
func exitedChildren() []int { return nil }
