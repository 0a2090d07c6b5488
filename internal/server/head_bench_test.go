package server_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/internal/server"
	"github.com/droverhq/drover/internal/witness"
)

// BenchmarkCommand measures a command on a durable SQLite log, without and with the head witness. Both engines take
// turns in one run, because the speed of the disk changes between runs.
func BenchmarkCommand(b *testing.B) {
	plain, watched := newCommander(b, false), newCommander(b, true)
	var took, used [2]time.Duration
	n := 0
	for b.Loop() {
		n++
		for i, c := range []*commander{plain, watched} {
			began, before := time.Now(), processorTime(b)
			c.command(b, n)
			took[i] += time.Since(began)
			used[i] += processorTime(b) - before
		}
	}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }
	b.ReportMetric(per(took[0]), "µs/without")
	b.ReportMetric(per(took[1]), "µs/with")
	b.ReportMetric(per(used[0]), "cpu-µs/without")
	b.ReportMetric(per(used[1]), "cpu-µs/with")
}

// commander is an engine that accepts commands.
type commander struct{ engine *engine.Engine }

func newCommander(b *testing.B, watched bool) *commander {
	b.Helper()
	data := b.TempDir()
	log, err := server.OpenLog(b.Context(), server.LogConfig{Data: data})
	require.NoError(b, err)
	b.Cleanup(func() { _ = log.Close() })
	made, err := log.ID(b.Context())
	require.NoError(b, err)
	config := engine.Config{Log: log, Clock: clock.New(), Server: ids.New()}
	if watched {
		file := witness.Open(witness.Config{Folder: data, Made: made, LogFile: filepath.Join(data, "drover.db")})
		b.Cleanup(func() { _ = file.Close() })
		done := make(chan struct{})
		b.Cleanup(func() { close(done) })
		go func() {
			for {
				select {
				case <-time.After(time.Second):
					file.Sync()
				case <-done:
					return
				}
			}
		}()
		config.Witness = file
	}
	e, err := engine.Open(b.Context(), config)
	require.NoError(b, err)
	require.NoError(b, e.Start(b.Context()))
	return &commander{e}
}

func (c *commander) command(b *testing.B, n int) {
	_, err := c.engine.Handle(b.Context(), ids.New(), domain.ApplyEnvironment{Name: fmt.Sprint("e", n)})
	require.NoError(b, err)
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
