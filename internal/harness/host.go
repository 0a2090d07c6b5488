package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrClosed is returned by Start after Close.
var ErrClosed = errors.New("the host is closed")

// outputDelay limits how long children that hold the output open can delay the end of a process.
const outputDelay = 5 * time.Second

// Host runs one program in one folder. Its fields must not be changed during a call of Start or Run.
type Host struct {
	// Program is the path of drover.
	Program string
	// Dir is the working directory of all processes.
	Dir string
	// Env is the environment of all processes. The last value of a variable wins. See Environment.
	Env []string

	mu        sync.Mutex
	processes []*Process // all started processes, in order
	closed    bool
}

// Environment returns the environment of this program without HOME, DROVER_ and XDG_ variables, with home as HOME,
// and with more appended.
func Environment(home string, more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == "HOME" || strings.HasPrefix(name, "DROVER_") || strings.HasPrefix(name, "XDG_")
	})
	return append(append(env, "HOME="+home), more...)
}

// Command returns a drover command in the host's folder and environment. It does not start the command; see Launch.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.Program, args...)
	cmd.Args[0] = "drover"
	cmd.Env, cmd.Dir, cmd.WaitDelay = slices.Clone(h.Env), h.Dir, outputDelay
	return cmd
}

// Result is the output and the exit code of a command.
type Result struct {
	Stdout, Stderr string
	Code           int // the exit code; -1 if a signal ended the command
}

// Run runs a command to its end. An empty stdin means no input. An exit code other than 0 is not an error.
func (h *Host) Run(ctx context.Context, stdin string, args ...string) (Result, error) {
	cmd := h.Command(ctx, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	err := Launch(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return Result{}, fmt.Errorf("run drover %s: %w", strings.Join(args, " "), err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

// Spec describes a process and the destination of its output.
type Spec struct {
	// Name names the process in messages: "the server", "the agent of web-01".
	Name string
	Args []string
	// Env is added to the environment of the host.
	Env []string
	// Log is a file to append the output to. If it is empty, the output goes through a pipe, as under a service
	// manager, and only its end is held in memory.
	Log string
}

// Start starts a process. It runs until it exits, is ended, or the host is closed.
func (h *Host) Start(s Spec) (*Process, error) {
	cmd := h.Command(context.Background(), s.Args...)
	cmd.Env = append(cmd.Env, s.Env...)
	p := &Process{name: s.Name, log: s.Log, cmd: cmd, ended: make(chan struct{})}
	if s.Log == "" {
		cmd.Stdout, cmd.Stderr = &p.tail, &p.tail
	} else {
		out, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the log of %s: %w", s.Name, err)
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("start %s: %w", s.Name, ErrClosed)
	}
	if err := Launch(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go p.wait()
	h.processes = append(h.processes, p)
	return p, nil
}

// started returns all started processes, in order.
func (h *Host) started() []*Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.processes)
}

// Close kills the running processes and waits for their ends. Start fails afterwards.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	all := h.started()
	for _, p := range all {
		p.End(kill)
	}
	for _, p := range all {
		<-p.ended
	}
}

// Logs returns up to most bytes from the end of each log, with a title. Processes that share a log file share an
// entry.
func (h *Host) Logs(most int) string {
	var texts, files []string
	for _, p := range h.started() {
		title := p.name
		if p.log != "" {
			if slices.Contains(files, p.log) {
				continue
			}
			files, title = append(files, p.log), filepath.Base(p.log)
		}
		texts = append(texts, title+":\n"+p.Tail(most))
	}
	return strings.Join(texts, "\n")
}
