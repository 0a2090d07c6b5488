package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The default intervals between ticks: one that people can follow, and a shorter one for a demo that runs only once.
const (
	DefaultTick = 2 * time.Second
	QuickTick   = time.Second
)

// Config configures a demo. The zero value is a demo that stays up and prints nothing.
type Config struct {
	// Once ends the demo after the script. Otherwise the fleet stays up until ctx ends.
	Once bool
	// Keep prevents the demo from removing its folder at the end.
	Keep bool
	// Tick is the interval between two ticks of the server, in whole seconds. The default is DefaultTick, or QuickTick
	// with Once.
	Tick time.Duration
	// Out receives the output of the script; it may be nil.
	Out io.Writer
}

func (c Config) withDefaults() Config {
	switch {
	case c.Tick == 0 && c.Once:
		c.Tick = QuickTick
	case c.Tick == 0:
		c.Tick = DefaultTick
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	return c
}

// Run runs a demo, stops its processes and removes its folder. With Once it ends after the script. Otherwise it ends
// when ctx ends or on SIGINT, SIGTERM or SIGHUP, and returns nil if the script had finished. The error is an
// *Unexpected if a statement of the script did not hold.
func Run(ctx context.Context, c Config) (err error) {
	c = c.withDefaults()
	// Signals stay caught until the end, so that a second signal does not interrupt the clean-up.
	ctx, stop := signal.NotifyContext(ctx, endSignals()...)
	defer stop()
	defer catchBrokenPipes()()
	f, err := newFleet(c.Tick)
	if err != nil {
		return err
	}
	s := &script{fleet: f, config: c, begun: time.Now()}
	f.waiting = func(expected string) { s.say("... waiting for %s", expected) }
	defer func() { err = s.end(err) }()
	if err := s.run(ctx); err != nil || c.Once {
		return err
	}
	return s.stay(ctx)
}

// endSignals returns the signals that end a demo. A demo that was started with nohup ignores SIGHUP.
func endSignals() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// catchBrokenPipes makes a write to a closed pipe return an error instead of ending the program.
func catchBrokenPipes() (stop func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}

// end stops all processes and removes the folder. It adds the end of the logs to the error, because the log files are
// removed too.
func (s *script) end(err error) error {
	var unexpected *Unexpected
	if errors.As(err, &unexpected) {
		unexpected.Logs = s.host.Logs(logTail)
		if s.config.Keep {
			unexpected.Folder = s.path("logs")
		}
	}
	s.close()
	if s.config.Keep {
		fmt.Fprintf(s.config.Out, "\nAll processes have stopped. The folder remains: %s\n", s.folder)
		return err
	}
	if removed := s.remove(); removed != nil {
		return errors.Join(err, removed)
	}
	if err == nil {
		fmt.Fprintf(s.config.Out, "All processes have stopped, and the folder of the demo is removed.\n")
	}
	return err
}
