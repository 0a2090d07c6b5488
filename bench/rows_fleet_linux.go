package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/floor"
	"github.com/droverhq/drover/bench/process"
)

// deployed is a fleet of which every machine is connected and has the release.
func (o options) deployed(ctx context.Context, s setting) (*stage, error) {
	s.roles, s.wanted = []string{"web"}, true
	st, err := o.open(s)
	if err != nil {
		return nil, err
	}
	if err := st.join(ctx); err != nil {
		return nil, st.closed(err)
	}
	if err := st.settled(s.machines); err != nil {
		return nil, st.closed(err)
	}
	return st, nil
}

// floorFleet is the floor with all its agents connected.
func (o options) floorFleet(n int, secure bool) (*floor.Fleet, error) {
	folder, err := os.MkdirTemp(o.folder, "floor-")
	if err != nil {
		return nil, err
	}
	trust, err := process.Certify(folder)
	if err != nil {
		return nil, err
	}
	if !secure {
		trust = nil
		_ = os.Remove(folder + "/key.pem")
	}
	f, err := floor.Start(floorWord, folder, trust)
	if err != nil {
		return nil, err
	}
	if err := f.Connect(0, n, atOnce); err != nil {
		f.Stop()
		return nil, err
	}
	return f, nil
}

// whole is a budget for 10 000 machines, which says nothing about fewer.
func whole(n int, budget float64) float64 {
	if n < 10_000 {
		return 0
	}
	return budget
}

func memoryRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	t := against("floor")
	for _, secure := range []bool{false, true} {
		name, budget := "plain", 350.0
		if secure {
			name, budget = "TLS", 600
		}
		m, heap, err := o.memory(ctx, n, secure)
		if err != nil {
			return nil, err
		}
		f, err := o.floorFleet(n, secure)
		if err != nil {
			return nil, err
		}
		least := process.MemoryOf(f.PID())
		f.Stop()
		t.figure(name+": resident memory, MB", "%.0f", float64(m.RSS)/1e6, float64(least.RSS)/1e6, whole(n, budget))
		t.figure(name+": its fair share (PSS), MB", "%.0f", float64(m.PSS)/1e6, float64(least.PSS)/1e6, 0)
		t.figure(name+": KB per agent", "%.1f", float64(m.RSS)/1e3/float64(n), float64(least.RSS)/1e3/float64(n), 0)
		t.figure(name+": live heap of Go, MB", "%.0f", heap/1e6, 0, 0)
	}
	t.note("%d agents connected, each of them deployed to; after %s of heartbeats, so that what the joining took is given back.", n, pick(o, longSettle, shortSettle))
	return t, o.foldMemory(ctx, t)
}

// After a storm the runtime of Go gives memory back within minutes.
const (
	longSettle  = 60 * time.Second
	shortSettle = 5 * time.Second
)

func (o options) memory(ctx context.Context, n int, secure bool) (m process.Memory, heap float64, err error) {
	s, err := o.deployed(ctx, setting{machines: n, tick: 2 * time.Second, tls: secure, heartbeat: defaultHeartbeat})
	if err != nil {
		return m, 0, err
	}
	defer s.close()
	time.Sleep(pick(o, longSettle, shortSettle))
	heap, err = s.metric("go_memstats_heap_alloc_bytes")
	return process.MemoryOf(s.PID()), heap, err
}

