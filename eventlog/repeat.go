package eventlog

import (
	"bytes"

	"github.com/google/uuid"
)

// IsRepeat decides for every backend whether an append is new, a repeat or a conflict. The rule is that of
// EventStoreDB. The stream ends at revision actual and the append expects it to end at expected. stored holds the ids
// in the stream from revision expected+1, at most len(events) of them. It matters only if expected is below actual.
//
//   - expected equals actual: the append is new, and IsRepeat returns false and nil;
//   - expected is below actual, and every id is stored at the revision that the append would give it: the append is a
//     repeat, and the caller returns the first result;
//   - otherwise IsRepeat returns *Conflict: expected is beyond the end of the stream, or an id differs, or only the
//     first ids are equal because another append followed.
func IsRepeat(stream string, expected, actual Revision, events []Event, stored []uuid.UUID) (repeat bool, err error) {
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

// IsRepeatSwap decides for every backend whether a Swap is new, a repeat or a conflict. stored is the stored item of
// the key, or the zero Item if the key has no item. expected is the sequence that the caller expects.
//
//   - stored equals item: the Swap is a repeat and succeeds;
//   - stored has the expected sequence: the Swap is new, and the caller stores item;
//   - otherwise IsRepeatSwap returns *SwapConflict.
func IsRepeatSwap(c Collection, item, stored Item, expected int64) (repeat bool, err error) {
	switch {
	case stored.Sequence == item.Sequence && stored.Time.Equal(item.Time) && bytes.Equal(stored.Data, item.Data):
		return true, nil
	case stored.Sequence == expected:
		return false, nil
	}
	return false, &SwapConflict{Collection: c, Key: item.Key, Sequence: stored.Sequence}
}
