package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// BenchmarkAppend compares durable appends with the minimum cost of durability on this machine: one write and one
// fsync each. Compare "times-raw" and not the absolute numbers.
func BenchmarkAppend(b *testing.B) {
	server := postgrestest.Start(b, postgrestest.Config{})
	raw := 0.0
	b.Run("raw write and fsync", func(b *testing.B) {
		file, err := os.Create(filepath.Join(b.TempDir(), "raw"))
		require.NoError(b, err)
		defer file.Close()
		record := sample(1).Data
		for b.Loop() {
			_, err = file.Write(record)
			require.NoError(b, err)
			require.NoError(b, file.Sync())
		}
		raw = float64(b.N) / b.Elapsed().Seconds()
		b.ReportMetric(raw, "events/s")
	})
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
			log := open(b, server.SocketURL("schema="+server.Name()))
			defer log.Close()
			before := serverCPU(server)
			appendParallel(b, log, writers)
			b.ReportMetric((serverCPU(server)-before).Seconds()*1e6/float64(b.N), "server-cpu-µs/event")
			b.ReportMetric(float64(b.N)/float64(postgres.Batches(log)), "events/batch")
			rate := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "events/s")
			if raw > 0 {
				b.ReportMetric(rate/raw, "times-raw")
			}
		})
	}
}

// appendParallel appends b.N events. Each writer uses its own stream.
func appendParallel(b *testing.B, log eventlog.Log, writers int) {
	ctx := context.Background()
	var next atomic.Int64
	done := make(chan error, writers)
	b.ResetTimer()
	before := cpu(b)
	for w := range writers {
		go func() {
			for revision := eventlog.NoStream; ; revision++ {
				n := next.Add(1)
				if n > int64(b.N) {
					done <- nil
					return
				}
				if _, err := log.Append(ctx, fmt.Sprint("machine/web-", w), revision, sample(uint64(n))); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range writers {
		require.NoError(b, <-done)
	}
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/event")
}

// cpu returns the processor time of this process. Other work on the machine affects it less than elapsed time.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// serverCPU returns the processor time of the running processes of server, or 0 if the system does not provide it.
func serverCPU(server *postgrestest.Server) (total time.Duration) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		_, after, found := strings.Cut(string(text), ") ")
		fields := strings.Fields(after)
		if err != nil || !found || len(fields) < 13 || fields[1] != strconv.Itoa(server.PID()) {
			continue
		}
		for _, field := range fields[11:13] { // in hundredths of a second
			ticks, _ := strconv.Atoi(field)
			total += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return total
}

// BenchmarkReplay reads a log of 100 000 events and verifies its checksums, once without and once with decoding every
// event.
func BenchmarkReplay(b *testing.B) {
	const appends = 200
	server := postgrestest.Start(b, postgrestest.Config{Unsafe: true})
	log := open(b, server.SocketURL("schema="+server.Name()))
	defer log.Close()
	n := uint64(0)
	for i := range appends {
		events := make([]eventlog.Event, eventlog.MaxAppendEvents)
		for j := range events {
			n++
			events[j] = sample(n)
		}
		_, err := log.Append(context.Background(), "machine/web-01", eventlog.Revision(i*len(events)-1), events...)
		require.NoError(b, err)
	}
	decode := func(event eventlog.Recorded) error {
		var into struct{ Instance, Note string }
		return json.Unmarshal(event.Data, &into)
	}
	for name, fold := range map[string]func(eventlog.Recorded) error{
		"read": func(eventlog.Recorded) error { return nil }, "read and decode": decode,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				read := uint64(0)
				for event, err := range log.ReadAll(context.Background(), 0, 0) {
					if err != nil || fold(event) != nil {
						b.Fatal(err)
					}
					read++
				}
				require.Equal(b, n, read)
			}
			perEvent := b.Elapsed().Seconds() / float64(b.N) / float64(n)
			b.ReportMetric(1/perEvent, "events/s")
			b.ReportMetric(perEvent*1e6, "s/1M-events")
		})
	}
}
