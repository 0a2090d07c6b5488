package engine_test

import (
	"runtime"
	"testing"

	"github.com/droverhq/drover/eventlog/memory"
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

// BenchmarkEphemeral measures what stays of machines that join, get what is wanted and are deleted, a thousand at a time.
func BenchmarkEphemeral(b *testing.B) {
	const machines, rounds = 1_000, 100
	for range b.N {
		before := settled(b, memory.New(), shape{machines, 1}).weigh()
		f := settled(b, memory.New(), shape{machines, 1})
		for range rounds {
			first := f.next
			f.arrive(machines)
			f.tick()
			f.work()
			f.leave(first)
			f.tick()
		}
		b.ReportMetric(float64(f.weigh()-before)/machines/rounds, "B/join")
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
