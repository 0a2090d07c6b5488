package engine_test

import (
	"bytes"
	"testing"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog/memory"
)

// BenchmarkSnapshot measures the encoding and decoding of a snapshot.
func BenchmarkSnapshot(b *testing.B) {
	s := shape{10_000, 1}
	f := settled(b, memory.New(), s)
	view := viewOf(f.servers[0])
	var saved bytes.Buffer
	b.Run("save/"+s.String(), func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			saved.Reset()
			f.must(view.Save(&saved))
		}
		b.ReportMetric(float64(saved.Len())/float64(s.machines), "B/machine")
	})
	b.Run("load/"+s.String(), func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, err := engine.CurrentRules().Load(saved.Bytes())
			f.must(err)
		}
	})
}
