package eventlogtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// calls returns every call of a log, reduced to its error.
func calls(ctx context.Context, t testing.TB, log eventlog.Backend) map[string]func() error {
	return map[string]func() error{
		"Append":       func() error { _, err := log.Append(ctx, "a", eventlog.NoStream, event("a")); return err },
		"ReadStream":   func() error { return firstError(t, log.ReadStream(ctx, "a", 0, 0)) },
		"ReadAll":      func() error { return firstError(t, log.ReadAll(ctx, 0, 0)) },
		"Head":         func() error { _, err := log.Head(ctx); return err },
		"ID":           func() error { _, err := log.ID(ctx); return err },
		"Add":          func() error { return log.Add(ctx, eventlog.Output, chunk(1, "x")) },
		"Put a lease":  func() error { return log.Put(ctx, eventlog.Leases, eventlog.Lease(id("s"), []byte("x"))) },
		"Put":          func() error { return log.Put(ctx, eventlog.Cursors, item("k", 1, "x")) },
		"Swap":         func() error { return log.Swap(ctx, eventlog.Cursors, item("k", 1, "x"), 0) },
		"Newest lease": func() error { _, err := log.Newest(ctx, eventlog.Leases); return err },
		"Newest":       func() error { _, err := log.Newest(ctx, eventlog.Cursors); return err },
		"Items":        func() error { return firstError(t, log.Items(ctx, eventlog.Output, chunk(1, "").Key, 0, 0)) },
		"Drop a lease": func() error { return log.Drop(ctx, eventlog.Leases, id("s").String()) },
		"Drop":         func() error { return log.Drop(ctx, eventlog.Cursors, "k") },
		"Prune":        func() error { _, err := log.Prune(ctx, eventlog.Output, time.Now()); return err },
	}
}

var lifeLaws = []law{
	{"a call with a cancelled context changes nothing and returns the error of the context",
		func(t testing.TB, b handles) {
			ctx, cancel := context.WithCancel(bounded(t))
			cancel()
			for name, call := range calls(ctx, t, b.log) {
				err := call()
				require.ErrorIs(t, err, context.Canceled, name)
				require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome, name)
			}
			require.Empty(t, readAll(t, b.log))
			require.Empty(t, leases(t, b.log))
			require.Empty(t, newest(t, b.log, eventlog.Cursors))
			require.Empty(t, output(t, b.log, "m", 0, 0))
		}},
	{"a read ends when its context is cancelled", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(100, "a")...)
		ctx, cancel := context.WithCancel(bounded(t))
		defer cancel()
		n := 0
		var last error
		for _, err := range b.log.ReadAll(ctx, 0, 0) {
			if n++; n == 10 {
				cancel()
			}
			last = err
		}
		require.ErrorIs(t, last, context.Canceled)
		require.Less(t, n, 100)
	}},
	{"a log can be closed twice and refuses every later call", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, event("a"))
		log := b.log
		require.NoError(t, log.Close())
		require.NoError(t, log.Close())
		for name, call := range calls(bounded(t), t, log) {
			require.ErrorIs(t, call(), eventlog.ErrClosed, name)
		}
	}},
	{"closing a log during appends loses no acknowledged event", checkCloseDuringAppends},
	{"a reopened log has the same events, head and id", func(t testing.TB, b handles) {
		if b.Reopen == nil {
			t.Skipf("Close discards a log in %s", b.Name)
		}
		put(t, b.log, "a", eventlog.NoStream, events(3, "a")...)
		first := put(t, b.log, "b", eventlog.NoStream, events(3, "b")...)
		all := readAll(t, b.log)
		logID, err := b.log.ID(bounded(t))
		require.NoError(t, err)
		require.NoError(t, b.log.Close())
		again := b.Reopen(t, b.log)
		defer func() { require.NoError(t, again.Close()) }()
		require.Equal(t, all, readAll(t, again))
		sameID, err := again.ID(bounded(t))
		require.NoError(t, err)
		require.Equal(t, logID, sameID)
		repeated(t, again, first, "b", eventlog.NoStream, events(3, "b")...)
		next := put(t, again, "a", 2, event("c"))
		require.Greater(t, next.Position, first.Position)
	}},
	{"two logs have different ids", func(t testing.TB, b handles) {
		if b.Reopen == nil {
			t.Skipf("logs in %s have the configured id", b.Name)
		}
		other := b.Open(t)
		defer func() { require.NoError(t, other.Close()) }()
		one, err := b.log.ID(bounded(t))
		require.NoError(t, err)
		two, err := other.ID(bounded(t))
		require.NoError(t, err)
		require.NotEqual(t, one, two)
		same, err := b.second.ID(bounded(t))
		require.NoError(t, err)
		require.Equal(t, one, same)
	}},
}

// checkCloseDuringAppends closes a log between appends. Each append must have returned an error, or be in the log
// afterwards.
func checkCloseDuringAppends(t testing.TB, b handles) {
	log := b.Open(t)
	acknowledged := make(chan int, 1)
	started := make(chan struct{})
	go func() {
		n := 0
		for {
			if _, err := log.Append(bounded(t), "a", eventlog.Revision(n-1), event(n)); err != nil {
				break
			}
			if n++; n == 10 {
				close(started)
			}
		}
		acknowledged <- n
	}()
	<-started
	require.NoError(t, log.Close())
	n := <-acknowledged
	if b.Reopen == nil {
		return
	}
	again := b.Reopen(t, log)
	defer func() { require.NoError(t, again.Close()) }()
	require.GreaterOrEqual(t, len(readAll(t, again)), n)
}
