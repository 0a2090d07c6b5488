//go:build unix

package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// drainTimeout bounds how long the output is read after a script's session has ended. A process that has left the
// session could keep the pipe open indefinitely.
const drainTimeout = time.Second

// startBarrier waits for a line on file descriptor 3 before it executes the script. If the agent dies before it has
// recorded the process group, no line of the script runs.
const startBarrier = `read -r DROVER_START <&3 && exec 3<&- && exec "$@"`

// errArgumentListTooLong is the system's error for an environment that is too large.
var errArgumentListTooLong = syscall.E2BIG

// Script is a file that runs in its own session and process group.
type Script struct {
	Path    string
	Shebang bool // the file begins with #!; otherwise /bin/sh -e runs it
	Folder  string
	Environ []string
	Timeout time.Duration
	Grace   time.Duration // between SIGTERM and SIGKILL
	Output  io.Writer
	// Stopping, when it is closed, ends the script if it waits for the end of this agent, see awaitsAgent.
	Stopping <-chan struct{}
	// Kill, when it is closed, ends the script like its timeout.
	Kill <-chan struct{}
	// Starting, if set, is called with the process group before the script's first line runs. If it returns an error,
	// the script does not run.
	Starting func(Group) error
}

// Exit describes how a script ended.
type Exit struct {
	Code     int // 128 + signal if a signal ended it
	TimedOut bool
	Killed   bool // Kill was closed
	OwnAgent bool // it waited for the end of this agent
	Timeout  time.Duration
	Stopped  bool  // the context was done
	Left     int   // processes that the script left running
	Stuck    int   // processes that survived SIGKILL or could not be signalled
	Err      error // why the script was not started
}

// Run runs the script until it exits, its timeout expires, or ctx is done. If ctx is done, Run kills the script without
// a grace period.
func (s Script) Run(ctx context.Context) Exit {
	if ctx.Err() != nil {
		return Exit{Stopped: true}
	}
	r, err := s.start()
	if err != nil {
		return Exit{Err: err}
	}
	exit := Exit{Timeout: s.Timeout}
	timer := time.NewTimer(s.Timeout)
	defer timer.Stop()
	watching, done := context.WithCancel(ctx)
	defer done()
	select {
	case <-r.exited:
		s.clearAfterExit(ctx, r, &exit)
	case <-s.waitsForAgent(watching, r.group):
		exit.OwnAgent = true
		_, exit.Stuck = r.group.clear(s.Grace)
	case <-s.Kill:
		if r.hasExited() { // the person was too late
			s.clearAfterExit(ctx, r, &exit)
			break
		}
		exit.Killed = true
		_, exit.Stuck = r.group.clear(s.Grace)
	case <-timer.C:
		exit.TimedOut = true
		_, exit.Stuck = r.group.clear(s.Grace)
	case <-ctx.Done():
		exit.Stopped = true
		_, exit.Stuck = r.group.clear(0)
	}
	exit.Code = r.end()
	return exit
}

// waitsForAgent returns a channel that is closed when the script has waited too long for the end of this agent.
func (s Script) waitsForAgent(ctx context.Context, g Group) <-chan struct{} {
	waits := make(chan struct{})
	if s.Stopping == nil {
		return nil
	}
	go func() {
		select {
		case <-s.Stopping:
		case <-ctx.Done():
			return
		}
		text, _ := os.ReadFile(s.Path) // without it, the processes still count
		for since := time.Now(); ; {
			if !g.awaitsAgent(string(text)) {
				since = time.Now()
			}
			if time.Since(since) >= ownAgentGrace {
				close(waits)
				return
			}
			select {
			case <-time.After(ownAgentPoll):
			case <-ctx.Done():
				return
			}
		}
	}()
	return waits
}

// clearAfterExit ends what a script that has exited left running.
func (s Script) clearAfterExit(ctx context.Context, r *running, exit *Exit) {
	r.group.settle(ctx)
	exit.Left, exit.Stuck = r.group.clear(s.Grace)
}

// hasExited reports whether the leader has exited.
func (r *running) hasExited() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// running is a script that was started.
type running struct {
	command *exec.Cmd
	group   Group
	reader  *os.File
	drained chan struct{}
	// exited is closed when the leader has exited. The leader is reaped only after the group was cleared, so that the
	// system cannot reuse its id until then.
	exited chan struct{}
}

// start starts the script and lets it pass the start barrier.
func (s Script) start() (*running, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create a pipe: %w", err)
	}
	barrierReader, barrierWriter, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create a pipe: %w", err), reader.Close(), writer.Close())
	}
	defer barrierWriter.Close()
	command := s.command(writer, barrierReader)
	err = children.start(command)
	_, _ = writer.Close(), barrierReader.Close()
	if err != nil {
		_ = reader.Close()
		return nil, err
	}
	r := &running{command: command, group: newGroup(command.Process.Pid), reader: reader,
		drained: make(chan struct{}), exited: make(chan struct{})}
	go r.await()
	go r.copyTo(s.Output)
	return r, s.release(barrierWriter, r)
}

// command returns the start barrier as a command in its own session, which has no controlling terminal.
func (s Script) command(out, barrierReader *os.File) *exec.Cmd {
	args := []string{"-c", startBarrier, "drover"}
	if !s.Shebang {
		args = append(args, "/bin/sh", "-e")
	}
	command := exec.Command("/bin/sh", append(args, s.Path)...)
	command.Dir, command.Env = s.Folder, s.Environ
	command.Stdout, command.Stderr = out, out
	command.ExtraFiles = []*os.File{barrierReader}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return command
}

// release lets the script run after Starting has accepted its group.
func (s Script) release(barrierWriter *os.File, r *running) error {
	if s.Starting != nil {
		if err := s.Starting(r.group); err != nil {
			r.group.clear(0)
			r.end()
			return err
		}
	}
	_, _ = barrierWriter.WriteString("go\n") // fails only if the script was killed, which its exit reports
	return nil
}

// await closes exited when the leader has exited.
func (r *running) await() {
	awaitExit(r.command.Process.Pid)
	close(r.exited)
}

// copyTo copies the output to w until its end.
func (r *running) copyTo(w io.Writer) {
	defer close(r.drained)
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.reader.Read(buffer)
		if n > 0 {
			_, _ = w.Write(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

// end reaps the leader, reads the remaining output and returns the exit code. If the leader hangs in the kernel and
// survives SIGKILL, end abandons it and returns -1.
func (r *running) end() int {
	_ = r.reader.SetReadDeadline(time.Now().Add(drainTimeout))
	<-r.drained
	_ = r.reader.Close()
	select {
	case <-r.exited:
	case <-time.After(killTimeout):
		go children.wait(r.command)
		return -1
	}
	children.wait(r.command) // ProcessState has the same information
	status, ok := r.command.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return r.command.ProcessState.ExitCode()
}
