package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// pollEvery is the time between two checks of Await.
	pollEvery = 5 * time.Millisecond
	// failureTail is how many bytes of a log an error of Await contains.
	failureTail = 4000

	kill = syscall.SIGKILL
)

// Process is a process that was started by a Host.
type Process struct {
	name string
	log  string // its output file; if empty, tail has the end of the output
	tail tail
	cmd  *exec.Cmd
	// ended is closed when the process has ended and all its output has been read.
	ended        chan struct{}
	endRequested atomic.Bool // End was called
}

func (p *Process) wait() {
	_ = p.cmd.Wait() // ProcessState has the result
	close(p.ended)
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// String returns the name and the process id: "the server (process 4711)".
func (p *Process) String() string { return fmt.Sprintf("%s (process %d)", p.name, p.PID()) }

// Ended returns a channel that is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Died reports whether the process has ended although neither End, Kill nor Stop was called.
func (p *Process) Died() bool { return !p.Running() && !p.endRequested.Load() }

// State waits for the end of the process and returns its final state.
func (p *Process) State() *os.ProcessState {
	<-p.ended
	return p.cmd.ProcessState
}

// Signal sends a signal to the process group if the process is running.
func (p *Process) Signal(s syscall.Signal) {
	if p.Running() {
		_ = syscall.Kill(-p.PID(), s)
	}
}

// End sends a signal that should end the process, and resumes it if it is suspended. It does not wait.
func (p *Process) End(s syscall.Signal) {
	p.endRequested.Store(true)
	p.Signal(s)
	p.Signal(syscall.SIGCONT)
}

// Kill kills the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.End(kill)
	<-p.ended
}

// Stop sends SIGTERM to processes and waits until they have ended. After grace it kills those still running.
func Stop(grace time.Duration, all ...*Process) {
	for _, p := range all {
		p.End(syscall.SIGTERM)
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for _, p := range all {
		select {
		case <-p.ended:
		case <-ctx.Done():
			p.Kill()
		}
	}
}

// Await polls until ready returns nil. It returns an error when the process ends, after within, or when ctx is done,
// and then cancels the context of ready. The error reads "PROCESS did not WHAT", followed by the last error of ready
// and the end of the log.
func (p *Process) Await(
	ctx context.Context, within time.Duration, what string, ready func(context.Context) error,
) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("timed out after %s", within))
	defer cancel()
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	last := poll(ctx, func() error {
		err := ready(ctx)
		if err == nil && !p.Running() {
			err = errors.New("another process answers") // ready succeeded, but this process has ended
		}
		return err
	})
	switch {
	case last == nil:
		return nil
	case !p.Running():
		return p.failed(what, fmt.Errorf("it ended: %s", p.State()))
	default:
		return p.failed(what, fmt.Errorf("%w: %w", context.Cause(ctx), last))
	}
}

// poll calls try until it returns nil or ctx is done, and returns the last error that was not caused by ctx.
func poll(ctx context.Context, try func() error) (last error) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return last
		}
	}
}

func (p *Process) failed(what string, err error) error {
	return fmt.Errorf("%s did not %s: %w; its log ends with:\n%s", p, what, err, p.Tail(failureTail))
}

// Tail returns up to most bytes from the end of the log.
func (p *Process) Tail(most int) string {
	if p.log == "" {
		return p.tail.last(most)
	}
	text, err := lastOf(p.log, int64(most))
	if err != nil {
		return err.Error()
	}
	return text
}

// lastOf reads the end of a file.
func lastOf(path string, most int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		_, err = file.Seek(max(0, info.Size()-most), io.SeekStart)
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(file)
	return string(text), err
}

// tailBytes is how much output of a process without a log file is held in memory.
const tailBytes = 20_000

// tail retains the end of the text that is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write appends text. It never fails.
func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, text...)
	t.text = t.text[max(0, len(t.text)-tailBytes):]
	return len(text), nil
}

func (t *tail) last(most int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text[max(0, len(t.text)-most):])
}
