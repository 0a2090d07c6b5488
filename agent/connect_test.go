package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/clock"
)

// attempts runs a connector against servers that are all down. It returns the time and the server of each attempt.
func attempts(t *testing.T, limit time.Duration, count int, servers ...string) (at []time.Duration, which []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	c := &connector{
		servers: servers,
		log:     zap.NewNop(),
		elapsed: func() time.Duration { return time.Since(begin) },
		open: func(_ context.Context, address string, _ client.Hello) (connection, client.Welcome, error) {
			at, which = append(at, time.Since(begin)), append(which, address)
			if len(at) == count {
				cancel()
			}
			return nil, client.Welcome{}, errors.New("connection refused")
		},
	}
	_, err := c.connect(ctx, client.Hello{}, limit)
	require.ErrorIs(t, err, context.Canceled)
	return at, which
}

func TestBackoffDoublesUpToItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, which := attempts(t, 15*time.Second, 12, "a", "b", "c")
		require.Zero(t, at[0], "the first attempt has no wait")
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

// hungAttempts runs a connector against servers of which none answers, except that every connection to a server named
// "refusing" is refused. It returns when each attempt started, and how long it lasted.
func hungAttempts(t *testing.T, limit time.Duration, count int, servers ...string) (at, lasted []time.Duration) {
	t.Helper()
	begin := time.Now()
	elapsed := func() time.Duration { return time.Since(begin) }
	ctx, cancel := context.WithCancel(t.Context())
	c := &connector{servers: servers, log: zap.NewNop(), elapsed: elapsed,
		open: func(ctx context.Context, address string, _ client.Hello) (connection, client.Welcome, error) {
			if address != "refusing" {
				dialing, stop := context.WithTimeout(ctx, dialTimeout)
				defer stop()
				ctx = dialing
			}
			at = append(at, elapsed())
			if address != "refusing" {
				<-ctx.Done()
			}
			lasted = append(lasted, elapsed()-at[len(at)-1])
			if len(lasted) == count {
				cancel()
			}
			return nil, client.Welcome{}, errors.New("no connection")
		}}
	_, err := c.connect(ctx, client.Hello{}, limit)
	require.ErrorIs(t, err, context.Canceled)
	return at, lasted
}

func TestServerThatHangsKeepsAnAgentFromOthersForAShortTime(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		servers []string
		lasted  []time.Duration
	}{
		{[]string{"only"}, []time.Duration{10 * s, 10 * s}},
		{[]string{"a", "b", "c"}, []time.Duration{2 * s, 2 * s, 2 * s, 4 * s, 4 * s, 4 * s, 8 * s, 8 * s, 8 * s, 10 * s}},
		{[]string{"a", "refusing"}, []time.Duration{3 * s, 0, 3 * s, 0, 3 * s, 0, 3 * s}}, // a is suspended, not slow
	} {
		synctest.Test(t, func(t *testing.T) {
			at, lasted := hungAttempts(t, 6*s, len(test.lasted), test.servers...)
			require.Equal(t, test.lasted, lasted)
			for n := 1; n < len(at); n++ {
				require.LessOrEqual(t, at[n]-at[n-1], max(6*s, lasted[n-1]), "the attempt is part of the wait")
			}
		})
	}
}

func TestShortOfflineAfterLimitsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, _ := attempts(t, 500*time.Millisecond, 20, "a")
		for i := 1; i < len(at); i++ {
			require.LessOrEqual(t, at[i]-at[i-1], 500*time.Millisecond)
		}
	})
}

func TestLongConnectionResetsTheBackoff(t *testing.T) {
	var b Backoff
	require.Zero(t, b.Next(time.Minute))
	for range 10 {
		b.Next(time.Minute)
	}
	b.ConnectionLasted(0)
	require.Greater(t, b.Next(time.Minute), 10*time.Second,
		"a server that closes each connection immediately does not reset the backoff")
	b.ConnectionLasted(time.Hour)
	require.LessOrEqual(t, b.Next(time.Minute), firstDelay)
}

func TestAgentsShuffleTheirServers(t *testing.T) {
	first := map[string]int{}
	for range 300 {
		own := shuffled([]string{"a", "b", "c"})
		require.ElementsMatch(t, []string{"a", "b", "c"}, own)
		first[own[0]]++
	}
	require.Len(t, first, 3, "%v", first)
}

func TestOutageIsLoggedOncePerServerAndReason(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	c := &connector{log: zap.New(core)}
	for range 50 {
		c.logFailure("a", errors.New("connection refused"))
		c.logFailure("b", errors.New("no route to host"))
	}
	c.logFailure("a", errors.New("the server answered 503"))
	require.Equal(t, 3, logged.Len())
}

