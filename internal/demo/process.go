//go:build unix

package demo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// graceful is how long a process that is asked to end may take before it is killed.
const graceful = 5 * time.Second

// launcher starts processes, all from one thread: where the kernel ends them with their parent it
// means the thread that started them, and Go ends threads as it likes.
type launcher struct{ orders chan func() }

func newLauncher() *launcher {
	l := &launcher{orders: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for order := range l.orders {
			order()
		}
	}()
	return l
}

func (l *launcher) start(cmd *exec.Cmd) error {
	done := make(chan error)
	l.orders <- func() { done <- cmd.Start() }
	return <-done
}

// process is a server or an agent.
type process struct {
	name string // server, or that of the machine
	log  string // file that it writes to
	cmd  *exec.Cmd
	// ended is closed when the process has ended.
	ended chan struct{}

	mu    sync.Mutex
	asked bool // the demo itself ended it
}

// run starts a process in a group of its own, so that an interrupt typed at the terminal does not reach it.
func (l *launcher) run(name, log string, cmd *exec.Cmd) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, ofItsOwn()
	p := &process{name: name, log: log, cmd: cmd, ended: make(chan struct{})}
	if err := l.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // ProcessState says the same
		close(p.ended)
	}()
	return p, nil
}

func (p *process) id() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// died says that the process ended although the demo did not ask for it.
func (p *process) died() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.asked && !p.running()
}

// String is the process as a sentence names it.
func (p *process) String() string {
	if p.name == serverName {
		return fmt.Sprintf("the server (process %d)", p.id())
	}
	return fmt.Sprintf("the agent of %s (process %d)", p.name, p.id())
}

// how is how it ended.
func (p *process) how() string { return p.cmd.ProcessState.String() }

// signal tells the process that the demo wants its end.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	p.asked = true
	p.mu.Unlock()
	if p.running() {
		_ = syscall.Kill(-p.id(), s)
		_ = syscall.Kill(-p.id(), syscall.SIGCONT) // one that stands still cannot end
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stopAll asks processes to end, and kills those that do not in time.
func stopAll(all ...*process) {
	for _, p := range all {
		p.signal(syscall.SIGTERM)
	}
	patience := time.After(graceful)
	for _, p := range all {
		select {
		case <-p.ended:
		case <-patience:
			patience = closedTime()
			p.kill()
		}
	}
}

// closedTime is a moment that is always past.
func closedTime() <-chan time.Time {
	past := make(chan time.Time)
	close(past)
	return past
}

// lastLines is the end of the process's log.
func (p *process) lastLines() string {
	const most = 2000
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return filepath.Base(p.log) + ":\n" + string(text[max(0, len(text)-most):])
}
