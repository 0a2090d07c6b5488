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

// supervised is a process that is started again however it ends, as by a service manager.
type supervised struct {
	t    testing.TB
	host *harness.Host
	spec harness.Spec

	mu     sync.Mutex
	extra  []string // environment of the next start alone
	wanted bool
	newest *harness.Process // nil before the first start
	starts int
}

// restartAfter is how long a process that ended stays down.
const restartAfter = 200 * time.Millisecond

func supervise(t testing.TB, host *harness.Host, spec harness.Spec) *supervised {
	p := &supervised{t: t, host: host, spec: spec}
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	return p
}

// start starts the process, and again whenever it ends.
func (p *supervised) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		return
	}
	p.wanted = true
	p.launch()
}

// launch starts it once. The caller holds mu.
func (p *supervised) launch() {
	spec := p.spec
	spec.Env = append(spec.Env[:len(spec.Env):len(spec.Env)], p.extra...)
	started, err := p.host.Start(spec)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.newest, p.extra = started, nil
	p.starts++
	go p.restart(started)
}

// restart waits for the end of a process, and starts the next if one is wanted.
func (p *supervised) restart(before *harness.Process) {
	<-before.Ended()
	time.Sleep(restartAfter)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.newest == before {
		p.launch()
	}
}

// signal sends a signal to the process if it runs.
func (p *supervised) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.newest != nil {
		p.newest.Signal(s)
	}
}

// with ends the process by kill -9; its next start has more in its environment.
func (p *supervised) with(env ...string) {
	p.mu.Lock()
	p.extra = env
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
}

// started counts how often it was started.
func (p *supervised) started() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// stopped reports whether the process stands still by a signal, where the system tells.
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

// stop ends the process with a signal and starts it no more; it returns once it has ended.
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
		p.t.Errorf("%s did not end by %s", newest, s)
		newest.Kill()
	}
}
