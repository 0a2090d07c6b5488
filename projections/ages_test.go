package projections

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/eventlog"
)

func TestEventAgeCountsFromTheReadThatFoldedIt(t *testing.T) {
	var a Ages
	a.Mark(3, 10*time.Second)
	a.Mark(7, 20*time.Second)
	require.Equal(t, 20*time.Second, a.Since(2, 30*time.Second))
	require.Equal(t, 10*time.Second, a.Since(4, 30*time.Second))
	require.Zero(t, a.Since(8, 30*time.Second), "not folded yet")
}

func TestRestartCountsAgesFromNow(t *testing.T) {
	var a Ages
	a.Mark(3, 10*time.Second)
	a.Restart(time.Hour)
	require.Equal(t, time.Second, a.Since(3, time.Hour+time.Second))
}

func TestThinningNeverMakesEventsOlder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Ages
		at := map[eventlog.Position]time.Duration{}
		now := time.Duration(0)
		n := rapid.IntRange(1, 3*maxMarks/2).Draw(t, "events")
		for p := eventlog.Position(1); p <= eventlog.Position(n); p++ {
			now += time.Millisecond
			at[p] = now
			a.Mark(p, now)
		}
		p := eventlog.Position(rapid.IntRange(1, n).Draw(t, "position"))
		if age := a.Since(p, now); age > now-at[p] || age < 0 {
			t.Fatalf("event %d is %s old, Since returns %s", p, now-at[p], age)
		}
	})
}

func TestResumedAgesCountFromTheResumeAndKeepTheMarks(t *testing.T) {
	var before, after Ages
	for position := range 3000 {
		before.Mark(eventlog.Position(position+1), time.Duration(position))
	}
	after.Resume(before.Marks(), time.Hour)
	after.Mark(3005, time.Hour+time.Second)
	require.Equal(t, time.Minute, after.Since(2999, time.Hour+time.Minute))
	require.Equal(t, 59*time.Second, after.Since(3001, time.Hour+time.Minute))
	require.Equal(t, eventlog.Position(2500), after.AtOrBelow(2500))
	require.Zero(t, after.AtOrBelow(100), "older positions are not saved")
}

func TestMarksAreThinnedInTheOlderHalfOnly(t *testing.T) {
	var a Ages
	for p := range maxMarks {
		a.Mark(eventlog.Position(p+1), time.Duration(p+1))
	}
	require.Len(t, a.marks, maxMarks)
	a.Mark(maxMarks+1, maxMarks+1)
	require.Len(t, a.marks, maxMarks*3/4+1)
	now := time.Duration(maxMarks + 1)
	require.Equal(t, now-2, a.Since(1, now), "event 1 has the time of event 2")
	require.Equal(t, now-maxMarks/2, a.Since(maxMarks/2, now))
	for p := maxMarks/2 + 1; p <= maxMarks+1; p++ {
		require.Equal(t, now-time.Duration(p), a.Since(eventlog.Position(p), now))
	}
	require.Len(t, a.Marks(), maxSavedMarks)
	require.Equal(t, eventlog.Position(maxMarks+1), a.Marks()[maxSavedMarks-1])
}

func TestMarkOfAnOlderPositionIsIgnored(t *testing.T) {
	var a Ages
	a.Restart(time.Hour)
	require.Empty(t, a.marks, "nothing was marked yet")
	a.Mark(5, time.Second)
	a.Mark(5, time.Minute)
	a.Mark(3, time.Minute)
	require.Equal(t, time.Minute-time.Second, a.Since(5, time.Minute))
	a.Mark(7, time.Second)
	require.Len(t, a.marks, 1, "events that were folded at one moment share a mark")
	require.Equal(t, eventlog.Position(7), a.AtOrBelow(9))
}

func TestDelayExcludesTimeButMakesNoEventYoungerThanNow(t *testing.T) {
	var a Ages
	a.Mark(3, 10*time.Second)
	a.Mark(7, 20*time.Second)
	a.Delay(15*time.Second, 30*time.Second)
	require.Equal(t, 5*time.Second, a.Since(3, 30*time.Second))
	require.Zero(t, a.Since(7, 30*time.Second))
	require.Equal(t, []eventlog.Position{3, 7}, a.Marks())
}
