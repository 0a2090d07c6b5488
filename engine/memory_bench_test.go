package engine_test

import (
	"runtime"
	"testing"

	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// BenchmarkMemory measures the memory of an engine per machine, for a fleet that is up to date.
func BenchmarkMemory(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String(), func(b *testing.B) {
			for range b.N {
				used := settled(b, memory.New(), s).weigh()
				b.ReportMetric(float64(used)/float64(s.machines), "B/machine")
			}
		})
	}
}

// BenchmarkEphemeral measures the memory that remains of machines that join, are deployed to and are deleted, a hundred
// at a time, once older deployments are pruned.
func BenchmarkEphemeral(b *testing.B) {
	const machines, rounds = 100, 400
	for range b.N {
		stays := func(rounds int) int64 {
			f := settled(b, memory.New(), shape{machines, 1})
			for range rounds + projections.RetainedDeployments {
				first := f.next
				f.arrive(machines)
				f.tick()
				f.work()
				f.leave(first)
				f.heartbeats() // and advance the clock
				f.tick()
			}
			return f.weigh()
		}
		b.ReportMetric(float64(stays(rounds)-stays(0))/machines/rounds, "B/join")
	}
}

// weigh releases the engines and returns the memory that they used. The log in memory remains.
func (f *fleet) weigh() int64 {
	with := heap()
	clear(f.servers)
	without := heap()
	runtime.KeepAlive(f.log)
	return with - without
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
