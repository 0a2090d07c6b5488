package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/bench/baseline"
	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// deployed returns a fixture in which every machine is connected and has the release.
func (o options) deployed(ctx context.Context, s setup) (*fixture, error) {
	s.roles, s.wanted = []string{"web"}, true
	st, err := o.open(s)
	if err != nil {
		return nil, err
	}
	if err := st.join(ctx); err != nil {
		return nil, st.closed(err)
	}
	if err := st.awaitEnds(s.machines); err != nil {
		return nil, st.closed(err)
	}
	return st, nil
}

// baselineFleet starts the baseline server with all its agents connected.
func (o options) baselineFleet(n int, secure bool) (*baseline.Fleet, error) {
	folder, err := os.MkdirTemp(o.folder, "baseline-")
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
	f, err := baseline.Start(baselineWord, folder, trust)
	if err != nil {
		return nil, err
	}
	if err := f.Connect(0, n, atOnce); err != nil {
		f.Stop()
		return nil, err
	}
	return f, nil
}

// budgetFor returns a budget that is defined for 10 000 machines, or 0 (no budget) for fewer.
func budgetFor(n int, budget float64) float64 {
	if n < 10_000 {
		return 0
	}
	return budget
}

func memoryRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	t := comparedWith("baseline")
	for _, secure := range []bool{false, true} {
		name, budget := "plain", 350.0
		if secure {
			name, budget = "TLS", 600
		}
		m, heap, err := o.memory(ctx, n, secure)
		if err != nil {
			return nil, err
		}
		f, err := o.baselineFleet(n, secure)
		if err != nil {
			return nil, err
		}
		least := process.MemoryOf(f.PID())
		f.Stop()
		t.figure(name+": resident memory, MB", "%.0f", float64(m.RSS)/1e6, float64(least.RSS)/1e6, budgetFor(n, budget))
		t.figure(name+": proportional set size (PSS), MB", "%.0f", float64(m.PSS)/1e6, float64(least.PSS)/1e6, 0)
		t.figure(name+": KB per agent", "%.1f", float64(m.RSS)/1e3/float64(n), float64(least.RSS)/1e3/float64(n), 0)
		t.figure(name+": live Go heap, MB", "%.0f", heap/1e6, 0, 0)
	}
	t.note("%d agents connected, each of them deployed to. Measured after %s of heartbeats, so that memory used for "+
		"joining is released.", n, pick(o, longSettle, shortSettle))
	return t, o.foldMemory(ctx, t)
}

// After a load peak, the Go runtime returns memory to the system only within minutes.
const (
	longSettle  = 60 * time.Second
	shortSettle = 5 * time.Second
)

func (o options) memory(ctx context.Context, n int, secure bool) (m process.Memory, heap float64, err error) {
	s, err := o.deployed(ctx, setup{machines: n, tick: 2 * time.Second, tls: secure, heartbeat: defaultHeartbeat})
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
	s, err := o.deployed(ctx, setup{machines: n, tick: 15 * time.Second, heartbeat: defaultHeartbeat})
	if err != nil {
		return nil, err
	}
	defer s.close()
	time.Sleep(3 * time.Second) // until the deployments have ended
	position, err := s.position()
	if err != nil {
		return nil, err
	}
	before, beats := process.CPU(s.PID()), s.Heartbeats()
	time.Sleep(span)
	used, sent := process.CPU(s.PID())-before, s.Heartbeats()-beats
	after, err := s.position()
	if err != nil {
		return nil, err
	}
	s.close()
	least, err := o.baselineIdle(n, span)
	if err != nil {
		return nil, err
	}
	t := comparedWith("baseline")
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / span.Seconds() }
	t.figure("share of one core, %", "%.1f", share(used), share(least), budgetFor(n, 8))
	t.figure("CPU per heartbeat, µs", "%.0f", µs(used, sent), µs(least, sent), 0)
	appended := 0.0
	if position != after {
		appended = 1
	}
	t.add("events appended in that time", map[bool]string{true: "none", false: position + " → " + after}[appended == 0],
		"–", "–", "none", map[bool]string{true: "yes", false: "**no**"}[appended == 0])
	t.note("%d agents with a heartbeat every %s, for %s.", n, defaultHeartbeat, span)
	return t, idleTicks(ctx, o, t)
}