func idleRow(ctx context.Context, o options) (*table, error) {
	n, span := o.size(10_000, 2_000), pick(o, 30*time.Second, 10*time.Second)
	s, err := o.deployed(ctx, setting{machines: n, tick: 15 * time.Second, heartbeat: defaultHeartbeat})
	if err != nil {
		return nil, err
	}
	defer s.close()
	time.Sleep(3 * time.Second) // the ends of deployments
	position, err := s.position()
	if err != nil {
		return nil, err
	}
	before, beats := process.CPU(s.PID()), s.Beats()
	time.Sleep(span)
	used, sent := process.CPU(s.PID())-before, s.Beats()-beats
	after, err := s.position()
	if err != nil {
		return nil, err
	}
	s.close()
	least, err := o.floorIdle(n, span)
	if err != nil {
		return nil, err
	}
	t := against("floor")
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / span.Seconds() }
	t.figure("share of one core, %", "%.1f", share(used), share(least), whole(n, 8))
	t.figure("CPU per heartbeat, µs", "%.0f", µs(used, sent), µs(least, sent), 0)
	appended := 0.0
	if position != after {
		appended = 1
	}
	t.add("events appended meanwhile", map[bool]string{true: "none", false: position + " → " + after}[appended == 0], "–", "–", "none", map[bool]string{true: "yes", false: "**no**"}[appended == 0])
	t.note("%d agents with a heartbeat every %s, for %s.", n, defaultHeartbeat, span)
	return t, idleTicks(ctx, o, t)
}

func (o options) floorIdle(n int, span time.Duration) (time.Duration, error) {
	f, err := o.floorFleet(n, false)
	if err != nil {
		return 0, err
	}
	defer f.Stop()
	before := process.CPU(f.PID())
	f.Beat(defaultHeartbeat, int(span/defaultHeartbeat))
	return process.CPU(f.PID()) - before, nil
}

func reconnectRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	s, err := o.deployed(ctx, setting{machines: n, tick: 5 * time.Second, tls: true, heartbeat: defaultHeartbeat})
	if err != nil {
		return nil, err
	}
	defer s.close()
	position, err := s.position()
	if err != nil {
		return nil, err
	}
	offers, attempts := s.Offers(), s.Attempts()
	killed := time.Now()
	if err := s.Restart(true); err != nil {
		return nil, err
	}
	ready := time.Now()
	if err := fleet.Until(patience, func() bool { return len(s.Welcomed(killed)) == n }); err != nil {
		return nil, fmt.Errorf("%d of %d came back: %w; %s", len(s.Welcomed(killed)), n, err, s.Faults())
	}
	back, used := time.Now(), process.CPU(s.PID())
	if err := s.afterTick(); err != nil {
		return nil, err
	}
	byType, _, err := s.written(position)
	if err != nil {
		return nil, err
	}
	came, tried, offered := s.Welcomed(killed), s.Attempts()-attempts, s.Offers()-offers
	s.close() // its connections and those of the floor are more files than one process may have open
	handshakes, cpu, err := o.handshakes(n)
	if err != nil {
		return nil, err
	}
	t := against("handshakes alone")
	t.figure("all back, from the moment the server is ready, s", "%.1f", back.Sub(ready).Seconds(), handshakes.Seconds(), whole(n, 15))
	t.figure("… from the moment it was killed, s", "%.1f", back.Sub(killed).Seconds(), 0, 0)
	t.figure("CPU of the server per agent, its start included, µs", "%.0f", µs(used, n), µs(cpu, n), 0)
	t.figure("attempts per agent", "%.2f", float64(tried)/float64(n), 1, 0)
	twice := offered + byType["DeploymentQueued"]
	t.add("deployed twice", fmt.Sprint(twice), "–", "–", "0", map[bool]string{true: "yes", false: "**no**"}[twice == 0])
	t.add("came back within", spread(came, killed), "–", "–", "–", "–")
	t.note("%d agents, all deployed to; the server is killed (SIGKILL) and started again at once.", n)
	return t, nil
}

// spread is when things happened, counted by the second.
func spread(when []time.Time, since time.Time) string {
	counts, text := bySecond(when, since), ""
	for second, seen := 0, 0; seen < len(when); second++ {
		if counts[second] > 0 {
			text += fmt.Sprintf("%d s: %d, ", second+1, counts[second])
		}
		seen += counts[second]
	}
	return text[:max(0, len(text)-2)]
}

