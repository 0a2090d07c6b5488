package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/api/client"
)

// attempts lets a connector try servers that are all down and returns when it tried which.
func attempts(t *testing.T, limit time.Duration, count int, servers ...string) (at []time.Duration, which []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	c := &connector{servers: servers, log: zap.NewNop(), dial: func(_ context.Context, address string) (line, error) {
		at, which = append(at, time.Since(begin)), append(which, address)
		if len(at) == count {
			cancel()
		}
		return nil, errors.New("connection refused")
	}}
	_, err := c.connect(ctx, client.Hello{}, limit)
	require.ErrorIs(t, err, context.Canceled)
	return at, which
}

func TestTheWaitBetweenAttemptsDoublesUpToItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, which := attempts(t, 15*time.Second, 12, "a", "b", "c")
		require.Zero(t, at[0], "the first attempt is at once")
		longest := firstDelay
		for i := 1; i < len(at); i++ {
			wait := at[i] - at[i-1]
			require.LessOrEqual(t, wait, longest)
			require.GreaterOrEqual(t, wait, longest/2-1)
			longest = min(2*longest, 15*time.Second)
		}
		require.Equal(t, []string{"a", "b", "c", "a"}, which[:4], "the servers are tried in turn")
	})
}

func TestAPolicyWithAShortAbsenceMakesAttemptsMoreFrequent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, _ := attempts(t, 500*time.Millisecond, 20, "a")
		for i := 1; i < len(at); i++ {
			require.LessOrEqual(t, at[i]-at[i-1], 500*time.Millisecond)
		}
	})
}

func TestAConnectionThatLivedMakesTheNextAttemptQuickAgain(t *testing.T) {
	var b Backoff
	require.Zero(t, b.Next(time.Minute))
	for range 10 {
		b.Next(time.Minute)
	}
	b.Lived(0)
	require.Greater(t, b.Next(time.Minute), 10*time.Second, "a server that ends each connection at once is not stormed")
	b.Lived(time.Hour)
	require.LessOrEqual(t, b.Next(time.Minute), firstDelay)
}

func TestAgentsSpreadOverTheirServers(t *testing.T) {
	first := map[string]int{}
	for range 300 {
		own := shuffled([]string{"a", "b", "c"})
		require.ElementsMatch(t, []string{"a", "b", "c"}, own)
		first[own[0]]++
	}
	require.Len(t, first, 3, "%v", first)
}

func TestAnOutageIsSaidOnceInTheLog(t *testing.T) {
	core, said := observer.New(zap.WarnLevel)
	c := &connector{log: zap.New(core)}
	for range 50 {
		c.complain("a", errors.New("connection refused"))
		c.complain("b", errors.New("no route to host"))
	}
	c.complain("a", errors.New("the server answered 503"))
	require.Equal(t, 3, said.Len())
}

func TestNoRefusalLeadsFromASecretConnectionToAnOpenOne(t *testing.T) {
	c := &connector{log: zap.NewNop()}
	for _, way := range []struct {
		from, to string
		goes     bool
	}{
		{"wss://one.example.com/api/v1/agent", "https://two.example.com", true},
		{"wss://one.example.com/api/v1/agent", "http://two.example.com", false},
		{"wss://one.example.com/api/v1/agent", "http://127.0.0.1:7070", true},
		{"ws://one.example.com/api/v1/agent", "http://two.example.com", true},
		{"ws://127.0.0.1:7070/api/v1/agent", "http://two.example.com", false},
		{"wss://one.example.com/api/v1/agent", "no URL", false},
	} {
		c.ahead = ""
		c.refused(&refusal{Refused: client.Refused{Server: way.to}, from: way.from})
		require.Equal(t, way.goes, c.ahead != "", "from %s to %s", way.from, way.to)
	}
}

// silentLine is a double of a connection whose other end is gone without a word.
type silentLine struct {
	line
	pings   atomic.Int32
	dropped atomic.Bool
}

func (l *silentLine) Ping(ctx context.Context) error {
	l.pings.Add(1)
	<-ctx.Done()
	return ctx.Err()
}

func (l *silentLine) Drop() { l.dropped.Store(true) }

func TestAServerThatAnswersNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := &silentLine{}
		l := &link{line: gone}
		l.heard.Store(time.Now().UnixNano())
		for range 44 {
			time.Sleep(time.Second)
			l.probe(t.Context(), 30*time.Second)
		}
		require.False(t, gone.dropped.Load())
		require.EqualValues(t, 1, gone.pings.Load(), "one question at a time")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.True(t, gone.dropped.Load())
	})
}
