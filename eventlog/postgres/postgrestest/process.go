package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Mode is a way to stop a server.
type Mode int

// Fast stops a server as an administrator does. Immediate stops all its processes at once, like a crash. Kill sends
// SIGKILL to its main process.
const (
	Fast Mode = iota
	Immediate
	Kill
)

// timeout limits how long a server may take to start or stop.
const timeout = time.Minute

// process is a running server and its guard.
type process struct {
	server *exec.Cmd
	ended  chan struct{} // closed when the server has ended
	guard  *exec.Cmd
	pipe   io.Closer // the guard stops the server when it is closed
}

// guardScript waits for the end of its input, which means that the test process has ended. Then it stops the server and
// removes its folder. If the server is stopped in another way, the guard is stopped first.
const guardScript = `read _; kill -QUIT "$1" 2>/dev/null; while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; rm -rf "$2"`

// Start starts the server again. It returns when the server accepts connections.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return errors.New("PostgreSQL is already running")
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	killed := s.killed
	for {
		p, err := s.launch()
		if err != nil {
			return err
		}
		s.running = p
		if err = s.waitReady(ctx, p); err == nil {
			return nil
		}
		err = errors.Join(err, s.stop(Immediate))
		// After SIGKILL the other processes of the server need a moment to end.
		if !killed || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Server) logFile() string { return filepath.Join(s.folder, "log") }

func (s *Server) launch() (*process, error) {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{server: exec.Command(filepath.Join(s.programs, "postgres"), "-D", s.data()),
		ended: make(chan struct{})}
	p.server.Dir, p.server.Stdout, p.server.Stderr = s.folder, log, log
	if err := runAsAccount(p.server); err != nil {
		return nil, err
	}
	if err := p.server.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.server.Wait()
		close(p.ended)
	}()
	return p, p.watch(s.folder)
}

// watch starts the guard.
func (p *process) watch(folder string) error {
	in, pipe, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	p.pipe = pipe
	p.guard = exec.Command("/bin/sh", "-c", guardScript, "guard", strconv.Itoa(p.server.Process.Pid), folder)
	p.guard.Dir, p.guard.Stdin = "/", in
	if err := runAsAccount(p.guard); err != nil {
		return err
	}
	return p.guard.Start()
}

// waitReady returns when the server accepts connections.
func (s *Server) waitReady(ctx context.Context, p *process) error {
	for {
		conn, err := pgx.Connect(ctx, s.SocketURL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.ended:
			log, _ := os.ReadFile(s.logFile())
			return fmt.Errorf("PostgreSQL ended immediately: %s", log[max(0, len(log)-1000):])
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL accepts no connections: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop stops the server. It returns nil if the server is already stopped.
func (s *Server) Stop(mode Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(mode)
}

func (s *Server) stop(mode Mode) error {
	p := s.running
	if p == nil {
		return nil
	}
	s.running, s.killed = nil, mode == Kill
	_ = p.guard.Process.Kill()
	_ = p.guard.Wait()
	_ = p.pipe.Close()
	if err := p.server.Process.Signal(signals[mode]); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(timeout):
		_ = p.server.Process.Kill()
		<-p.ended
		return fmt.Errorf("PostgreSQL did not stop within %s and was killed", timeout)
	}
}

// Restart stops and starts the server.
func (s *Server) Restart(mode Mode) error {
	return errors.Join(s.Stop(mode), s.Start())
}

// PID returns the process id of the main process, or 0 if the server is stopped.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return 0
	}
	return s.running.server.Process.Pid
}
