package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/clock"
)

const (
	// patience is how long a condition may take to come, with ten ticks more. What is waited for takes seconds on an idle computer.
	patience = time.Minute
	// quietFor is how long the story may stand still before it says what it waits for.
	quietFor = 2 * time.Second
	// lookEvery is the time between two looks.
	lookEvery = 50 * time.Millisecond
)

// Unexpected is a sentence of the story that was not so.
type Unexpected struct {
	Expected, Seen string
	// Logs is what the logs of server and agents end with.
	Logs string
	// Folder is where the logs are; empty: they are gone with the demo's folder.
	Folder string
}

// Error says what was expected and what was seen.
func (e *Unexpected) Error() string {
	return fmt.Sprintf("the demo expected %s, and saw that %s", e.Expected, e.Seen)
}

// expect is nil if a sentence is so.
func expect(is bool, expected, seen string, args ...any) error {
	if is {
		return nil
	}
	return &Unexpected{Expected: expected, Seen: fmt.Sprintf(seen, args...)}
}

// until looks again and again until the condition has come. Each look says what it saw. An error of a look is one.
func (f *fleet) until(ctx context.Context, expected string, look func() (come bool, seen string, err error)) error {
	told := false
	for begun := time.Now(); ; {
		come, seen, err := look()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case come:
			return nil
		}
		if err := f.allRun(expected); err != nil {
			return err
		}
		if err != nil {
			seen = err.Error()
		}
		waited := time.Since(begun)
		if waited > f.patience {
			return &Unexpected{Expected: expected, Seen: fmt.Sprintf("for %s %s", f.patience, seen)}
		}
		if waited > quietFor && !told {
			told = true
			f.waiting(expected)
		}
		if err := clock.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// allRun returns an error if a program has ended by itself: what is waited for cannot come then.
func (f *fleet) allRun(expected string) error {
	for _, p := range f.processes {
		if p.Died() {
			return &Unexpected{Expected: expected, Seen: fmt.Sprintf("%s ended by itself: %s", p, p.State())}
		}
	}
	return nil
}
