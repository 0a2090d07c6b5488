package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// BenchmarkContention measures clients that write to one project on one server with a log on disk. It reports the
// commands per second, the share of appends that the log refused, and the refused commands. With turns=false, each
// command is decided at once and retried after a conflict.
func BenchmarkContention(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		for _, turns := range []bool{false, true} {
			b.Run(fmt.Sprintf("clients=%d/turns=%t", clients, turns), func(b *testing.B) { contend(b, clients, turns) })
		}
	}
}

// countedLog counts all appends and the refused ones.
type countedLog struct {
	eventlog.Log
	appends, conflicts atomic.Int64
}

func (l *countedLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	l.appends.Add(1)
	appended, err := l.Log.Append(ctx, stream, expected, events...)
	if errors.As(err, new(*eventlog.Conflict)) {
		l.conflicts.Add(1)
	}
	return appended, err
}

func contend(b *testing.B, clients int, turns bool) {
	b.Helper()
	log := &countedLog{Log: onDisk(b)}
	f := newFleet(b, log, 1, 1)
	f.arrive(clients)
	e := f.servers[0]
	f.must(e.CatchUp(context.Background()))
	if !turns {
		e.WithoutTurns()
	}
	log.appends.Store(0)
	var refused atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for n := range clients {
		all.Go(func() {
			machine := fmt.Sprintf("web-%07d", n)
			for i := n; i < b.N; i += clients {
				_, err := e.Handle(context.Background(), domain.ID(uuid.New()), domain.SetHold{Project: "shop", Machine: machine,
					Reason: fmt.Sprint(i)})
				if err != nil {
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(int64(b.N)-refused.Load())/b.Elapsed().Seconds(), "commands/s")
	b.ReportMetric(100*float64(log.conflicts.Load())/float64(max(1, log.appends.Load())), "%conflicts")
	b.ReportMetric(float64(refused.Load()), "refused")
}

// BenchmarkLoneCommand measures one command at a time on a log in memory, so that only the cost of drover counts.
func BenchmarkLoneCommand(b *testing.B) {
	for _, turns := range []bool{true, false} {
		b.Run(fmt.Sprintf("turns=%t", turns), func(b *testing.B) {
			f := newFleet(b, memory.New(), 1, 1)
			f.arrive(1)
			if !turns {
				f.servers[0].WithoutTurns()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				f.do(domain.SetMachineEnabled{Name: "web-0000000", Enabled: i%2 == 1})
			}
		})
	}
}
