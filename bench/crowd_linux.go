package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/droverhq/drover/bench/process"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// crowd is a fleet that grows by bursts. What machines and agents say is written into the log directly, by many at the same
// time, because a door for each of a million of them would take hours; everything that is decided is decided by the engine.
type crowd struct {
	*core
	folder   string // of the log
	machines int
	// written is how many events were written directly, and writing how long that took.
	written int
	writing time.Duration
}

// step is what one tick took, taken apart.
type step struct {
	cpu time.Duration
	// reading is how long the log was read and folded, deciding how long the view was held for that, appending how long the
	// decisions took to be durable.
	reading, deciding, appending time.Duration
	// waited is the longest that a reader of the view had to wait meanwhile.
	waited time.Duration
}

// grow lets so many machines come online at once, half of which match the trigger, and measures the tick after that. Then
// the machines that are due claim and end their parts, and all of them go and come again.
func (c *crowd) grow(ctx context.Context, by int) (s step, err error) {
	from := c.machines
	c.machines += by
	if err := c.write(2*by, func() error { return c.arrive(ctx, from, c.machines) }); err != nil {
		return s, err
	}
	if s, err = c.burstTick(ctx, by/2); err != nil {
		return s, err
	}
	if err := c.carryOutDirectly(ctx); err != nil {
		return s, err
	}
	if err := c.comeAndGo(ctx, from); err != nil {
		return s, err
	}
	if _, err = c.Tick(ctx); err != nil {
		return s, err
	}
	if open := c.open(); open > 0 {
		return s, fmt.Errorf("%d deployments are still open after all their parts have ended", open)
	}
	return s, nil
}

// write counts what is written, and how long it takes.
func (c *crowd) write(events int, do func() error) error {
	begun := time.Now()
	err := do()
	c.written, c.writing = c.written+events, c.writing+time.Since(begun)
	return err
}

// burstTick is a tick, step by step.
func (c *crowd) burstTick(ctx context.Context, due int) (s step, err error) {
	runtime.GC()
	before, longest := process.CPU(os.Getpid()), c.watchReaders()
	lap := stopwatch()
	pass, err := c.Begin(ctx)
	if err != nil {
		return s, err
	}
	s.reading = lap()
	pass.Decide()
	s.deciding = lap()
	if err := pass.Append(ctx); err != nil {
		return s, err
	}
	s.appending = lap()
	report, err := pass.Finish(ctx)
	s.cpu, s.waited = process.CPU(os.Getpid())-before, longest()
	if err != nil {
		return s, err
	}
	return s, queued(report, due)
}

// stopwatch returns how long it has been since it was asked last.
func stopwatch() func() time.Duration {
	last := time.Now()
	return func() time.Duration {
		since := last
		last = time.Now()
		return last.Sub(since)
	}
}

