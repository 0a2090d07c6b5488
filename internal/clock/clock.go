package clock

import (
	"context"
	"time"
)

// System is the clock of the machine.
type System struct{ start time.Time }

// New returns a clock whose Elapsed starts at zero.
func New() System { return System{start: time.Now()} }

// Now returns the wall-clock time. It is for display and for deadlines that people set, never for ordering.
func (System) Now() time.Time { return time.Now() }

// Elapsed returns the monotonic time since New was called.
func (s System) Elapsed() time.Duration { return time.Since(s.start) }

// Sleep waits for d. It returns ctx's error if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) error { return Wait(ctx, d, nil) }

// Wait waits for d, or until wake is closed or receives a value. It returns ctx's error if ctx ends first.
func Wait(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
