package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

var nine = time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)

// logAt returns a log whose events have these minutes after nine as their times.
func logAt(t testing.TB, minutes ...int) *memory.Log {
	log := memory.New()
	typeName, data, err := domain.Encode(domain.EnvironmentDefined{})
	require.NoError(t, err)
	for i, minute := range minutes {
		_, err := log.Append(context.Background(), domain.EnvironmentStream(fmt.Sprint("e", i)), eventlog.NoStream,
			eventlog.Event{ID: uuid.New(), Type: typeName, Time: nine.Add(time.Duration(minute) * time.Minute), Data: data})
		require.NoError(t, err)
	}
	return log
}

// repeated returns n times the same minute.
func repeated(n, minute int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = minute
	}
	return all
}

func together(parts ...[]int) (all []int) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func TestMomentOfATimeIsThePositionThatTheFewestEventsContradict(t *testing.T) {
	const now, future, past = 100, 100_000, -100_000
	for name, c := range map[string]struct {
		minutes []int
		at      int
		want    eventlog.Position
	}{
		"an empty log":                             {nil, 10, 0},
		"before the first event":                   {[]int{10, 20}, 9, 0},
		"at an event":                              {[]int{10, 20, 30}, 20, 2},
		"between two events":                       {[]int{10, 20, 30}, 25, 2},
		"after the last event":                     {[]int{10, 20, 30}, 40, 3},
		"clocks that differ slightly":              {[]int{10, 20, 22, 21, 30}, 21, 4},
		"one event from the future":                {[]int{10, future, 30, 40}, 35, 3},
		"one event from the future, before it":     {[]int{10, future, 30, 40}, 25, 2},
		"the last event is from the future":        {[]int{10, 20, future}, 20, 3},
		"many events from the future":              {together([]int{10}, repeated(500, future), []int{30, 40}), 35, 502},
		"one event that was ahead and is past":     {[]int{10, 90, 30, 40, 50, 95}, 45, 4},
		"several events that were ahead":           {together(repeated(9, 10), repeated(5, 90), repeated(6, 30), []int{95}), 40, 20},
		"one event from the past":                  {[]int{10, 20, 30, 40, past, 50}, 20, 2},
		"several events from the past":             {together(repeated(9, 10), repeated(6, 50), repeated(5, past), []int{60}), 20, 9},
		"the first event is from the past":         {[]int{past, 10, 20}, 5, 1},
		"more events than are examined beyond it":  {together([]int{10}, repeated(10_001, 50), repeated(20_000, 10)), 20, 1},
		"as many events as are examined beyond it": {together([]int{10}, repeated(4_999, 50), repeated(5_000, 10)), 20, 10_000},
		"now": {[]int{10, 20, future, past}, now, 4},
		"an event between the time and the present": {[]int{10, 99}, 98, 1},
	} {
		t.Run(name, func(t *testing.T) {
			minute := func(n int) time.Time { return nine.Add(time.Duration(n) * time.Minute) }
			m, err := engine.MomentAt(context.Background(), logAt(t, c.minutes...), minute(c.at), minute(now))
			require.NoError(t, err)
			require.Equal(t, c.want, m.Position)
		})
	}
}

func TestAgesInThePastIgnoreEventsWithALaterTime(t *testing.T) {
	now := nine.Add(time.Hour)
	ages := func(log eventlog.Log, m engine.Moment, err error) (minutes []int) {
		require.NoError(t, err)
		_, age, err := engine.Replay(context.Background(), log, m)
		require.NoError(t, err)
		for p := eventlog.Position(1); p <= m.Position; p++ {
			minutes = append(minutes, int(age(p)/time.Minute))
		}
		return minutes
	}
	log := logAt(t, 0, 1000, 10, 20, -1000, 30)
	m, err := engine.MomentAt(context.Background(), log, nine.Add(25*time.Minute), now)
	require.Equal(t, []int{25, 0, 15, 5, 1025}, ages(log, m, err))

	m, err = engine.MomentOf(context.Background(), log, 4, now)
	require.Equal(t, []int{20, 0, 10, 0}, ages(log, m, err))
	m, err = engine.MomentOf(context.Background(), log, 2, now)
	require.Equal(t, []int{20, 0}, ages(log, m, err),
		"the time of the second event is wrong: most of the later ones are earlier")
	m, err = engine.MomentOf(context.Background(), log, 6, now)
	require.Equal(t, []int{30, 0, 20, 10, 1030, 0}, ages(log, m, err), "nothing follows that bounds the second event")
	m, err = engine.MomentOf(context.Background(), log, 5, now)
	require.Equal(t, []int{10, 0, 0, 0, 1010}, ages(log, m, err), "the time of the fifth event is wrong")

	log = logAt(t, 0, 10, 20, 30)
	m, err = engine.MomentOf(context.Background(), log, 3, now)
	require.Equal(t, []int{20, 10, 0}, ages(log, m, err))
}

// BenchmarkMomentAt finds a time at the end of a log with a million events.
func BenchmarkMomentAt(b *testing.B) {
	minutes := make([]int, 1_000_000)
	for i := range minutes {
		minutes[i] = i
	}
	log, now := logAt(b, minutes...), nine.Add(time.Duration(len(minutes))*time.Minute)
	for b.Loop() {
		_, err := engine.MomentAt(context.Background(), log, now, now)
		require.NoError(b, err)
	}
}
