package eventlog

import (
	"context"
	"fmt"
)

// Verified summarizes the events that were read and found intact.
type Verified struct {
	// Events is the number of intact events.
	Events int
	// Streams is the number of streams that these events belong to.
	Streams int
	// Head is the position of the last of these events.
	Head Position
}

// Verify reads the whole log. It checks that every event matches its checksum, that positions rise, and that the
// revisions of every stream are consecutive from 0. The first violation is returned as an error that wraps
// ErrDamaged; Verified then describes the intact part before it.
//
// Verify calls progress, which may be nil, with the number of events after every 10 000 events.
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
		return found, fmt.Errorf("verify: %w: events after position %s are missing, the head is %s", ErrDamaged,
			found.Head, head)
	}
	return found, nil
}

// VerifyTail works like Verify for at most limit events after a position. It is fast enough to run regularly. It cannot
// check the first revision that it reads of each stream, and Streams counts only the streams that it read.
func VerifyTail(ctx context.Context, log Log, after Position, limit int) (Verified, error) {
	found := Verified{Head: after}
	next := map[string]Revision{}
	for recorded, err := range log.ReadAll(ctx, after, limit) {
		if err == nil {
			expected, seen := next[recorded.Stream]
			if !seen {
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

// checkPlace checks that an event has a position after before and the revision next.
func checkPlace(recorded Recorded, before Position, next Revision) error {
	if recorded.Position <= before {
		return fmt.Errorf("%w: position %s follows %s", ErrDamaged, recorded.Position, before)
	}
	if recorded.Revision != next {
		return fmt.Errorf("%w: stream %s has revision %d at position %s: expected revision %d",
			ErrDamaged, recorded.Stream, recorded.Revision, recorded.Position, next)
	}
	return nil
}
