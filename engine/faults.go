package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/droverhq/drover/projections"
)

// faults records the errors that keep the engine from working, until it works again.
type faults struct {
	mu              sync.Mutex
	reading, adding error
}

// read records the outcome of a read. A read that was cancelled by its caller says nothing about the log.
func (f *faults) read(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = err
}

// append records the outcome of an append. A log that reports a conflict or invalid input works.
func (f *faults) append(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if answered(err) {
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

// ErrFenced means that a newer version of drover writes to this log, so this server no longer decides.
var ErrFenced = errors.New("a newer drover writes to this log")

// Ready returns the error that keeps this server from working, or nil. Lost events are not such an error: agents and
// people still need a server that answers them.
func (e *Engine) Ready() error {
	if err := errors.Join(e.CutOff(), e.faults.now()); err != nil {
		return err
	}
	return e.fenced()
}

func (e *Engine) fenced() (err error) {
	e.Read(func(v *projections.View) { err = e.fencedBy(v) })
	return err
}

// Stopped returns why this server decides nothing now, or nil if it decides.
func (e *Engine) Stopped() error { return errors.Join(e.fenced(), e.LostEvents()) }

// fencedBy returns ErrFenced with its reason if the log keeps this server from deciding.
func (e *Engine) fencedBy(v *projections.View) error {
	switch {
	case v.Fence.Type != "":
		return fmt.Errorf("%w: unknown event type %s at position %s; upgrade this server",
			ErrFenced, v.Fence.Type, v.Fence.Position)
	case v.Fence.Decision > e.cfg.Rules.Version:
		return fmt.Errorf("%w: its decision version is %d, this server has %d; upgrade this server",
			ErrFenced, v.Fence.Decision, e.cfg.Rules.Version)
	}
	return nil
}