// watchReaders reads the view every millisecond until it is asked for the longest wait.
func (c *crowd) watchReaders() (longest func() time.Duration) {
	stop, done := make(chan struct{}), make(chan time.Duration)
	e := c.Engine
	go func() {
		var most time.Duration
		for {
			begun := time.Now()
			e.Read(func(*projections.View) {})
			most = max(most, time.Since(begun))
			select {
			case <-stop:
				done <- most
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() time.Duration { close(stop); return <-done }
}

// part is an open part, and who is to carry it out.
type part struct {
	stream            string
	session, instance domain.ID
}

// carryOutDirectly writes that every open part was claimed and has succeeded.
func (c *crowd) carryOutDirectly(ctx context.Context) error {
	var parts []part
	c.Read(func(v *projections.View) {
		for _, d := range v.OpenDeployments() {
			for name := range d.Parts {
				m := v.Machines[name]
				parts = append(parts, part{domain.PartStream(d.ID, name), m.Session, m.Instance})
			}
		}
	})
	return c.write(2*len(parts), func() error {
		return sideBySide(0, len(parts), func(i int) error {
			p := parts[i]
			return c.append(ctx, p.stream, eventlog.NoStream,
				domain.PartClaimed{Project: "p-0", Session: p.session, Instance: p.instance},
				domain.PartEnded{Project: "p-0", Session: p.session, State: domain.PartSucceeded})
		})
	})
}

// Of a machine's ten events two are its coming, two those of its part, and the rest this coming and going. Half of the machines
// have no part, and come and go once more.
const (
	flapsOfDue   = 3
	flapsOfOther = 4
	eventsEach   = 10
)

// comeAndGo lets the machines from one number on go offline and come online again, several times each.
func (c *crowd) comeAndGo(ctx context.Context, from int) error {
	heads := make([]machineHead, c.machines-from)
	c.Read(func(v *projections.View) {
		for i := range heads {
			name := machine(from + i)
			m := v.Machines[name]
			heads[i] = machineHead{m.Connect, m.Session, m.Instance, v.Revision(domain.MachineStream(name))}
		}
	})
	return c.write((flapsOfDue+flapsOfOther)*len(heads), func() error {
		return sideBySide(from, c.machines, func(number int) error { return c.flap(ctx, number, heads[number-from]) })
	})
}

// machineHead is where a machine's stream stands.
type machineHead struct {
	connect, session, instance domain.ID
	revision                   eventlog.Revision
}

func (c *crowd) flap(ctx context.Context, number int, at machineHead) error {
	var events []eventlog.Event
	for range []int{flapsOfOther, flapsOfDue}[number%2] {
		down, err := written(domain.MachineWentOffline{Connect: at.connect, Session: at.session, Instance: at.instance, Reason: "said-goodbye"})
		if err != nil {
			return err
		}
		up, err := written(domain.MachineCameOnline{Server: c.Server(), Session: at.session, Instance: at.instance})
		if err != nil {
			return err
		}
		at.connect = domain.ID(up.ID)
		events = append(events, down, up)
	}
	_, err := c.log.Append(ctx, domain.MachineStream(machine(number)), at.revision, events...)
	return err
}

// open is how many deployments have not ended.
func (c *crowd) open() (count int) {
	c.Read(func(v *projections.View) { count = len(v.OpenDeployments()) })
	return count
}

// replay is what a start from the log takes.
type replay struct {
	events    int
	took, cpu time.Duration
	// kept is the live heap that the fold holds once the first tick has let go of what it found new, and at first what it holds
	// before that; resident is what the process holds right after the fold. All in bytes.
	kept, keptAtFirst, resident int64
	// first is the first tick after that. It finds the whole fleet new.
	first step
	// taking is how long it took to take a snapshot then, which holds the view, and resumed a start from it.
	taking, resumed time.Duration
	// snapshot is its size, in bytes.
	snapshot int
}

// again lets the engine go and starts another one on the log, as the same server, so that its sessions go on.
func (c *crowd) again(ctx context.Context) (r replay, err error) {
	server := c.Server()
	c.Engine = nil
	before, used, lap := liveHeap(), process.CPU(os.Getpid()), stopwatch()
	if err := c.fold(ctx, server); err != nil {
		return r, err
	}
	r.took, r.cpu, r.resident = lap(), process.CPU(os.Getpid())-used, process.MemoryOf(os.Getpid()).RSS
	r.keptAtFirst, r.events = liveHeap()-before, int(c.Position())
	if err := c.Start(ctx); err != nil {
		return r, err
	}
	r.first, err = c.burstTick(ctx, 0)
	r.kept = liveHeap() - before
	if err != nil {
		return r, err
	}
	return r, c.resume(ctx, &r)
}

// resume takes a snapshot and starts another engine from it, which goes on.
func (c *crowd) resume(ctx context.Context, r *replay) error {
	server, lap := c.Server(), stopwatch()
	if err := c.Snapshot(); err != nil {
		return err
	}
	r.taking, r.snapshot = lap(), len(c.snapshot.data)
	c.Engine = nil
	liveHeap() // else what the engine before leaves counts
	lap = stopwatch()
	err := c.fold(ctx, server)
	r.resumed = lap()
	c.snapshot.data = nil // the next start reads the log again
	if err != nil {
		return err
	}
	return c.Start(ctx)
}

// liveHeap is how much of Go's heap is in use, once what is not has been given up.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
