package access

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

type stepClock struct{ elapsed time.Duration }

func (c *stepClock) Now() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(c.elapsed)
}
func (c *stepClock) Elapsed() time.Duration { return c.elapsed }

// countingStore counts writes.
type countingStore struct {
	eventlog.Store
	puts int
	err  error
}

func (s *countingStore) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	if s.err != nil {
		return s.err
	}
	s.puts++
	return s.Store.Put(ctx, c, item)
}

func (s *countingStore) Newest(ctx context.Context, c eventlog.Collection) (map[string]eventlog.Item, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Newest(ctx, c)
}

// usesFixture is two servers on one store.
type usesFixture struct {
	clock *stepClock
	store *countingStore
	a, b  *Access
}

func newUsesFixture() usesFixture {
	f := usesFixture{clock: &stepClock{}, store: &countingStore{Store: memory.New()}}
	f.a, f.b = &Access{clock: f.clock, audit: newAudit()}, &Access{clock: f.clock, audit: newAudit()}
	f.a.StoreUsesIn(f.store)
	f.b.StoreUsesIn(f.store)
	return f
}

// minute advances the clock by a minute, uses a token on servers, and lets both servers store uses.
func (f usesFixture) minute(t *testing.T, token string, servers ...*Access) {
	t.Helper()
	f.clock.elapsed += time.Minute
	for _, a := range servers {
		a.uses.use(token, f.clock.Now())
	}
	require.NoError(t, f.a.StoreUses(t.Context(), false))
	require.NoError(t, f.b.StoreUses(t.Context(), false))
}

func TestTokenInConstantUseIsStoredOncePerHour(t *testing.T) {
	f := newUsesFixture()
	for range 6 * 60 {
		f.minute(t, "ci", f.a, f.b)
	}
	require.Equal(t, 6, f.store.puts, "two servers together write once per hour")
	for range 6 * 60 {
		f.minute(t, "ci")
	}
	require.Equal(t, 6, f.store.puts, "no use, no write")
}

func TestLastUseIsKnownOnEveryServerAndAfterARestart(t *testing.T) {
	f := newUsesFixture()
	f.minute(t, "ci", f.a)
	first := f.clock.Now()
	f.minute(t, "ci", f.a)
	require.Equal(t, f.clock.Now(), f.a.LastUses(t.Context())["ci"], "the server itself knows every use")
	require.Equal(t, first, f.b.LastUses(t.Context())["ci"], "others know what is stored")
	require.NoError(t, f.a.StoreUses(t.Context(), true)) // the server stops
	restarted := &Access{clock: f.clock, audit: newAudit()}
	restarted.StoreUsesIn(f.store)
	require.Equal(t, f.clock.Now(), restarted.LastUses(t.Context())["ci"])
	puts := f.store.puts
	require.NoError(t, f.b.StoreUses(t.Context(), true))
	require.Equal(t, puts, f.store.puts, "a server without uses stores nothing")
}

func TestEarlierUseNeverReplacesALaterOne(t *testing.T) {
	f := newUsesFixture()
	f.b.uses.use("ci", f.clock.Now())
	f.clock.elapsed += 3 * time.Hour
	f.minute(t, "ci", f.a)
	require.Equal(t, f.clock.Now(), f.b.LastUses(t.Context())["ci"])
	f.a.uses.use("ci", f.clock.Now().Add(-24*time.Hour)) // the clock was set back
	require.Equal(t, f.clock.Now(), f.a.LastUses(t.Context())["ci"])
}

func TestStoreThatFailsHidesNoUseOfThisServer(t *testing.T) {
	f := newUsesFixture()
	f.store.err = errors.New("unavailable")
	f.a.uses.use("ci", f.clock.Now())
	require.ErrorIs(t, f.a.StoreUses(t.Context(), false), f.store.err)
	require.Equal(t, f.clock.Now(), f.a.LastUses(t.Context())["ci"])
	f.store.err = nil
	require.NoError(t, f.a.StoreUses(t.Context(), false))
	require.Equal(t, 1, f.store.puts)
}

func TestFirstUseOfAnHourIsReported(t *testing.T) {
	f := newUsesFixture()
	require.True(t, f.a.uses.use("ci", f.clock.Now()))
	require.False(t, f.a.uses.use("ci", f.clock.Now().Add(59*time.Minute)))
	require.True(t, f.a.uses.use("ci", f.clock.Now().Add(60*time.Minute)))
	require.True(t, f.a.uses.use("laptop", f.clock.Now()))
}

func BenchmarkUse(b *testing.B) {
	f := newUsesFixture()
	now := f.clock.Now()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		f.a.uses.use("0123456789ab", now)
	}
}
