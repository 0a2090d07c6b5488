package main

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// held is what a server holds at a moment when nothing happens, and what the restart before that was like.
type held struct {
	rss               float64 // bytes
	goroutines, files float64
	log               int64 // bytes
	begun             time.Time
	ready, back       time.Duration
	came              []time.Time // when each agent was welcomed
	busiest           int         // agents that came back within the busiest second
}

// restartsRow restarts the server again and again under a fleet, and looks at what it holds before and after each restart.
func restartsRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	interval, length := pick(o, time.Minute, 10*time.Second), pick(o, 20*time.Minute, 30*time.Second)
	if o.interval > 0 {
		interval = o.interval
	}
	if o.length > 0 {
		length = o.length
	}
	s, err := o.deployed(ctx, setting{machines: n, tick: 5 * time.Second, heartbeat: defaultHeartbeat})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.afterTick(); err != nil { // so that the ends of the deployments are in the log
		return nil, err
	}
	offers := s.Offers()
	position, err := s.position()
	if err != nil {
		return nil, err
	}
	before, err := s.holds()
	if err != nil {
		return nil, err
	}
	t := &table{head: []string{"restart", "ready after, s", "all back after, s", "resident memory, MB", "goroutines", "open files", "log, MB", "agents back, by the second"}}
	t.add("before the first", "–", "–", fmt.Sprintf("%.0f", before.rss/1e6), fmt.Sprintf("%.0f", before.goroutines), fmt.Sprintf("%.0f", before.files), fmt.Sprintf("%.1f", float64(before.log)/1e6), "–")
	var all []held
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
		return nil, fmt.Errorf("a restart every %s for %s is none", interval, length)
	}
	return t, s.verdicts(t, all, offers, position)
}

// holds reads what the server holds now.
func (s *stage) holds() (h held, err error) {
	h.goroutines, err = s.metric("go_goroutines")
	h.rss, h.files, h.log = float64(process.MemoryOf(s.PID()).RSS), float64(process.Files(s.PID())), s.LogBytes()
	return h, err
}

// restart restarts the server, waits until due, and returns what it holds then.
func (s *stage) restart(number, n int, due time.Time) (h held, err error) {
	begun := time.Now()
	if err := s.Restart(number%2 == 0); err != nil {
		return h, err
	}
	ready := time.Since(begun)
	if err := fleet.Until(patience, func() bool { return len(s.Welcomed(begun)) == n }); err != nil {
		return h, fmt.Errorf("restart %d: %d of %d came back: %w; %s", number, len(s.Welcomed(begun)), n, err, s.Faults())
	}
	back, came := time.Since(begun), s.Welcomed(begun)
	time.Sleep(time.Until(due))
	if h, err = s.holds(); err != nil {
		return h, err
	}
	h.ready, h.back, h.came, h.begun = ready, back, came, begun
	for _, count := range bySecond(came, begun) {
		h.busiest = max(h.busiest, count)
	}
	return h, nil
}

func (h held) enter(t *table, number int) {
	t.add(fmt.Sprint(number), fmt.Sprintf("%.1f", h.ready.Seconds()), fmt.Sprintf("%.1f", h.back.Seconds()), fmt.Sprintf("%.0f", h.rss/1e6), fmt.Sprintf("%.0f", h.goroutines),
		fmt.Sprintf("%.0f", h.files), fmt.Sprintf("%.1f", float64(h.log)/1e6), spread(h.came, h.begun))
}

// mayGrow is by how much what a server holds may differ between the first and the last quarter of all restarts.
const mayGrow = 1.1

// mayCome is the share of all agents that may come back within one second where reconnects spread.
const mayCome = 0.5

// verdicts says below the table what has come back to where it was.
func (s *stage) verdicts(t *table, all []held, offers int, position string) error {
	n := s.machines
	t.note("%d agents, all deployed to; the server is stopped with SIGTERM and killed with SIGKILL in turn, and looked at right before the next restart.", n)
	for _, resource := range []struct {
		name, format string
		of           func(held) float64
	}{
		{"Resident memory", "%.1f MB", func(h held) float64 { return h.rss / 1e6 }},
		{"Goroutines", "%.1f", func(h held) float64 { return h.goroutines }},
		{"Open files", "%.1f", func(h held) float64 { return h.files }},
	} {
		first, last := quarters(all, resource.of)
		t.note("%s: "+resource.format+" in the first quarter of the restarts, "+resource.format+" in the last: %.2f times, budget ≤ %.2f, met: %s.",
			resource.name, first, last, last/first, mayGrow, metOrNot(last/first <= mayGrow))
	}
	busiest := 0
	for _, h := range all {
		busiest = max(busiest, h.busiest)
	}
	share, verdict := float64(busiest)/float64(n), "a budget for 10 000 machines says nothing about fewer"
	if whole(n, mayCome) > 0 {
		verdict = "met: " + metOrNot(share <= mayCome)
	}
	t.note("Reconnects: %d of %d agents in the busiest second of all restarts: %.2f of them, budget ≤ %.2f, %s.", busiest, n, share, mayCome, verdict)
	byType, _, err := s.written(position)
	if err != nil {
		return err
	}
	offered, queued := s.Offers()-offers, byType["DeploymentQueued"]
	t.note("Deployed twice: %d orders came to agents that had what is wanted, and %d deployments were queued, budget 0, met: %s.", offered, queued, metOrNot(offered+queued == 0))
	return nil
}

// quarters are the means of a figure in the first and in the last quarter of all restarts.
func quarters(all []held, of func(held) float64) (first, last float64) {
	n := max(1, len(all)/4)
	for i := range n {
		first += of(all[i]) / float64(n)
		last += of(all[len(all)-1-i]) / float64(n)
	}
	return first, last
}