func TestRedirectNeverDowngradesToAnUnencryptedConnection(t *testing.T) {
	c := &connector{log: zap.NewNop()}
	for _, redirect := range []struct {
		from, to string
		follows  bool
	}{
		{"wss://one.example.com/api/v1/agent", "https://two.example.com", true},
		{"wss://one.example.com/api/v1/agent", "http://two.example.com", false},
		{"wss://one.example.com/api/v1/agent", "http://127.0.0.1:7070", true},
		{"ws://one.example.com/api/v1/agent", "http://two.example.com", true},
		{"ws://127.0.0.1:7070/api/v1/agent", "http://two.example.com", false},
		{"wss://one.example.com/api/v1/agent", "not a URL", false},
		{"unix:///var/lib/drover/drover.sock", "http://two.example.com", false},
		{"wss://one.example.com/api/v1/agent", "unix:///tmp/any.sock", false},
	} {
		c.redirect = ""
		c.handleRefusal(&refusal{Refused: client.Refused{Server: redirect.to}, from: redirect.from, proven: true})
		require.Equal(t, redirect.follows, c.redirect != "", "from %s to %s", redirect.from, redirect.to)
	}
}

// Other servers refuse a restarted agent and name the server of its earlier session, which does not answer.
func TestRedirectToAServerThatHasJustFailedIsIgnored(t *testing.T) {
	const one, two = "ws://127.0.0.1:7071/api/v1/agent", "http://127.0.0.1:7072"
	c := &connector{log: zap.NewNop()}
	refused := &refusal{Refused: client.Refused{Server: two}, from: one, proven: true}
	c.handleRefusal(refused)
	require.Equal(t, "ws://127.0.0.1:7072/api/v1/agent", c.address())
	c.logFailure("ws://127.0.0.1:7072/api/v1/agent", errors.New("no welcome in time"))
	c.handleRefusal(refused)
	require.Empty(t, c.redirect)
}

// silentConn is a test double of a connection whose other end is silent without a close.
type silentConn struct {
	connection
	pings   atomic.Int32
	dropped atomic.Bool
}

func (l *silentConn) Ping(ctx context.Context) error {
	l.pings.Add(1)
	<-ctx.Done()
	return ctx.Err()
}

func (l *silentConn) Drop() { l.dropped.Store(true) }

func TestSilentServerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := &silentConn{}
		l := &link{connection: silent, elapsed: clock.New().Elapsed}
		l.heard()
		for range 44 {
			time.Sleep(time.Second)
			l.probe(t.Context(), 30*time.Second)
		}
		require.False(t, silent.dropped.Load())
		require.EqualValues(t, 1, silent.pings.Load(), "one ping at a time")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.True(t, silent.dropped.Load())
	})
}

func TestCloseReasonIsTheReasonOfTheServer(t *testing.T) {
	lost := errors.New("connection reset")
	require.Equal(t, lost, closeReason(lost))
	closed := websocket.CloseError{Code: websocket.StatusGoingAway, Reason: "the server is shutting down"}
	require.EqualError(t, closeReason(fmt.Errorf("read: %w", closed)),
		"closed by the server: the server is shutting down")
}

func TestOutageWhoseSentencesDifferOnlyInAPortIsLoggedOnce(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	c := &connector{log: zap.New(core)}
	for port := range 500 {
		c.logFailure("a", fmt.Errorf("read tcp 127.0.0.1:%d->127.0.0.1:7070: read: connection reset by peer", 40_000+port))
		c.logFailure("a", fmt.Errorf("read tcp [::1]:%d->[::1]:7070: i/o timeout", 40_000+port)) // proxies alternate
	}
	require.Equal(t, 2, logged.Len())
	for _, broken := range []error{io.EOF, &net.OpError{Op: "read", Err: errors.New("reset")}, &net.OpError{Op: "write",
		Err: errors.New("broken pipe")}} {
		c.logFailure("b", fmt.Errorf("get: %w", broken))
	}
	require.Equal(t, 3, logged.Len(), "one proxy resets a connection in several ways")
	c.logFailure("b", &net.OpError{Op: "dial", Err: errors.New("connection refused")})
	require.Equal(t, 4, logged.Len())
}

func TestServerCannotFillTheLogOfAnAgent(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	c := &connector{log: zap.New(core)}
	for n := range 500 {
		c.logFailure("a", fmt.Errorf("reason %d: %s", n, strings.Repeat("x", 100_000)))
	}
	require.LessOrEqual(t, logged.Len(), 20)
	for _, line := range logged.All() {
		require.Less(t, len(line.ContextMap()["error"].(string)), 2000) //nolint:forcetypeassert // a text
	}
}
