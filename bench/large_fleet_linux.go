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

// largeFleet is a fleet that grows in bursts. Events of machines and agents are written directly into the log by
// concurrent writers, because real connections for a million machines would take hours. All decisions are made by
// the engine.
type largeFleet struct {
	*core
	folder   string // folder of the log
	machines int
	// written counts the events that were written directly; writing is the time that it took to write them.
	written int
	writing time.Duration
}

// step is the duration of one tick, by phase.
type step struct {
	cpu time.Duration
	// reading is the time to read and fold the log, deciding the time that deciding held the view, and appending
	// the time until the decisions were durable.
	reading, deciding, appending time.Duration
	// waited is the longest time that a reader of the view had to wait.
	waited time.Duration
}

// grow brings a number of new machines (by) online at the same time, half of which match the trigger, and measures the
// next tick. Then the due machines claim and end their parts, and all new machines go offline and online several times.
func (c *largeFleet) grow(ctx context.Context, by int) (s step, err error) {
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
		return s, fmt.Errorf("%d deployments are still open although all their parts have ended", open)
	}
	return s, nil
}

// write runs do and records the number of events and the time.
func (c *largeFleet) write(events int, do func() error) error {
	begun := time.Now()
	err := do()
	c.written, c.writing = c.written+events, c.writing+time.Since(begun)
	return err
}

// burstTick measures a tick by phase.
func (c *largeFleet) burstTick(ctx context.Context, due int) (s step, err error) {
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

// stopwatch returns a function that returns the time since its previous call.
func stopwatch() func() time.Duration {
	last := time.Now()
	return func() time.Duration {
		since := last
		last = time.Now()
		return last.Sub(since)
	}
}

// watchReaders reads the view every millisecond until longest is called, which returns the longest wait.
func (c *largeFleet) watchReaders() (longest func() time.Duration) {
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

// part is an open part and the session that will carry it out.
type part struct {
	stream            string
	session, instance domain.ID
}

// carryOutDirectly writes events by which every open part was claimed and succeeded.
func (c *largeFleet) carryOutDirectly(ctx context.Context) error {
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
		return concurrently(0, len(parts), func(i int) error {
			p := parts[i]
			return c.append(ctx, p.stream, eventlog.NoStream,
				domain.PartClaimed{Project: "p-0", Session: p.session, Instance: p.instance},
				domain.PartEnded{Project: "p-0", Session: p.session, State: domain.PartSucceeded})
		})
	})
}

// A machine has ten events: two for its arrival, two for its part, and the rest from going offline and online. Half
// of the machines have no part and go offline and online once more.
const (
	flapsOfDue   = 3
	flapsOfOther = 4
	eventsEach   = 10
)

// comeAndGo makes the machines with numbers from..c.machines go offline and online several times each.
func (c *largeFleet) comeAndGo(ctx context.Context, from int) error {
	heads := make([]machineHead, c.machines-from)
	c.Read(func(v *projections.View) {
		for i := range heads {
			name := machine(from + i)
			m := v.Machines[name]
			heads[i] = machineHead{m.Connect, m.Session, m.Instance, v.Revision(domain.MachineStream(name))}
		}
	})
	return c.write((flapsOfDue+flapsOfOther)*len(heads), func() error {
		return concurrently(from, c.machines, func(number int) error { return c.flap(ctx, number, heads[number-from]) })
	})
}

// machineHead is the current session and the last revision of a machine.
type machineHead struct {
	connect, session, instance domain.ID
	revision                   eventlog.Revision
}

func (c *largeFleet) flap(ctx context.Context, number int, at machineHead) error {
	var events []eventlog.Event
	for range []int{flapsOfOther, flapsOfDue}[number%2] {
		down, err := written(domain.MachineWentOffline{Connect: at.connect, Session: at.session, Instance: at.instance,
			Reason: "said-goodbye"})
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

// open returns how many deployments have not ended.
func (c *largeFleet) open() (count int) {
	c.Read(func(v *projections.View) { count = len(v.OpenDeployments()) })
	return count
}

// replay is the cost of a start from the log.
type replay struct {
	events    int
	took, cpu time.Duration
	// kept is the live heap of the fold after the first tick has released the data about new events; keptAtFirst is
	// the live heap before that tick; resident is the resident memory right after the fold. All are in bytes.
	kept, keptAtFirst, resident int64
	// first is the first tick after the start. It treats the whole fleet as new.
	first step
	// snapshotTime is the time to take a snapshot after that tick, during which the view is held; resumeTime is the time
	// to start from the snapshot.
	snapshotTime, resumeTime time.Duration
	// snapshot is the size of the snapshot in bytes.
	snapshot int
}

// restart discards the engine and starts another one on the log as the same server, so that its sessions continue.
func (c *largeFleet) restart(ctx context.Context) (r replay, err error) {
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

// resume takes a snapshot and continues with another engine that is started from it.
func (c *largeFleet) resume(ctx context.Context, r *replay) error {
	server, lap := c.Server(), stopwatch()
	if err := c.Snapshot(); err != nil {
		return err
	}
	r.snapshotTime, r.snapshot = lap(), len(c.snapshot.data)
	c.Engine = nil
	liveHeap() // collects garbage of the previous engine, which would be measured otherwise
	lap = stopwatch()
	err := c.fold(ctx, server)
	r.resumeTime = lap()
	c.snapshot.data = nil // so that the next start reads the log
	if err != nil {
		return err
	}
	return c.Start(ctx)
}

// liveHeap returns the bytes of live objects on the Go heap after a garbage collection.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
