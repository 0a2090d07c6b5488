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

// What a demo does unless it is told otherwise: ticks that people can follow, and quick ones for those who only want to
// know that all is right.
const (
	DefaultTick = 2 * time.Second
	QuickTick   = time.Second
)

// Config says how a demo runs; its zero value is a demo that stays up and tells nobody.
type Config struct {
	// Once ends the demo with the story; otherwise it stays up until ctx ends.
	Once bool
	// Keep leaves the folder of the demo when it ends.
	Keep bool
	// Tick is the time between two ticks of the server, in whole seconds; 0: DefaultTick, with Once QuickTick.
	Tick time.Duration
	// Out gets the story; nil: nobody does.
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

// Run is a demo from its beginning until all of it is stopped and its folder removed. With Once it ends with the
// story; otherwise when ctx does, or at a SIGINT, SIGTERM or SIGHUP, and then returns nil if the story was over. The
// error is an *Unexpected where a sentence of the story was not so.
func Run(ctx context.Context, c Config) (err error) {
	c = c.withDefaults()
	// As long as these are caught, a second one does not cut the cleaning up short.
	ctx, stop := signal.NotifyContext(ctx, ends()...)
	defer stop()
	defer catchBrokenPipes()()
	f, err := newFleet(c.Tick)
	if err != nil {
		return err
	}
	s := &story{fleet: f, config: c, begun: time.Now()}
	f.waiting = func(expected string) { s.say("... waiting for %s", expected) }
	defer func() { err = s.end(err) }()
	if err := s.tell(ctx); err != nil || c.Once {
		return err
	}
	return s.stay(ctx)
}

// ends are the signals that end a demo; one that was started by nohup outlives its terminal.
func ends() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// catchBrokenPipes makes a write to a reader that has gone an error instead of the end of the program.
func catchBrokenPipes() (stop func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}

// end stops what runs and takes the folder away. What the logs end with goes with the error, for they will be gone.
func (s *story) end(err error) error {
	var unexpected *Unexpected
	if errors.As(err, &unexpected) {
		unexpected.Logs = s.host.Logs(logTail)
		if s.config.Keep {
			unexpected.Folder = s.path("logs")
		}
	}
	s.close()
	if s.config.Keep {
		fmt.Fprintf(s.config.Out, "\nEverything is stopped. The folder is left: %s\n", s.folder)
		return err
	}
	if removed := s.remove(); removed != nil {
		return errors.Join(err, removed)
	}
	if err == nil {
		fmt.Fprintf(s.config.Out, "Everything is stopped, and the folder of the demo is removed.\n")
	}
	return err
}
