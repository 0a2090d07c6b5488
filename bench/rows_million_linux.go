package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/droverhq/drover/bench/process"
)

// scale is the cost of a fleet of one size.
type scale struct {
	machines int
	due      int    // due machines of one burst
	burst    []step // the last bursts
	idle     float64
	replay   replay
	appended float64 // events per second
	bytes    int64   // size of the log on disk
}

func millionRow(ctx context.Context, o options) (*table, error) {
	n := o.size(1_000_000, 10_000)
	folder, err := os.MkdirTemp(o.folder, "log-")
	if err != nil {
		return nil, err
	}
	log, err := logIn(ctx, folder)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	alone, err := newCore(ctx, log, 1)
	if err != nil {
		return nil, err
	}
	c, begun := &largeFleet{core: alone, folder: folder}, time.Now()
	t, all := &table{head: []string{"machines"}}, []scale{}
	for _, size := range []int{n / 100, n / 10, n} {
		s, err := c.reach(ctx, size, n/100)
		if err != nil {
			return nil, fmt.Errorf("%d machines: %w", size, err)
		}
		t.head, all = append(t.head, fmt.Sprint(size)), append(all, s)
		fmt.Fprintf(os.Stderr, "%d machines after %s\n", size, time.Since(begun).Round(time.Second))
	}
	for _, l := range scaleLines {
		l.enter(t, all)
	}
	t.note("Engine only, with its log in SQLite on disk and no connections: bursts of %d machines come online at "+
		"once, half of which match one trigger, until there are %d. After each burst the due machines claim and end "+
		"their parts, and all machines of the burst go offline and online again, so that each has %d events. The "+
		"figures of a burst are medians of up to three last bursts of that size. Deciding is how long one decision "+
		"holds the view: events of others wait that long to be folded.", n/100, n,
		eventsEach)
	return t, nil
}

// lastBursts is the number of bursts that the figures of one size are based on.
const lastBursts = 3

// reach grows a fleet to a size and measures it at that size.
func (c *largeFleet) reach(ctx context.Context, size, by int) (s scale, err error) {
	s.due = by / 2
	c.written, c.writing = 0, 0
	for c.machines < size {
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		took, err := c.grow(ctx, by)
		if err != nil {
			return s, err
		}
		s.burst = append(s.burst, took)
	}
	s.machines = c.machines
	s.burst = s.burst[max(0, len(s.burst)-lastBursts):]
	s.appended = float64(c.written) / c.writing.Seconds()
	if s.idle, err = median(5, func() (float64, error) { return c.idleTick(ctx) }); err != nil {
		return s, err
	}
	s.bytes = process.LogBytes(c.folder)
	s.replay, err = c.restart(ctx)
	return s, err
}

// middle returns the median of a figure over the bursts.
func (s scale) middle(of func(step) time.Duration) time.Duration {
	var all []time.Duration
	for _, b := range s.burst {
		all = append(all, of(b))
	}
	return process.Quantile(all, .5)
}

// most returns the largest value of a figure over the bursts.
func (s scale) most(of func(step) time.Duration) time.Duration {
	return of(slices.MaxFunc(s.burst, func(a, b step) int { return int(of(a) - of(b)) }))
}

// scaleLine is a line of the table: one figure for every size.
type scaleLine struct {
	what, format string
	of           func(scale) float64
}

var scaleLines = []scaleLine{
	{"events", "%.0f", func(s scale) float64 { return float64(s.replay.events) }},
	{"live heap of the fold, bytes per machine", "%.0f",
		func(s scale) float64 { return float64(s.replay.kept) / float64(s.machines) }},
	{"… before the first tick", "%.0f",
		func(s scale) float64 { return float64(s.replay.keptAtFirst) / float64(s.machines) }},
	{"replay of the whole log, s", "%.2f", func(s scale) float64 { return s.replay.took.Seconds() }},
	{"… events per second", "%.0f",
		func(s scale) float64 { return float64(s.replay.events) / s.replay.took.Seconds() }},
	{"… CPU per event, µs", "%.1f", func(s scale) float64 { return µs(s.replay.cpu, s.replay.events) }},
	{"… resident memory after the replay, MB", "%.0f",
		func(s scale) float64 { return float64(s.replay.resident) / 1e6 }},
	{"… first tick after it, CPU, ms", "%.0f", func(s scale) float64 { return ms(s.replay.first.cpu) }},
	{"… … deciding (holds the view), ms", "%.0f", func(s scale) float64 { return ms(s.replay.first.deciding) }},
	{"… … longest wait of a reader of the view, ms", "%.0f",
		func(s scale) float64 { return ms(s.replay.first.waited) }},
	{"start from a snapshot, s", "%.2f", func(s scale) float64 { return s.replay.resumeTime.Seconds() }},
	{"… taking the snapshot (holds the view), ms", "%.0f", func(s scale) float64 { return ms(s.replay.snapshotTime) }},
	{"… snapshot size, bytes per machine", "%.0f",
		func(s scale) float64 { return float64(s.replay.snapshot) / float64(s.machines) }},
	{"burst: CPU per decision until durable, µs", "%.1f", func(s scale) float64 {
		return µs(s.middle(func(b step) time.Duration { return b.cpu }), s.due)
	}},
	{"… reading and folding, ms", "%.0f",
		func(s scale) float64 { return ms(s.middle(func(b step) time.Duration { return b.reading })) }},
	{"… deciding (holds the view), ms", "%.1f",
		func(s scale) float64 { return ms(s.middle(func(b step) time.Duration { return b.deciding })) }},
	{"… appending the decisions, ms", "%.0f",
		func(s scale) float64 { return ms(s.middle(func(b step) time.Duration { return b.appending })) }},
	{"… longest wait of a reader of the view, ms", "%.1f",
		func(s scale) float64 { return ms(s.most(func(b step) time.Duration { return b.waited })) }},
	{"idle tick, CPU, ms", "%.3f", func(s scale) float64 { return s.idle }},
	{"log on disk, bytes per event", "%.0f",
		func(s scale) float64 { return float64(s.bytes) / float64(s.replay.events) }},
	{"appended, events per second", "%.0f", func(s scale) float64 { return s.appended }},
}

func (l scaleLine) enter(t *table, all []scale) {
	cells := []string{l.what}
	for _, s := range all {
		cells = append(cells, fmt.Sprintf(l.format, l.of(s)))
	}
	t.add(cells...)
}
