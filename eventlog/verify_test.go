package eventlog

import (
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeLog yields the given events, valid or not.
type fakeLog struct {
	Log
	events []Recorded
	head   Position
}

func (r fakeLog) Head(context.Context) (Position, error) { return r.head, nil }

func (r fakeLog) ReadAll(context.Context, Position, int) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		for _, event := range r.events {
			if !yield(event, nil) {
				return
			}
		}
	}
}

func at(position Position, stream string, revision Revision) Recorded {
	return Recorded{Stream: stream, Revision: revision, Position: position}
}

func TestVerifyReportsTheFirstMisplacedEvent(t *testing.T) {
	good := []Recorded{at(1, "a", 0), at(2, "b", 0), at(7, "a", 1)}
	verified, err := Verify(context.Background(), fakeLog{events: good, head: 7}, nil)
	require.NoError(t, err)
	require.Equal(t, Verified{Events: 3, Streams: 2, Head: 7}, verified)

	for words, c := range map[string]struct {
		next Recorded
		head Position
	}{
		"position 7 follows 7": {at(7, "a", 2), 7},
		"position 6 follows 7": {at(6, "a", 2), 7},
		"stream a has revision 3 at position 8: expected revision 2": {at(8, "a", 3), 8},
		"stream c has revision 1 at position 8: expected revision 0": {at(8, "c", 1), 8},
		"events after position 8 are missing, the head is 9":         {at(8, "a", 2), 9},
	} {
		_, err := Verify(context.Background(), fakeLog{events: append(good[:3:3], c.next), head: c.head}, nil)
		require.ErrorIs(t, err, ErrDamaged)
		require.ErrorContains(t, err, words)
	}
}

func TestVerifyReportsProgress(t *testing.T) {
	var long []Recorded
	for i := range 25_000 {
		long = append(long, at(Position(i+1), "a", Revision(i)))
	}
	var progress []int
	_, err := Verify(context.Background(), fakeLog{events: long, head: 25_000},
		func(n int) { progress = append(progress, n) })
	require.NoError(t, err)
	require.Equal(t, []int{10_000, 20_000}, progress)
}
