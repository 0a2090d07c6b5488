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

// drainFor bounds how long output is still read after all of a script's session is gone:
// something that left the session may hold the pipe open for ever.
const drainFor = time.Second

// gate waits for a line on file descriptor 3 before it becomes the script: if the agent dies
// before it has written the process group down, nothing of the script runs.
const gate = `read -r DROVER_GATE <&3 && exec 3<&- && exec "$@"`

// errTooLong is the system's refusal of too large an environment.
var errTooLong = syscall.E2BIG

// Script is a file to be run in a session and process group of its own.
type Script struct {
	Path    string
	Shebang bool // it begins with #!; else /bin/sh -e runs it
	Folder  string
	Environ []string
	Timeout time.Duration
	Grace   time.Duration // between SIGTERM and SIGKILL
	Output  io.Writer
	// Starting, if set, is told the process group before the script's first line runs; on an
	// error it does not run.
	Starting func(Group) error
}

// Exit is how a script ended.
type Exit struct {
	Code     int // 128 + signal if a signal ended it
	TimedOut bool
	Timeout  time.Duration
	Stopped  bool  // by the context
	Left     int   // processes it had left running
	Stuck    int   // processes that outlived SIGKILL or could not be signalled
	Err      error // it was not started
}

// Run runs the script to its end, to its time-out or, then at once, to the end of ctx.
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
	select {
	case <-r.exited:
		exit.Left, exit.Stuck = r.group.clear(s.Grace)
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

// running is a script that was started.
type running struct {
	command *exec.Cmd
	group   Group
	reader  *os.File
	drained chan struct{}
	// exited is closed when the leader has exited. It is not reaped before the group was
	// cleared, so that its id cannot become another's meanwhile.
	exited chan struct{}
}

// start starts the script and lets it through the gate.
func (s Script) start() (*running, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	gateReader, gateWriter, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pipe: %w", err), reader.Close(), writer.Close())
	}
	defer gateWriter.Close()
	command := s.command(writer, gateReader)
	err = command.Start()
	_, _ = writer.Close(), gateReader.Close()
	if err != nil {
		_ = reader.Close()
		return nil, err
	}
	r := &running{command: command, group: newGroup(command.Process.Pid), reader: reader,
		drained: make(chan struct{}), exited: make(chan struct{})}
	go r.await()
	go r.copyTo(s.Output)
	return r, s.open(gateWriter, r)
}

// command is the gate in a session of its own, that is: with no terminal to ask on.
func (s Script) command(out, gateReader *os.File) *exec.Cmd {
	args := []string{"-c", gate, "drover"}
	if !s.Shebang {
		args = append(args, "/bin/sh", "-e")
	}
	command := exec.Command("/bin/sh", append(args, s.Path)...)
	command.Dir, command.Env = s.Folder, s.Environ
	command.Stdout, command.Stderr = out, out
	command.ExtraFiles = []*os.File{gateReader}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return command
}

// open lets the script run once its group is known to who asked for it.
func (s Script) open(gateWriter *os.File, r *running) error {
	if s.Starting != nil {
		if err := s.Starting(r.group); err != nil {
			r.group.clear(0)
			r.end()
			return err
		}
	}
	_, _ = gateWriter.WriteString("go\n") // an error: it was killed, and that is its end
	return nil
}

// await closes exited when the leader has exited.
func (r *running) await() {
	awaitExit(r.command.Process.Pid)
	close(r.exited)
}

// copyTo passes the output on until its end.
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

// end reaps the leader, reads what is left of the output and returns the exit code. A leader
// that not even SIGKILL ends (it hangs in the kernel) is left behind, with code -1.
func (r *running) end() int {
	_ = r.reader.SetReadDeadline(time.Now().Add(drainFor))
	<-r.drained
	_ = r.reader.Close()
	select {
	case <-r.exited:
	case <-time.After(killFor):
		go r.command.Wait()
		return -1
	}
	_ = r.command.Wait() // says what ProcessState says
	status, ok := r.command.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return r.command.ProcessState.ExitCode()
}
