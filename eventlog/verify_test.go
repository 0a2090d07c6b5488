package eventlog

import (
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

// recording is a log that yields what it was given, right or wrong.
type recording struct {
	Log
	events []Recorded
	head   Position
}

func (r recording) Head(context.Context) (Position, error) { return r.head, nil }

func (r recording) ReadAll(context.Context, Position, int) iter.Seq2[Recorded, error] {
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

func TestVerifyNamesTheFirstEventThatStandsInTheWrongPlace(t *testing.T) {
	good := []Recorded{at(1, "a", 0), at(2, "b", 0), at(7, "a", 1)}
	verified, err := Verify(context.Background(), recording{events: good, head: 7}, nil)
	require.NoError(t, err)
	require.Equal(t, Verified{Events: 3, Streams: 2, Head: 7}, verified)

	for words, c := range map[string]struct {
		next Recorded
		head Position
	}{
		"position 7 follows 7": {at(7, "a", 2), 7},
		"position 6 follows 7": {at(6, "a", 2), 7},
		"stream a goes on with revision 3 at position 8 instead of 2": {at(8, "a", 3), 8},
		"stream c goes on with revision 1 at position 8 instead of 0": {at(8, "c", 1), 8},
		"events after position 8 are missing, the head is 9":          {at(8, "a", 2), 9},
	} {
		_, err := Verify(context.Background(), recording{events: append(good[:3:3], c.next), head: c.head}, nil)
		require.ErrorIs(t, err, ErrDamaged)
		require.ErrorContains(t, err, words)
	}
}

func TestVerifySaysHowFarItIs(t *testing.T) {
	var long []Recorded
	for i := range 25_000 {
		long = append(long, at(Position(i+1), "a", Revision(i)))
	}
	var told []int
	_, err := Verify(context.Background(), recording{events: long, head: 25_000}, func(n int) { told = append(told, n) })
	require.NoError(t, err)
	require.Equal(t, []int{10_000, 20_000}, told)
}