func (o options) baselineIdle(n int, span time.Duration) (time.Duration, error) {
	f, err := o.baselineFleet(n, false)
	if err != nil {
		return 0, err
	}
	defer f.Stop()
	before := process.CPU(f.PID())
	f.SendHeartbeats(defaultHeartbeat, int(span/defaultHeartbeat))
	return process.CPU(f.PID()) - before, nil
}

func reconnectRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	s, err := o.deployed(ctx, setup{machines: n, tick: 5 * time.Second, tls: true, heartbeat: defaultHeartbeat})
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
	if err := fleet.Until(timeout, func() bool { return len(s.Welcomed(killed)) == n }); err != nil {
		return nil, fmt.Errorf("%d of %d agents reconnected: %w; %s", len(s.Welcomed(killed)), n, err, s.Errors())
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
	s.close() // this process may not open enough files for both these connections and those of the baseline
	handshakes, cpu, err := o.handshakes(n)
	if err != nil {
		return nil, err
	}
	t := comparedWith("handshakes only")
	t.figure("time until all agents are back, from server ready, s", "%.1f", back.Sub(ready).Seconds(),
		handshakes.Seconds(), budgetFor(n, 15))
	t.figure("… from the kill, s", "%.1f", back.Sub(killed).Seconds(), 0, 0)
	t.figure("server CPU per agent, including its start, µs", "%.0f", µs(used, n), µs(cpu, n), 0)
	t.figure("attempts per agent", "%.2f", float64(tried)/float64(n), 1, 0)
	twice := offered + byType["DeploymentQueued"]
	t.add("deployed twice", fmt.Sprint(twice), "–", "–", "0", map[bool]string{true: "yes", false: "**no**"}[twice == 0])
	t.add("agents back, by second", spread(came, killed), "–", "–", "–", "–")
	t.note("%d agents, all deployed to. The server is killed (SIGKILL) and restarted immediately.", n)
	return t, nil
}

// spread lists how many events happened in each second.
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

// bySecond counts events by second since the given time.
func bySecond(when []time.Time, since time.Time) map[int]int {
	counts := map[int]int{}
	for _, at := range when {
		counts[int(at.Sub(since).Seconds())]++
	}
	return counts
}

// handshakes measures the TLS connections without any work.
func (o options) handshakes(n int) (took, cpu time.Duration, err error) {
	begun := time.Now()
	f, err := o.baselineFleet(n, true)
	if err != nil {
		return 0, 0, err
	}
	defer f.Stop()
	return time.Since(begun), process.CPU(f.PID()), nil
}

func flapsRow(ctx context.Context, o options) (*table, error) {
	n, times := o.size(10_000, 1_000), pick(o, 10, 3)
	s, err := o.deployed(ctx, setup{machines: n, tick: 15 * time.Second, heartbeat: defaultHeartbeat})
	if err != nil {
		return nil, err
	}
	defer s.close()
	time.Sleep(3 * time.Second) // until the deployments have ended
	offers := s.Offers()
	down, up, memory, err := flap(ctx, s.Fleet, s.PID(), n, times)
	if err != nil {
		return nil, err
	}
	again := s.Offers() - offers
	s.close() // frees open files, as in reconnectRow
	leastDown, leastUp, err := o.baselineFlaps(ctx, n)
	if err != nil {
		return nil, err
	}
	t := comparedWith("bare WebSocket")
	t.figure("CPU per machine that disconnects, µs", "%.0f", µs(down, n*times), µs(leastDown, n*websocketRounds), 30)
	t.figure("CPU per machine that connects, µs", "%.0f", µs(up, n*times), µs(leastUp, n*websocketRounds), 100)
	last := memory[len(memory)-1]
	t.figure("resident memory after the last round, MB", "%.0f", last, 0, memory[0]*1.1)
	t.add("deployed again", fmt.Sprint(again), "–", "–", "0", map[bool]string{true: "yes", false: "**no**"}[again == 0])
	t.note("%d machines disconnect and reconnect %d times. Both figures include closing or opening the connection. "+
		"Memory after each round: %.0f MB.", n, times, memory)
	t.note("Bare WebSocket: the same agents with a server that only opens their WebSockets with the same libraries, " +
		"answers one message with an empty one, and closes at the next.")
	return t, nil
}

