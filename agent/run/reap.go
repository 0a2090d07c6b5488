//go:build unix

package run

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// children are the processes that this package has started and not reaped yet.
var children = family{ids: map[int]bool{}}

// family distinguishes the children that this package waits for from the children that it has inherited.
type family struct {
	mu  sync.Mutex // held while a child starts, so that reap cannot see it before its id is in ids
	ids map[int]bool
}

// start starts a command.
func (f *family) start(c *exec.Cmd) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := c.Start()
	if err == nil {
		f.ids[c.Process.Pid] = true
	}
	return err
}

// wait waits for a command that start has started, and reaps it. ProcessState contains its exit.
func (f *family) wait(c *exec.Cmd) {
	_ = c.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ids, c.Process.Pid)
}

// reap reaps the children that have exited and that this package has not started.
func (f *family) reap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range exitedChildren() {
		if !f.ids[id] {
			_, _ = syscall.Wait4(id, nil, syscall.WNOHANG, nil)
		}
	}
}

// ReapOrphans reaps processes that this process has inherited, until stop is called. Process 1 of a container inherits
// each process whose parent has exited, and without a reaper they would remain as zombies. Nothing else in this process
// may start children.
func ReapOrphans() (stop func()) {
	exits, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(exits, syscall.SIGCHLD)
	go func() {
		for {
			children.reap()
			select {
			case <-exits:
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(exits); close(done) }
}
