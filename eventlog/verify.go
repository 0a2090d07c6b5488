package eventlog

import (
	"context"
	"fmt"
)

// Verified is what a log was found to hold.
type Verified struct {
	// Events is how many events were read and found whole.
	Events int
	// Streams is how many streams they form.
	Streams int
	// Head is the position of the last of them.
	Head Position
}

// Verify reads the whole log and checks that every event matches its checksum, that
// positions rise, and that the revisions of every stream are consecutive from 0. The
// first event that breaks one of these is named in an error that wraps ErrDamaged;
// Verified then says how far the log is whole.
//
// progress, which may be nil, is told the number of events now and then.
func Verify(ctx context.Context, log Log, progress func(events int)) (Verified, error) {
	head, err := log.Head(ctx)
	if err != nil {
		return Verified{}, err
	}
	var found Verified
	next := map[string]Revision{}
	for recorded, err := range log.ReadAll(ctx, 0, 0) {
		if err == nil {
			err = checkPlace(recorded, found.Head, next[recorded.Stream])
		}
		if err != nil {
			return found, fmt.Errorf("verify: %w", err)
		}
		next[recorded.Stream]++
		found = Verified{Events: found.Events + 1, Streams: len(next), Head: recorded.Position}
		if progress != nil && found.Events%10_000 == 0 {
			progress(found.Events)
		}
	}
	if found.Head < head {
		return found, fmt.Errorf("verify: %w: events after position %s are missing, the head is %s", ErrDamaged, found.Head, head)
	}
	return found, nil
}

// VerifyTail is Verify for the events after a position, at most limit of them: quick enough to be done now and then. A
// stream is taken to begin right where the tail first meets it, and Streams counts those of the tail.
func VerifyTail(ctx context.Context, log Log, after Position, limit int) (Verified, error) {
	found := Verified{Head: after}
	next := map[string]Revision{}
	for recorded, err := range log.ReadAll(ctx, after, limit) {
		if err == nil {
			expected, met := next[recorded.Stream]
			if !met {
				expected = recorded.Revision
			}
			err = checkPlace(recorded, found.Head, expected)
		}
		if err != nil {
			return found, fmt.Errorf("verify: %w", err)
		}
		next[recorded.Stream] = recorded.Revision + 1
		found = Verified{Events: found.Events + 1, Streams: len(next), Head: recorded.Position}
	}
	return found, nil
}

// checkPlace compares where an event stands with where the one before it stood.
func checkPlace(recorded Recorded, before Position, next Revision) error {
	if recorded.Position <= before {
		return fmt.Errorf("%w: position %s follows %s", ErrDamaged, recorded.Position, before)
	}
	if recorded.Revision != next {
		return fmt.Errorf("%w: stream %s goes on with revision %d at position %s instead of %d",
			ErrDamaged, recorded.Stream, recorded.Revision, recorded.Position, next)
	}
	return nil
}
