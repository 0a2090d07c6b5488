package engine_test

import (
	"runtime"
	"testing"

	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// BenchmarkMemory measures what an engine keeps for each machine of a fleet that has what is wanted.
func BenchmarkMemory(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String(), func(b *testing.B) {
			for range b.N {
				kept := settled(b, memory.New(), s).weigh()
				b.ReportMetric(float64(kept)/float64(s.machines), "B/machine")
			}
		})
	}
}

// BenchmarkEphemeral measures what stays for ever of machines that join, get what is wanted and are deleted, a hundred
// at a time, once so many deployments have ended that older ones are forgotten.
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
				f.heartbeats() // and time passes
				f.tick()
			}
			return f.weigh()
		}
		b.ReportMetric(float64(stays(rounds)-stays(0))/machines/rounds, "B/join")
	}
}

// weigh lets the engines go and says how much they had kept; the log in memory stays.
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
