package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// faults remembers what keeps the engine from working, until it works again.
type faults struct {
	mu              sync.Mutex
	reading, adding error
}

// read notes how a read went. A caller who gave up says nothing about the log.
func (f *faults) read(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = err
}

// append notes how an append went. A refusal by revision is a log that works.
func (f *faults) append(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	var conflict *eventlog.Conflict
	if errors.As(err, &conflict) || errors.Is(err, eventlog.ErrTooLarge) || errors.Is(err, eventlog.ErrInvalid) {
		err = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adding = err
}

func (f *faults) now() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.reading, f.adding)
}

// ErrFenced means that a newer drover writes to this log, so this one no longer decides.
var ErrFenced = errors.New("a newer drover writes to this log")

// Ready says what keeps this server from its work; nil for nothing. A log that is doubted is no such thing: agents
// and people still need a server to talk to.
func (e *Engine) Ready() error {
	if err := e.faults.now(); err != nil {
		return err
	}
	return e.fenced()
}

func (e *Engine) fenced() (err error) {
	e.Read(func(v *projections.View) { err = e.fencedBy(v) })
	return err
}

// Stopped says why this server decides nothing now, although it can read and write its log; nil if it decides.
func (e *Engine) Stopped() error { return errors.Join(e.fenced(), e.LostEvents()) }

// fencedBy says what in the log keeps this server from deciding.
func (e *Engine) fencedBy(v *projections.View) error {
	switch {
	case v.Fence.Type != "":
		return fmt.Errorf("%w: the event type %s at position %s is not known here; upgrade this server",
			ErrFenced, v.Fence.Type, v.Fence.Position)
	case v.Fence.Decision > e.cfg.Rules.Version:
		return fmt.Errorf("%w: decision version %d, this one has %d; upgrade this server",
			ErrFenced, v.Fence.Decision, e.cfg.Rules.Version)
	}
	return nil
}
