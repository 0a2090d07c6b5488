package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// BenchmarkBurst measures the tick after n machines came online at once, half of which match one trigger:
// reading, folding, deciding and appending to the log in memory. It reports the time per decision.
func BenchmarkBurst(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("machines=%d", n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				e := burst(b, n, 1)[0]
				b.StartTimer()
				report, err := e.Tick(context.Background())
				if err != nil || len(report.Appended) == 0 {
					b.Fatal(err, len(report.Appended))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n/2), "µs/decision")
		})
	}
}

// BenchmarkIdleTick measures a tick in which nothing has happened.
func BenchmarkIdleTick(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("machines=%d", n), func(b *testing.B) {
			e := burst(b, n, 1)[0]
			for range 3 {
				if _, err := e.Tick(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for range b.N {
				if _, err := e.Tick(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkServers measures the tick of one server, and of three at the same moment, after 10 000 machines came online at
// once. It reports the CPU that each server took, which the budget bounds to 1.5 times that of one alone.
func BenchmarkServers(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			var used time.Duration
			var passes atomic.Int64
			for range b.N {
				servers := burst(b, 10_000, n)
				runtime.GC()
				before := cpu(b)
				var all sync.WaitGroup
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
				used += cpu(b) - before
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N*n), "cpu-ms/server")
			b.ReportMetric(float64(passes.Load())/float64(b.N*n), "passes/server")
		})
	}
}

// burst is some servers that have folded a shop with a release, and their log, in which n machines have come online since.
func burst(b *testing.B, n, servers int) (all []*engine.Engine) {
	b.Helper()
	log, clock := memory.New(), &handClock{}
	steps := []domain.Step{{Name: "install", Run: "true"}}
	commands := []domain.Command{
		domain.ApplyEnvironment{Name: "production"},
		domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Steps: steps, Roles: []string{"web"}}},
		domain.ApplyTrigger{Project: "shop", Name: "joins", Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}},
		domain.CreateRelease{Project: "shop", Version: "1.0"},
		domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"},
	}
	for server := range servers {
		e, err := engine.Open(context.Background(), engine.Config{Log: log, Clock: clock, Server: domain.ID{15: byte(server + 1)}})
		if err == nil {
			err = e.Start(context.Background())
		}
		for i, c := range commands {
			if err == nil {
				_, err = e.Handle(context.Background(), domain.ID{0: 0xc0, 15: byte(i + 1)}, c)
			}
		}
		if err == nil {
			_, err = e.Tick(context.Background())
		}
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, e)
	}
	for i := range n {
		arrive(b, log, all[0].Server(), i, []string{"db", "web"}[i%2])
	}
	return all
}

func arrive(b *testing.B, log eventlog.Log, server domain.ID, i int, role string) {
	id := domain.ID{0: byte(i >> 16), 1: byte(i >> 8), 2: byte(i), 15: 1}
	facts := []domain.Event{domain.MachineAdded{Environment: "production", Roles: []string{role}},
		domain.MachineCameOnline{Server: server, Session: id, Instance: id}}
	var events []eventlog.Event
	for _, fact := range facts {
		typeName, data, err := domain.Encode(fact)
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, eventlog.Event{ID: uuid.New(), Type: typeName, Data: data, Time: time.Unix(0, 0).UTC()})
	}
	if _, err := log.Append(context.Background(), domain.MachineStream(fmt.Sprintf("web-%06d", i)), eventlog.NoStream, events...); err != nil {
		b.Fatal(err)
	}
}