// bySecond counts how much happened within each second.
func bySecond(when []time.Time, since time.Time) map[int]int {
	counts := map[int]int{}
	for _, at := range when {
		counts[int(at.Sub(since).Seconds())]++
	}
	return counts
}

// handshakes is what the TLS connections alone take.
func (o options) handshakes(n int) (took, cpu time.Duration, err error) {
	begun := time.Now()
	f, err := o.floorFleet(n, true)
	if err != nil {
		return 0, 0, err
	}
	defer f.Stop()
	return time.Since(begun), process.CPU(f.PID()), nil
}

func flapsRow(ctx context.Context, o options) (*table, error) {
	n, times := o.size(10_000, 1_000), pick(o, 10, 3)
	s, err := o.deployed(ctx, setting{machines: n, tick: 15 * time.Second, heartbeat: defaultHeartbeat})
	if err != nil {
		return nil, err
	}
	defer s.close()
	time.Sleep(3 * time.Second) // the ends of deployments
	offers := s.Offers()
	down, up, memory, err := flap(ctx, s.Fleet, s.PID(), n, times)
	if err != nil {
		return nil, err
	}
	again := s.Offers() - offers
	s.close() // as in reconnectRow
	leastDown, leastUp, err := o.floorFlaps(ctx, n)
	if err != nil {
		return nil, err
	}
	t := against("bare WebSocket")
	t.figure("CPU per machine that goes, µs", "%.0f", µs(down, n*times), µs(leastDown, n*doorTimes), 30)
	t.figure("CPU per machine that comes, µs", "%.0f", µs(up, n*times), µs(leastUp, n*doorTimes), 100)
	last := memory[len(memory)-1]
	t.figure("resident memory after the last, MB", "%.0f", last, 0, memory[0]*1.1)
	t.add("deployed again", fmt.Sprint(again), "–", "–", "0", map[bool]string{true: "yes", false: "**no**"}[again == 0])
	t.note("%d machines go and come %d times, each time with a new connection; both figures hold the closing and opening of it. Memory after each: %.0f MB.", n, times, memory)
	t.note("Beside it: the same agents and a server that does nothing but open their WebSockets with the same libraries, answer one message with an empty one, and close at the next.")
	return t, nil
}

// flap lets a whole fleet go and come back, so often, and returns the processor time of its server for each way.
func flap(ctx context.Context, f *fleet.Fleet, pid, n, times int) (down, up time.Duration, memory []float64, err error) {
	for range times {
		before := process.CPU(pid)
		f.Goodbye()
		middle := process.CPU(pid)
		if err := f.Connect(ctx, 0, n, atOnce); err != nil {
			return 0, 0, nil, err
		}
		down, up = down+middle-before, up+process.CPU(pid)-middle
		memory = append(memory, float64(process.MemoryOf(pid).RSS)/1e6)
	}
	return down, up, memory, nil
}

// doorTimes is how often the fleet goes and comes where there is nothing behind the door.
const doorTimes = 3

// floorFlaps is what coming and going takes where there is nothing behind the door.
func (o options) floorFlaps(ctx context.Context, n int) (down, up time.Duration, err error) {
	door, err := floor.Start(doorWord, o.folder, nil)
	if err != nil {
		return 0, 0, err
	}
	defer door.Stop()
	agents := fleet.New(fleet.Config{Machines: n, Address: door.Address(), Roles: half})
	defer agents.Stop()
	if err := agents.Connect(ctx, 0, n, atOnce); err != nil {
		return 0, 0, err
	}
	down, up, _, err = flap(ctx, agents, door.PID(), n, doorTimes)
	return down, up, err
}

