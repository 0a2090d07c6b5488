package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/bench/process"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
)

// median returns the median result of several runs.
func median(times int, run func() (float64, error)) (float64, error) {
	var all []float64
	for range times {
		value, err := run()
		if err != nil {
			return 0, err
		}
		all = append(all, value)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}

func decideRow(ctx context.Context, o options) (*table, error) {
	n, times := o.size(10_000, 2_000), pick(o, 5, 3)
	var bytes int64
	durable, err := median(times, func() (v float64, err error) {
		v, bytes, err = decide(ctx, o.onDisk, n, 1)
		return v,
			err
	})
	if err != nil {
		return nil, err
	}
	alone, err := median(times, func() (v float64, err error) {
		v, _, err = decide(ctx, inMemory, n, 1)
		return v,
			err
	})
	if err != nil {
		return nil, err
	}
	least, err := median(times, func() (float64, error) {
		pass, _, err := o.baselineBurst(n)
		return µs(pass.Durable, max(pass.Decisions, 1)), err
	})
	if err != nil {
		return nil, err
	}
	t := comparedWith("baseline")
	t.figure("CPU per decision (read, fold, decide, make durable), µs", "%.1f", durable, least, 40)
	t.figure("… with the log in memory, µs", "%.1f", alone, least, 0)
	t.figure("bytes written in the tick, MB", "%.2f", float64(bytes)/1e6, 0, 8)
	t.note("The tick after %d machines came online, half of which match one trigger; median of %d runs. Engine "+
		"only, on SQLite. The baseline learns of machines when they connect; the engine reads and folds two events "+
		"per machine within the tick.", n, times)
	return t, nil
}

func growthRow(ctx context.Context, o options) (*table, error) {
	t := &table{head: []string{"machines", "triggers", "CPU per decision, µs", "relative to the first", "budget",
		"met"}}
	first := 0.0
	take := func(machines, triggers, times int, of float64) (float64, error) {
		v, err := median(times, func() (float64, error) {
			v, _, err := decide(ctx, inMemory, machines, triggers)
			return v, err
		})
		if err != nil {
			return 0, err
		}
		if of == 0 {
			of = v
		}
		t.add(fmt.Sprint(machines), fmt.Sprint(triggers), fmt.Sprintf("%.1f", v), fmt.Sprintf("%.2f", v/of), "≤ 1.25",
			metOrNot(v/of <= 1.25))
		return v, nil
	}
	var err error
	for _, n := range pick(o, []int{1_000, 10_000, 100_000}, []int{1_000, 10_000}) {
		v, err := take(n, 1, max(3, min(15, 30_000/n)), first)
		if err != nil {
			return nil, err
		}
		if first == 0 {
			first = v
		}
	}
	if first, err = take(10_000, 1, 3, 0); err != nil {
		return nil, err
	}
	_, err = take(10_000, 1_000, 3, first)
	t.note("Engine only, with the log in memory, so that only reading, folding and deciding count; medians.")
	return t, err
}

// idleTicks adds the cost of a tick without events.
func idleTicks(ctx context.Context, o options, t *table) error {
	n := pick(o, 100_000, 10_000)
	log, err := inMemory(ctx)
	if err != nil {
		return err
	}
	c, err := newCore(ctx, log, 1_000)
	if err != nil {
		return err
	}
	if err := c.arrive(ctx, 0, n); err != nil {
		return err
	}
	if _, err := c.tick(ctx, n); err != nil {
		return err
	}
	if err := c.carryOut(ctx); err != nil {
		return err
	}
	took, err := median(31, func() (float64, error) { return c.idleTick(ctx) })
	t.figure("CPU of a tick without events, ms", "%.3f", took, 0, 1)
	t.note("The idle tick is measured on the engine only, with %d machines online, half of them deployed to, "+
		"and 1 000 triggers.", n)
	return err
}

// idleTick returns the processor time of a tick without events, in ms.
func (c *core) idleTick(ctx context.Context) (float64, error) {
	c.clock.elapsed.Add(int64(defaultHeartbeat / 2))
	c.heartbeatAll()
	c.clock.elapsed.Add(int64(defaultHeartbeat / 2)) // heartbeats are recent, but not all of the same instant
	runtime.GC()                                     // so that garbage from the heartbeats above is not measured
	before := process.CPU(os.Getpid())
	report, err := c.Tick(ctx)
	if err == nil && len(report.Appended) > 0 {
		err = fmt.Errorf("a tick without events appended %d events", len(report.Appended))
	}
	return ms(process.CPU(os.Getpid()) - before), err
}

// heartbeatAll records a heartbeat of every machine.
func (c *core) heartbeatAll() {
	type session struct {
		machine string
		connect domain.ID
	}
	var all []session
	c.Read(func(v *projections.View) {
		for name, m := range v.Machines {
			all = append(all, session{name, m.Connect})
		}
	})
	for _, s := range all {
		c.Heartbeat(s.machine, s.connect)
	}
}

// sample returns an event of typical size.
func sample() eventlog.Event {
	event, err := written(domain.MachineCameOnline{Server: ids.New(), Session: ids.New(), Instance: ids.New()})
	if err != nil {
		panic(err) // cannot happen: the event is valid
	}
	return event
}

func appendsRow(ctx context.Context, o options) (*table, error) {
	span := pick(o, 5*time.Second, 2*time.Second)
	raw, err := o.rawWrites(span)
	if err != nil {
		return nil, err
	}
	ours, plain := map[int]float64{}, map[int]float64{}
	for _, n := range []int{1, writers} {
		if ours[n], err = o.logAppends(ctx, n, span); err != nil {
			return nil, err
		}
		if plain[n], err = o.plainAppends(ctx, n, span); err != nil {
			return nil, err
		}
	}
	batched, err := o.plainBatches(ctx, writers, span)
	if err != nil {
		return nil, err
	}
	again, err := o.rawWrites(span)
	if err != nil {
		return nil, err
	}
	mean := (raw + again) / 2
	t := comparedWith("plain SQLite")
	beside := func(what string, of float64, n int, budget float64) {
		t.add(what+", relative to raw write and fsync", fmt.Sprintf("%.2f", ours[n]/mean),
			fmt.Sprintf("%.2f", plain[n]/mean), fmt.Sprintf("%.1f", of), fmt.Sprintf("≥ %.2f", budget),
			metOrNot(ours[n]/mean >= budget))
	}
	beside("one writer", ours[1]/plain[1], 1, 0.9)
	beside("64 writers", ours[writers]/plain[writers], writers, 4)
	t.note("Raw: %.0f writes with fsync per second before, %.0f after. The log: one writer appends %.0f events per "+
		"second, 64 writers %.0f. Plain SQLite has the same driver, the same columns, one INSERT per transaction "+
		"and synchronous=FULL: one writer %.0f rows per second, 64 writers that take turns on one connection %.0f; "+
		"one writer that puts 64 rows into each transaction %.0f.",
		raw, again, ours[1], ours[writers], plain[1], plain[writers], batched)
	return t, nil
}

// rawWrites returns how many times per second the bytes of an event can be written and synced one after another.
func (o options) rawWrites(span time.Duration) (float64, error) {
	file, err := os.CreateTemp(o.folder, "raw-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	text, count, begun := append(sample().Data, '\n'), 0, time.Now()
	for time.Since(begun) < span {
		if _, err := file.Write(text); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		count++
	}
	return float64(count) / time.Since(begun).Seconds(), nil
}

// logAppends returns how many events per second a new log makes durable with one event per append.
func (o options) logAppends(ctx context.Context, writers int, span time.Duration) (float64, error) {
	log, err := o.onDisk(ctx)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	return rate(writers, span, func(writer, revision int) error {
		_, err := log.Append(ctx, domain.MachineStream(machine(writer)), eventlog.Revision(revision)-1, sample())
		return err
	})
}

// rate runs do in a number of concurrent writers for span and returns the calls per second. Each writer counts its
// calls from 0.
func rate(writers int, span time.Duration, do func(writer, time int) error) (float64, error) {
	var count atomic.Int64
	done, begun := make(chan error, writers), time.Now()
	for writer := range writers {
		go func() {
			for n := 0; time.Since(begun) < span; n++ {
				if err := do(writer, n); err != nil {
					done <- err
					return
				}
				count.Add(1)
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			return 0, err
		}
	}
	return float64(count.Load()) / time.Since(begun).Seconds(), nil
}

func startupRow(ctx context.Context, o options) (*table, error) {
	events, machines := pick(o, 1_000_000, 100_000), pick(o, 10_000, 1_000)
	folder, err := os.MkdirTemp(o.folder, "server-")
	if err != nil {
		return nil, err
	}
	read, plain, err := readAlone(ctx, folder, machines, events/machines)
	if err != nil {
		return nil, err
	}
	t := comparedWith("reading only")
	whole := 3 * float64(events) / 1_000_000
	for _, start := range []struct {
		when   string
		budget float64
		end    func(*process.Server)
	}{
		{"start from the whole log until ready, s", whole, (*process.Server).Stop},
		{"start from the snapshot of a clean stop until ready, s", .5, (*process.Server).Kill},
		{"start from the same snapshot after kill -9 until ready, s", .5, (*process.Server).Stop},
	} {
		begun := time.Now()
		s, err := process.Start(process.Config{Binary: o.binary, Folder: folder, Tick: 15 * time.Second})
		if err != nil {
			return nil, err
		}
		took, used, memory := time.Since(begun), process.CPU(s.PID()), process.MemoryOf(s.PID())
		start.end(s)
		t.figure(start.when, "%.2f", took.Seconds(), read.Seconds(), start.budget)
		t.figure("… CPU, s", "%.2f", used.Seconds(), 0, 0)
		t.figure("… resident memory, MB", "%.0f", float64(memory.RSS)/1e6, 0, 0)
	}
	t.figure("plain SQLite reads the same rows, s", "%.2f", plain.Seconds(), read.Seconds(), 0)
	t.note("A log of %d events: %d machines that come online and go offline. The budget for the whole log is for "+
		"1 000 000 events and scaled to this number. The time until ready includes the start of the process and the "+
		"checksum of the program. Reading only means reading the log, which checks and decodes each event; plain "+
		"SQLite is a SELECT of the same columns with the same driver, scanned into strings.", events, machines)
	return t, nil
}

// readAlone fills a log and returns how long it takes to read it through the log and with plain SQLite.
func readAlone(ctx context.Context, folder string, machines, each int) (read, plain time.Duration, err error) {
	log, err := logIn(ctx, folder)
	if err != nil {
		return 0, 0, err
	}
	defer log.Close()
	if err := comeAndGo(ctx, log, machines, each); err != nil {
		return 0, 0, err
	}
	count, lap := 0, stopwatch()
	for _, err := range log.ReadAll(ctx, 0, 0) {
		if err != nil {
			return 0, 0, err
		}
		count++
	}
	read = lap()
	rows, err := plainRead(ctx, filepath.Join(folder, logFile))
	if err == nil && rows != count {
		err = fmt.Errorf("plain SQLite reads %d rows, but the log has %d events", rows, count)
	}
	return read, lap(), err
}

// comeAndGo writes each events for every machine: added, then alternately online and offline.
func comeAndGo(ctx context.Context, log eventlog.Log, machines, each int) error {
	server := ids.New()
	for i := range machines {
		stream, instance := domain.MachineStream(machine(i)), ids.New()
		facts := []domain.Event{domain.MachineAdded{Environment: "production", Roles: []string{"web"}}}
		var batch []eventlog.Event
		var connect domain.ID
		for len(batch) < each {
			if n := len(batch); n > 0 && n%2 == 1 {
				facts = []domain.Event{domain.MachineCameOnline{Server: server, Session: ids.New(), Instance: instance}}
			} else if n > 0 {
				facts = []domain.Event{domain.MachineWentOffline{Connect: connect, Reason: "said-goodbye"}}
			}
			event, err := written(facts[0])
			if err != nil {
				return err
			}
			event.ID = uuid.New()
			connect = domain.ID(event.ID)
			batch = append(batch, event)
		}
		if _, err := log.Append(ctx, stream, eventlog.NoStream, batch...); err != nil {
			return err
		}
	}
	return nil
}
