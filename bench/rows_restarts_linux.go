package main

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// restartsRow restarts the server again and again under a fleet, and looks at what it holds each time all are back.
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
	offers := s.Offers()
	t := &table{head: []string{"restart", "ready after, s", "all back after, s", "resident memory, MB", "goroutines", "open files", "log, MB", "agents back, by the second"}}
	for i := 1; time.Duration(i)*interval <= length; i++ {
		due := time.Now().Add(interval)
		if err := s.restart(t, i, n, due); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	t.note("%d agents, all deployed to; the server is stopped with SIGTERM and killed with SIGKILL in turn, and looked at right before the next restart. Deployed again: %d.", n, s.Offers()-offers)
	return t, nil
}

// restart restarts the server, waits until due, and notes what it holds then.
func (s *stage) restart(t *table, number, n int, due time.Time) error {
	begun := time.Now()
	if err := s.Restart(number%2 == 0); err != nil {
		return err
	}
	ready := time.Since(begun)
	if err := fleet.Until(patience, func() bool { return len(s.Welcomed(begun)) == n }); err != nil {
		return fmt.Errorf("restart %d: %d of %d came back: %w; %s", number, len(s.Welcomed(begun)), n, err, s.Faults())
	}
	back := time.Since(begun)
	when := s.Welcomed(begun)
	time.Sleep(time.Until(due))
	all, err := s.Metrics()
	if err != nil {
		return err
	}
	t.add(fmt.Sprint(number), fmt.Sprintf("%.1f", ready.Seconds()), fmt.Sprintf("%.1f", back.Seconds()),
		fmt.Sprintf("%.0f", float64(process.MemoryOf(s.PID()).RSS)/1e6), fmt.Sprintf("%.0f", all["go_goroutines"]), fmt.Sprint(process.Files(s.PID())),
		fmt.Sprintf("%.1f", float64(s.LogBytes())/1e6), spread(when, begun))
	return nil
}