// flap disconnects and reconnects a whole fleet several times. It returns the server's processor time for each
// direction and its resident memory after each round, in MB.
func flap(ctx context.Context, f *fleet.Fleet, pid, n, times int) (down, up time.Duration, memory []float64,
	err error) {
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

// websocketRounds is how often the fleet reconnects to the bare WebSocket server.
const websocketRounds = 3

// baselineFlaps measures disconnecting and reconnecting with a server that does no work.
func (o options) baselineFlaps(ctx context.Context, n int) (down, up time.Duration, err error) {
	server, err := baseline.Start(websocketWord, o.folder, nil)
	if err != nil {
		return 0, 0, err
	}
	defer server.Stop()
	agents := fleet.New(fleet.Config{Machines: n, Address: server.Address(), Roles: half})
	defer agents.Stop()
	if err := agents.Connect(ctx, 0, n, atOnce); err != nil {
		return 0, 0, err
	}
	down, up, _, err = flap(ctx, agents, server.PID(), n, websocketRounds)
	return down, up, err
}

func loneRow(ctx context.Context, o options) (*table, error) {
	n, lone := o.size(10_000, 1_000), pick(o, 60, 6)
	s, err := o.open(setup{machines: n + 2*lone, tick: time.Second, roles: []string{"web"}, wanted: true,
		offlineAfter: time.Hour})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.Connect(ctx, 0, n, atOnce); err != nil {
		return nil, err
	}
	if err := s.awaitEnds(n); err != nil {
		return nil, err
	}
	time.Sleep(3 * time.Second) // until the deployments have ended
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
	s.close() // frees open files, as in reconnectRow
	f, least, err := o.baselineLone(n, lone)
	if err != nil {
		return nil, err
	}
	t := comparedWith("baseline")
	t.figure("offer delivered after the tick began, p50, ms", "%.2f", ms(process.Quantile(after, .5)),
		ms(process.Quantile(least, .5)), 2)
	t.figure("… p99, ms", "%.2f", ms(process.Quantile(after, .99)), ms(process.Quantile(least, .99)), 10)
	t.figure("CPU from the start of the tick to the offer, ms", "%.2f", ms(decided)/float64(lone), 0, 0.5)
	t.figure("CPU from the connection to the end of the part, ms", "%.2f", ms(cpu), ms(f), 0.5)
	t.figure("… background CPU of the server per second, already subtracted, ms", "%.2f", ms(anyway), 0, 0)
	t.note("%d machines join one after another, each alone in its tick, next to %d machines that are connected and "+
		"deployed to.", lone, n)
	return t, nil
}

// joinAlone makes one machine join. It returns the time from the start of the tick to the offer and the processor time
// used in between.
func (s *fixture) joinAlone(ctx context.Context, number int) (took, used time.Duration, err error) {
	record, begun, ended := process.RecordCPU(s.PID()), time.Now(), s.Ended()
	err = s.Connect(ctx, number, number+1, 1)
	if err == nil {
		err = s.awaitEnds(ended + 1)
	}
	record.End()
	if err != nil {
		return 0, 0, err
	}
	offered := s.Offered(begun)
	if len(offered) != 1 {
		return 0, 0, fmt.Errorf("%d offers arrived, but only one machine joined", len(offered))
	}
	ticked, err := s.tickOf(offered[0])
	return offered[0].Sub(ticked), record.Between(ticked, offered[0]), err
}

// costAlone returns the processor time of one join (each), without the server's background work, and the processor time
// of that background work per second (anyway).
func (s *fixture) costAlone(ctx context.Context, from, lone int) (each, anyway time.Duration, err error) {
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
		if err := s.awaitEnds(ended + 1); err != nil {
			return 0, 0, err
		}
	}
	used := process.CPU(s.PID()) - before
	return (used - time.Duration(float64(anyway)*time.Since(begun).Seconds())) / time.Duration(lone), anyway, nil
}

func (o options) baselineLone(n, lone int) (cpu time.Duration, after []time.Duration, err error) {
	f, err := o.baselineFleet(n, false)
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
