package eventlogtest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// operations returns every operation on a collection, reduced to its error.
func operations(ctx context.Context, t testing.TB, log eventlog.Backend, c eventlog.Collection,
	it eventlog.Item) map[eventlog.Operation]func() error {
	return map[eventlog.Operation]func() error{
		eventlog.OpAdd:    func() error { return log.Add(ctx, c, it) },
		eventlog.OpPut:    func() error { return log.Put(ctx, c, it) },
		eventlog.OpSwap:   func() error { return log.Swap(ctx, c, it, 0) },
		eventlog.OpNewest: func() error { _, err := log.Newest(ctx, c); return err },
		eventlog.OpItems:  func() error { return firstError(t, log.Items(ctx, c, it.Key, 0, 0)) },
		eventlog.OpDrop:   func() error { return log.Drop(ctx, c, it.Key) },
		eventlog.OpPrune:  func() error { _, err := log.Prune(ctx, c, noon); return err },
	}
}

// valid returns an item that c accepts.
func valid(c eventlog.Collection) eventlog.Item {
	switch c {
	case eventlog.Leases:
		return eventlog.Lease(id("s"), []byte("x"))
	case eventlog.Output:
		return chunk(1, "x")
	}
	return item("k", 1, "x")
}

// storeLaws apply to all collections.
var storeLaws = []law{
	{"an unsupported operation is refused", func(t testing.TB, b handles) {
		for _, c := range append(eventlog.Collections(), "", "unknown") {
			for op, run := range operations(bounded(t), t, b.log, c, valid(c)) {
				if err := run(); c.Supports(op) {
					require.NoError(t, err, "%s %s", op, c)
				} else {
					require.ErrorIs(t, err, eventlog.ErrInvalid, "%s %s", op, c)
				}
			}
		}
	}},
	{"an invalid key is refused", func(t testing.TB, b handles) {
		long := strings.Repeat("k", eventlog.MaxNameBytes+1)
		invalid := map[eventlog.Collection][]string{
			eventlog.Leases: {"web-01", strings.ToUpper(id("s").String()), "{" + id("s").String() + "}",
				id("s").String() + " "},
			eventlog.Output: {
				"web-01", id("d").String(), id("d").String() + "/", "/m", strings.ToUpper(id("d").String()) + "/m",
				id("d").String() + "/a\x00b", id("d").String() + "/" + long,
			},
		}
		for _, c := range eventlog.Collections() {
			for _, key := range append(invalid[c], "", long, "a\x00b", "a\nb", "\x7f", "a\xff", "\u0085") {
				it := valid(c)
				it.Key = key
				for op, run := range operations(bounded(t), t, b.log, c, it) {
					if op == eventlog.OpNewest || op == eventlog.OpPrune || !c.Supports(op) {
						continue
					}
					err := run()
					require.ErrorIs(t, err, eventlog.ErrInvalid, "%s %s under %q", op, c, key)
					require.Less(t, len(err.Error()), 400, "the error message is too long")
				}
			}
			if c.Supports(eventlog.OpNewest) {
				require.Empty(t, newest(t, b.log, c))
			}
		}
	}},
	{"the longest key and the largest item are accepted and one byte more is refused", func(t testing.TB, b handles) {
		for _, c := range eventlog.Collections() {
			it := valid(c)
			switch {
			case c.Durable():
				it.Key = strings.Repeat("k", eventlog.MaxNameBytes)
			case c == eventlog.Output:
				it.Key = eventlog.OutputKey(id("d"), strings.Repeat("m", eventlog.MaxNameBytes))
			}
			it.Data = make([]byte, c.MaxBytes())
			larger := it
			larger.Data = make([]byte, c.MaxBytes()+1)
			for _, op := range []eventlog.Operation{eventlog.OpAdd, eventlog.OpPut, eventlog.OpSwap} {
				if c.Supports(op) {
					require.ErrorIs(t, operations(bounded(t), t, b.log, c, larger)[op](), eventlog.ErrTooLarge,
						"%s %s", op, c)
					require.NoError(t, operations(bounded(t), t, b.log, c, it)[op](), "%s %s", op, c)
				}
			}
			if c.Supports(eventlog.OpNewest) {
				require.Equal(t, map[string]eventlog.Item{it.Key: it}, newest(t, b.second, c))
				continue
			}
			require.Equal(t, []eventlog.Item{it}, collect(t, b.second.Items(bounded(t), c, it.Key, 0, 0)))
		}
	}},
}
