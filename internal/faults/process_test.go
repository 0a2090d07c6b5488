package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a program that is kept running, as a service manager does: however it ends, it is started again.
type process struct {
	t    testing.TB
	path string
	args []string
	env  []string
	log  string // file that it writes to

	mu     sync.Mutex
	extra  []string // environment of the next start alone
	wanted bool
	cmd    *exec.Cmd // nil while it does not run
	ended  chan struct{}
	starts int
}

// restartAfter is how long a process that ended stays down.
const restartAfter = 200 * time.Millisecond

// start starts the process and keeps it running.
func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		return
	}
	p.wanted = true
	p.launch()
}

// launch starts it once. The caller holds mu.
func (p *process) launch() {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Errorf("start %v: %v", p.args, err)
		return
	}
	defer out.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(p.env[:len(p.env):len(p.env)], p.extra...), out, out
	p.extra = nil
	if err := cmd.Start(); err != nil {
		p.t.Errorf("start %v: %v", p.args, err)
		return
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	p.starts++
	go p.mind(cmd, ended)
}

// mind waits for the end of one run, and starts the next if one is wanted.
func (p *process) mind(cmd *exec.Cmd, ended chan struct{}) {
	_ = cmd.Wait()
	p.mu.Lock()
	if p.cmd == cmd {
		p.cmd = nil
	}
	p.mu.Unlock()
	close(ended)
	time.Sleep(restartAfter)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.cmd == nil {
		p.launch()
	}
}

// signal sends a signal to the process if it runs.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// with ends the process by kill -9; its next start has more in its environment.
func (p *process) with(env ...string) {
	p.mu.Lock()
	p.extra = env
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
}

// started counts how often it was started.
func (p *process) started() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// stopped says whether the process stands still by a signal, where the system tells.
func (p *process) stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(state, []byte("T"))
}

// stop ends the process with a signal and starts it no more; it returns once it has ended.
func (p *process) stop(s syscall.Signal) {
	p.mu.Lock()
	p.wanted = false
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(s)
	_ = cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-ended:
	case <-time.After(40 * time.Second):
		p.t.Errorf("%v did not end by %s", p.args, s)
		_ = cmd.Process.Kill()
		<-ended
	}
}

func newProcess(t testing.TB, log, path string, env []string, args ...string) *process {
	p := &process{t: t, path: path, args: args, env: env, log: log}
	t.Cleanup(func() {
		p.stop(syscall.SIGKILL)
		if t.Failed() {
			text, err := os.ReadFile(log)
			require.NoError(t, err)
			t.Logf("%s:\n%s", log, text[max(0, len(text)-3000):])
		}
	})
	return p
}
