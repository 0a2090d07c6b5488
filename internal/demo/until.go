package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/clock"
)

const (
	// timeout bounds each wait, in addition to ten ticks. On an idle computer, each wait takes a few seconds.
	timeout = time.Minute
	// quietFor is how long the script waits before it prints what it is waiting for.
	quietFor = 2 * time.Second
	// pollEvery is the interval between two checks of a condition.
	pollEvery = 50 * time.Millisecond
)

// Unexpected reports a statement of the script that did not hold.
type Unexpected struct {
	Expected, Seen string
	// Logs is the end of the logs of server and agents.
	Logs string
	// Folder contains the logs. It is empty if they are removed with the demo's folder.
	Folder string
}

// Error returns what was expected and what was observed.
func (e *Unexpected) Error() string {
	return fmt.Sprintf("the demo expected %s, but %s", e.Expected, e.Seen)
}

// expect returns an *Unexpected unless holds is true.
func expect(holds bool, expected, seen string, args ...any) error {
	if holds {
		return nil
	}
	return &Unexpected{Expected: expected, Seen: fmt.Sprintf(seen, args...)}
}

// until calls check until it reports true. check also returns what it observed. An error of check counts as an
// observation.
func (f *fleet) until(ctx context.Context, expected string, check func() (done bool, seen string, err error)) error {
	announced := false
	for begun := time.Now(); ; {
		done, seen, err := check()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case done:
			return nil
		}
		if err := f.allRun(expected); err != nil {
			return err
		}
		if err != nil {
			seen = err.Error()
		}
		waited := time.Since(begun)
		if waited > f.timeout {
			return &Unexpected{Expected: expected, Seen: fmt.Sprintf("for %s %s", f.timeout, seen)}
		}
		if waited > quietFor && !announced {
			announced = true
			f.waiting(expected)
		}
		if err := clock.Sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// allRun returns an error if a process has ended unexpectedly, because no condition can be expected to hold then.
func (f *fleet) allRun(expected string) error {
	for _, p := range f.processes {
		if p.Died() {
			return &Unexpected{Expected: expected, Seen: fmt.Sprintf("%s ended unexpectedly: %s", p, p.State())}
		}
	}
	return nil
}
