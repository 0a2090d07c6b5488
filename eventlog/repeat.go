package eventlog

import "github.com/google/uuid"

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
