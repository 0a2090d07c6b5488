package main

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// restartSample describes a server at rest and the restart before it.
type restartSample struct {
	rss               float64 // bytes
	goroutines, files float64
	log               int64 // bytes
	begun             time.Time
	ready, back       time.Duration
	arrived           []time.Time // when each agent was welcomed
	busiest           int         // agents that reconnected within the busiest second
}

// restartsRow restarts the server repeatedly under a fleet and samples its resources before each restart.
func restartsRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	interval, length := pick(o, time.Minute, 10*time.Second), pick(o, 20*time.Minute, 30*time.Second)
	if o.interval > 0 {
		interval = o.interval
	}
	if o.length > 0 {
		length = o.length
	}
	s, err := o.deployed(ctx, setup{machines: n, tick: 5 * time.Second, heartbeat: defaultHeartbeat})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.afterTick(); err != nil { // until the log has the ends of the deployments
		return nil, err
	}
	offers := s.Offers()
	position, err := s.position()
	if err != nil {
		return nil, err
	}
	before, err := s.sample()
	if err != nil {
		return nil, err
	}
	t := &table{head: []string{"restart", "ready after, s", "all back after, s", "resident memory, MB", "goroutines",
		"open files", "log, MB", "agents back, by second"}}
	t.add("before the first", "–", "–", fmt.Sprintf("%.0f", before.rss/1e6), fmt.Sprintf("%.0f", before.goroutines),
		fmt.Sprintf("%.0f", before.files), fmt.Sprintf("%.1f", float64(before.log)/1e6), "–")
	var all []restartSample
	for i := 1; time.Duration(i)*interval <= length; i++ {
		h, err := s.restart(i, n, time.Now().Add(interval))
		if err != nil {
			return nil, err
		}
		h.enter(t, i)
		all = append(all, h)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("-length %[2]s allows no restart with -interval %[1]s", interval, length)
	}
	return t, s.verdicts(t, all, offers, position)
}

// sample measures the resources of the server.
func (s *fixture) sample() (h restartSample, err error) {
	h.goroutines, err = s.metric("go_goroutines")
	h.rss, h.files, h.log = float64(process.MemoryOf(s.PID()).RSS), float64(process.OpenFiles(s.PID())), s.LogBytes()
	return h, err
}

// restart restarts the server, waits until due, and returns a sample.
func (s *fixture) restart(number, n int, due time.Time) (h restartSample, err error) {
	begun := time.Now()
	if err := s.Restart(number%2 == 0); err != nil {
		return h, err
	}
	ready := time.Since(begun)
	if err := fleet.Until(timeout, func() bool { return len(s.Welcomed(begun)) == n }); err != nil {
		return h, fmt.Errorf("restart %d: %d of %d agents reconnected: %w; %s", number, len(s.Welcomed(begun)), n, err,
			s.Errors())
	}
	back, came := time.Since(begun), s.Welcomed(begun)
	time.Sleep(time.Until(due))
	if h, err = s.sample(); err != nil {
		return h, err
	}
	h.ready, h.back, h.arrived, h.begun = ready, back, came, begun
	for _, count := range bySecond(came, begun) {
		h.busiest = max(h.busiest, count)
	}
	return h, nil
}

func (h restartSample) enter(t *table, number int) {
	t.add(fmt.Sprint(number), fmt.Sprintf("%.1f", h.ready.Seconds()), fmt.Sprintf("%.1f", h.back.Seconds()),
		fmt.Sprintf("%.0f", h.rss/1e6), fmt.Sprintf("%.0f", h.goroutines),
		fmt.Sprintf("%.0f", h.files), fmt.Sprintf("%.1f", float64(h.log)/1e6), spread(h.arrived, h.begun))
}

// maxGrowth limits how much a resource may differ between the first and the last quarter of the restarts.
const maxGrowth = 1.1

// maxBusiest is the share of all agents that may reconnect within one second.
const maxBusiest = 0.5

// verdicts adds notes that compare the resources and the reconnects with their budgets.
func (s *fixture) verdicts(t *table, all []restartSample, offers int, position string) error {
	n := s.machines
	t.note("%d agents, all deployed to. The server is stopped with SIGTERM and killed with SIGKILL in turn; "+
		"resources are measured right before the next restart.", n)
	for _, resource := range []struct {
		name, format string
		of           func(restartSample) float64
	}{
		{"Resident memory", "%.1f MB", func(h restartSample) float64 { return h.rss / 1e6 }},
		{"Goroutines", "%.1f", func(h restartSample) float64 { return h.goroutines }},
		{"Open files", "%.1f", func(h restartSample) float64 { return h.files }},
	} {
		first, last := quarters(all, resource.of)
		t.note("%s: "+resource.format+" in the first quarter of the restarts, "+resource.format+" in the last: ratio "+
			"%.2f, budget ≤ %.2f, met: %s.",
			resource.name, first, last, last/first, maxGrowth, metOrNot(last/first <= maxGrowth))
	}
	busiest := 0
	for _, h := range all {
		busiest = max(busiest, h.busiest)
	}
	share, verdict := float64(busiest)/float64(n), "the budget applies to 10 000 machines or more"
	if budgetFor(n, maxBusiest) > 0 {
		verdict = "met: " + metOrNot(share <= maxBusiest)
	}
	t.note("Reconnects: %d of %d agents in the busiest second of all restarts: share %.2f, budget ≤ %.2f, %s.", busiest,
		n, share, maxBusiest, verdict)
	byType, _, err := s.written(position)
	if err != nil {
		return err
	}
	offered, queued := s.Offers()-offers, byType["DeploymentQueued"]
	t.note("Deployed twice: %d offers to agents that had the wanted release and %d queued deployments, budget 0, "+
		"met: %s.", offered, queued, metOrNot(offered+queued == 0))
	return nil
}

// quarters returns the means of a figure over the first and the last quarter of the restarts.
func quarters(all []restartSample, of func(restartSample) float64) (first, last float64) {
	n := max(1, len(all)/4)
	for i := range n {
		first += of(all[i]) / float64(n)
		last += of(all[len(all)-1-i]) / float64(n)
	}
	return first, last
}
