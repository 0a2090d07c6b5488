package eventlog

import (
	"bytes"

	"github.com/google/uuid"
)

// Judge is the rule of repeats, the one that EventStoreDB has, for every backend. The
// stream stands at actual; the append was made at expected; stored are the ids that the
// stream holds from revision expected+1 on, as many as there are up to len(events).
// stored matters only where expected lies below actual.
//
//   - expected is where the stream stands: the append is new, nil;
//   - expected lies below, and every id of the append is there already, at the very
//     place it would have got: the append is a repeat, answered with its first result;
//   - anything else is a *Conflict: expected beyond the end, another id anywhere, or
//     only the first ids equal (then somebody else's append took the rest).
func Judge(stream string, expected, actual Revision, events []Event, stored []uuid.UUID) (repeat bool, err error) {
	if expected == actual {
		return false, nil
	}
	if expected < actual && sameIDs(events, stored) {
		return true, nil
	}
	return false, &Conflict{Stream: stream, Expected: expected, Actual: actual}
}

func sameIDs(events []Event, stored []uuid.UUID) bool {
	if len(stored) < len(events) {
		return false
	}
	for i, event := range events {
		if event.ID != stored[i] {
			return false
		}
	}
	return true
}

// JudgeSwap is the rule of Swap for every backend. there is what is stored under the key of item, the zero Item for
// nothing; was is the sequence that the caller expects there.
//
//   - what is stored equals item: the Swap is a repeat of one that was done, and succeeds;
//   - what is stored has the sequence was: the Swap is to be done;
//   - anything else is *Moved.
func JudgeSwap(c Collection, item, there Item, was int64) (repeat bool, err error) {
	switch {
	case there.Sequence == item.Sequence && there.Time.Equal(item.Time) && bytes.Equal(there.Data, item.Data):
		return true, nil
	case there.Sequence == was:
		return false, nil
	}
	return false, &Moved{Collection: c, Key: item.Key, Sequence: there.Sequence}
}
