package eventlog

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAppendIsRepeatOnlyIfItsIDsAreAtTheRevisionsItWouldUse compares IsRepeat with the simplest implementation of the
// rule, over random streams and appends with few distinct ids.
func TestAppendIsRepeatOnlyIfItsIDsAreAtTheRevisionsItWouldUse(t *testing.T) {
	few := rapid.Map(rapid.IntRange(1, 3), func(n int) uuid.UUID { return uuid.UUID{15: byte(n)} })
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.SliceOfN(few, 0, 6).Draw(t, "stream")
		sent := rapid.SliceOfN(few, 1, 3).Draw(t, "append")
		expected := rapid.IntRange(-1, 7).Draw(t, "expected")
		events := make([]Event, len(sent))
		for i, id := range sent {
			events[i].ID = id
		}
		actual := Revision(len(stream) - 1)
		var stored []uuid.UUID
		if expected+1 < len(stream) {
			stored = stream[expected+1 : min(expected+1+len(sent), len(stream))]
		}
		repeat, err := IsRepeat("s", Revision(expected), actual, events, stored)
		all := expected+len(sent) < len(stream)
		for i := 0; all && i < len(sent); i++ {
			all = stream[expected+1+i] == sent[i]
		}
		switch {
		case Revision(expected) == actual:
			require.NoError(t, err)
			require.False(t, repeat)
		case all:
			require.NoError(t, err)
			require.True(t, repeat)
		default:
			require.Equal(t, &Conflict{Stream: "s", Expected: Revision(expected), Actual: actual}, err)
		}
	})
}

func TestParsePositionReversesString(t *testing.T) {
	for _, p := range []Position{0, 1, 1 << 40, ^Position(0)} {
		read, err := ParsePosition(p.String())
		require.NoError(t, err)
		require.Equal(t, p, read)
	}
	for _, bad := range []string{"", "-1", "x", "18446744073709551616"} {
		_, err := ParsePosition(bad)
		require.Error(t, err, bad)
	}
}
