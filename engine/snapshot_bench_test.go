package engine_test

import (
	"testing"

	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// BenchmarkSnapshot measures what a snapshot takes to be made of a view, and a view of it.
func BenchmarkSnapshot(b *testing.B) {
	s := shape{10_000, 1}
	f := settled(b, memory.New(), s)
	view := see(f.servers[0])
	var data []byte
	b.Run("save/"+s.String(), func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			var err error
			data, err = view.Save()
			f.must(err)
		}
		b.ReportMetric(float64(len(data))/float64(s.machines), "B/machine")
	})
	b.Run("load/"+s.String(), func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, err := projections.Load(data)
			f.must(err)
		}
	})
}
