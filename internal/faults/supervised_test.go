package faults

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// supervised is a process that is restarted whenever it ends, as by a service manager.
type supervised struct {
	t    testing.TB
	host *harness.Host
	spec harness.Spec

	mu     sync.Mutex
	extra  []string // environment of the next start only
	wanted bool
	newest *harness.Process // nil before the first start
	starts int
	since  time.Time // the last start
}

// restartAfter is the time between the end of a process and its next start.
const restartAfter = 200 * time.Millisecond

func supervise(t testing.TB, host *harness.Host, spec harness.Spec) *supervised {
	p := &supervised{t: t, host: host, spec: spec}
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	return p
}

// start starts the process, and restarts it whenever it ends.
func (p *supervised) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		return
	}
	p.wanted = true
	p.launch()
}

// launch starts the process once. The caller holds mu.
func (p *supervised) launch() {
	spec := p.spec
	spec.Env = append(spec.Env[:len(spec.Env):len(spec.Env)], p.extra...)
	started, err := p.host.Start(spec)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.newest, p.extra = started, nil
	p.starts, p.since = p.starts+1, time.Now()
	go p.restart(started)
}

// restart waits for the end of a process and starts the next one if it is still wanted.
func (p *supervised) restart(before *harness.Process) {
	<-before.Ended()
	time.Sleep(restartAfter)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.newest == before {
		p.launch()
	}
}

// signal sends a signal to the process if it is running.
func (p *supervised) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.newest != nil {
		p.newest.Signal(s)
	}
}

// with kills the process; its next start has additional environment variables.
func (p *supervised) with(env ...string) {
	p.mu.Lock()
	p.extra = env
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
}

// started returns how often the process was started.
func (p *supervised) started() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// runningSince returns since when the process has been running. It returns false while it is not.
func (p *supervised) runningSince() (since time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since, p.newest != nil && p.newest.Running()
}

// stopped reports whether the process was suspended by a signal. It is false on systems without /proc.
func (p *supervised) stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.newest == nil || !p.newest.Running() {
		return false
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.newest.PID()))
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(state, []byte("T"))
}

// stop ends the process with a signal and does not restart it. It returns when the process has ended.
func (p *supervised) stop(s syscall.Signal) {
	p.mu.Lock()
	p.wanted = false
	newest := p.newest
	p.mu.Unlock()
	if newest == nil {
		return
	}
	newest.End(s)
	select {
	case <-newest.Ended():
	case <-time.After(harnesstest.Grace):
		p.t.Errorf("%s did not end after %s", newest, s)
		newest.Kill()
	}
}
