package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// shape is the size of a fleet.
type shape struct{ machines, triggers int }

func (s shape) String() string { return fmt.Sprintf("machines=%d/triggers=%d", s.machines, s.triggers) }

// shapes show how the cost grows with the number of machines and triggers.
var shapes = []shape{{1_000, 1}, {10_000, 1}, {100_000, 1}, {10_000, 1_000}, {100_000, 1_000}}

// BenchmarkBurst measures the tick after n machines came online at once, half of which match one trigger:
// reading, folding, deciding and appending to the log in memory. It reports the CPU per decision.
func BenchmarkBurst(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String(), func(b *testing.B) {
			burst(b, s, func() eventlog.Log { return memory.New() })
		})
	}
}

// BenchmarkBurstDurable is BenchmarkBurst on a log on disk.
func BenchmarkBurstDurable(b *testing.B) {
	b.Run(shape{10_000, 1}.String(), func(b *testing.B) {
		burst(b, shape{10_000, 1}, func() eventlog.Log { return onDisk(b) })
	})
}

func onDisk(b *testing.B) eventlog.Log {
	b.Helper()
	log, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "drover.db"), sqlite.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() })
	return log
}

func burst(b *testing.B, s shape, open func() eventlog.Log) {
	b.Helper()
	b.ReportAllocs()
	var used time.Duration
	for range b.N {
		b.StopTimer()
		f := newFleet(b, open(), s.triggers, 1)
		f.arrive(s.machines)
		runtime.GC()
		before := cpu(b)
		b.StartTimer()
		if report := f.tick(); len(report.Appended) == 0 {
			b.Fatal("nothing was decided")
		}
		used += cpu(b) - before
	}
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N)/float64(s.machines/2), "cpu-µs/decision")
}

// BenchmarkIdleTick measures a tick without events, for a fleet that is up to date.
func BenchmarkIdleTick(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String(), func(b *testing.B) {
			f := settled(b, memory.New(), s)
			f.heartbeats()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				f.tick()
			}
		})
	}
}

// BenchmarkWaitingTick measures a tick without events while a tenth of the fleet waits: its machines were disabled
// before anything was deployed to them.
func BenchmarkWaitingTick(b *testing.B) {
	for _, s := range []shape{{10_000, 1}, {100_000, 1}} {
		b.Run(s.String(), func(b *testing.B) {
			f := settled(b, memory.New(), s)
			first := f.next
			f.arrive(s.machines / 10)
			f.disable(first)
			if report := f.tick(); len(report.Verdicts) != s.machines/20 {
				b.Fatal("not waiting", len(report.Verdicts))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				f.tick()
			}
		})
	}
}

// settled returns a fleet that is up to date.
func settled(b *testing.B, log eventlog.Log, s shape) *fleet {
	b.Helper()
	f := newFleet(b, log, s.triggers, 1)
	f.arrive(s.machines)
	f.tick()
	f.work()
	if report := f.tick(); len(report.Appended)+len(report.Verdicts) > 0 {
		b.Fatal("the fleet is not up to date", len(report.Appended), len(report.Verdicts))
	}
	return f
}

// BenchmarkJoin measures the tick after one machine has joined a fleet that is up to date.
func BenchmarkJoin(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String()+"/log=memory", func(b *testing.B) { join(b, memory.New(), s) })
	}
	b.Run(shape{10_000, 1}.String()+"/log=sqlite", func(b *testing.B) { join(b, onDisk(b), shape{10_000, 1}) })
}

func join(b *testing.B, log eventlog.Log, s shape) {
	b.Helper()
	f := settled(b, log, s)
	runtime.GC()
	var took []time.Duration
	var used time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		f.next += f.next % 2 // a machine of the shop
		f.arrive(1)
		before, begun := cpu(b), time.Now()
		b.StartTimer()
		if report := f.tick(); len(report.Appended) != 1 {
			b.Fatal("not deployed", len(report.Appended))
		}
		took, used = append(took, time.Since(begun)), used+cpu(b)-before
		b.StopTimer()
		f.work()
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/join")
}

// BenchmarkReact measures the reaction to one machine's claim while half of the fleet has an open part.
func BenchmarkReact(b *testing.B) {
	for _, s := range []shape{{1_000, 1}, {10_000, 1}, {100_000, 1}} {
		b.Run(s.String(), func(b *testing.B) {
			f := newFleet(b, memory.New(), s.triggers, 1)
			f.arrive(s.machines)
			f.tick()
			claims := f.shares()
			if len(claims) != s.machines/2 {
				b.Fatal("not deployed", len(claims))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				f.claim(claims[i%len(claims)])
				b.StartTimer()
				if _, err := f.servers[0].React(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkServers measures the tick of one server, and of three at once, after 10 000 machines came online
// together. It reports the CPU time per server. The budget is 1.5 times that of a single server.
func BenchmarkServers(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			var used time.Duration
			var passes atomic.Int64
			for range b.N {
				f := newFleet(b, memory.New(), 1, n)
				f.arrive(10_000)
				runtime.GC()
				before := cpu(b)
				passes.Add(tickAll(b, f.servers))
				used += cpu(b) - before
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N*n), "cpu-ms/server")
			b.ReportMetric(float64(passes.Load())/float64(b.N*n), "passes/server")
		})
	}
}

// tickAll runs a tick on all servers at once and returns the number of their passes.
func tickAll(b *testing.B, servers []*engine.Engine) int64 {
	var all sync.WaitGroup
	var passes atomic.Int64
	for _, e := range servers {
		all.Go(func() {
			report, err := e.Tick(context.Background())
			if err != nil {
				b.Error(err)
			}
			passes.Add(int64(report.Passes))
		})
	}
	all.Wait()
	return passes.Load()
}