func loneRow(ctx context.Context, o options) (*table, error) {
	n, lone := o.size(10_000, 1_000), pick(o, 60, 6)
	s, err := o.open(setting{machines: n + 2*lone, tick: time.Second, roles: []string{"web"}, wanted: true, offlineAfter: time.Hour})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.Connect(ctx, 0, n, atOnce); err != nil {
		return nil, err
	}
	if err := s.settled(n); err != nil {
		return nil, err
	}
	time.Sleep(3 * time.Second) // the ends of deployments
	var after []time.Duration
	var decided time.Duration
	for i := n; i < n+lone; i++ {
		took, used, err := s.joinAlone(ctx, i)
		if err != nil {
			return nil, err
		}
		after, decided = append(after, took), decided+used
	}
	cpu, anyway, err := s.costAlone(ctx, n+lone, lone)
	if err != nil {
		return nil, err
	}
	s.close() // as in reconnectRow
	f, least, err := o.floorLone(n, lone)
	if err != nil {
		return nil, err
	}
	t := against("floor")
	t.figure("order delivered after the tick began, p50, ms", "%.2f", ms(process.Quantile(after, .5)), ms(process.Quantile(least, .5)), 2)
	t.figure("… p99, ms", "%.2f", ms(process.Quantile(after, .99)), ms(process.Quantile(least, .99)), 10)
	t.figure("CPU from the tick's start to the order, ms", "%.2f", ms(decided)/float64(lone), 0, 0.5)
	t.figure("CPU from its connection to the end of its part, ms", "%.2f", ms(cpu), ms(f), 0.5)
	t.figure("… what the server does anyway in a second, which is taken off that, ms", "%.2f", ms(anyway), 0, 0)
	t.note("%d machines one after another, each alone in its tick, among %d that are connected and deployed to.", lone, n)
	return t, nil
}

// joinAlone lets one machine join, and returns how long after the tick's start it was given its order, and the processor
// time until then.
func (s *stage) joinAlone(ctx context.Context, number int) (took, used time.Duration, err error) {
	record, begun, ended := process.Begin(s.PID()), time.Now(), s.Ended()
	err = s.Connect(ctx, number, number+1, 1)
	if err == nil {
		err = s.settled(ended + 1)
	}
	record.End()
	if err != nil {
		return 0, 0, err
	}
	offered := s.Offered(begun)
	if len(offered) != 1 {
		return 0, 0, fmt.Errorf("%d orders came where one machine joined", len(offered))
	}
	ticked, err := s.tickOf(offered[0])
	return offered[0].Sub(ticked), record.Between(ticked, offered[0]), err
}

// costAlone is the processor time of one join, less what the server does anyway, and that in a second.
func (s *stage) costAlone(ctx context.Context, from, lone int) (each, anyway time.Duration, err error) {
	span := time.Duration(lone) * time.Second / 2
	before := process.CPU(s.PID())
	time.Sleep(span)
	anyway = time.Duration(float64(process.CPU(s.PID())-before) / span.Seconds())
	before, begun := process.CPU(s.PID()), time.Now()
	for i := from; i < from+lone; i++ {
		ended := s.Ended()
		if err := s.Connect(ctx, i, i+1, 1); err != nil {
			return 0, 0, err
		}
		if err := s.settled(ended + 1); err != nil {
			return 0, 0, err
		}
	}
	used := process.CPU(s.PID()) - before
	return (used - time.Duration(float64(anyway)*time.Since(begun).Seconds())) / time.Duration(lone), anyway, nil
}

func (o options) floorLone(n, lone int) (cpu time.Duration, after []time.Duration, err error) {
	f, err := o.floorFleet(n, false)
	if err != nil {
		return 0, nil, err
	}
	defer f.Stop()
	if _, _, err := f.Pass(n / 2); err != nil {
		return 0, nil, err
	}
	before := process.CPU(f.PID())
	for i := range lone {
		if err := f.Connect(n+2*i+1, n+2*i+2, 1); err != nil {
			return 0, nil, err
		}
		_, arrived, err := f.Pass(1)
		if err != nil {
			return 0, nil, err
		}
		after = append(after, arrived...)
	}
	return (process.CPU(f.PID()) - before) / time.Duration(lone), after, nil
}
