package server

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

const (
	leaseEvery = 2 * time.Second
	// reactEvery bounds how late silence, expiry of a claim or the writes of another server are noticed.
	reactEvery = time.Second
	// beatEvery is well below domain.MinOfflineAfter: what the watchdog does not notice must make no machine silent.
	beatEvery = 200 * time.Millisecond
	// lateAfter is how late the watchdog may be before this server takes itself for one that was stopped for so long
	// that its agents have gone. A shorter stop only does not count as their silence.
	lateAfter = 5 * time.Second
	// outputKept is how long the output of deployments is kept; outputEvery how often the rest is deleted.
	outputKept  = 14 * 24 * time.Hour
	outputEvery = time.Hour
)

// loops starts what runs beside the door. It ends with ctx; wait returns when all of it has ended.
func (r *run) loops(ctx context.Context) (wait func()) {
	var all sync.WaitGroup
	all.Go(func() { r.keep(ctx, beatEvery, r.watchdog.beat) })
	all.Go(func() { r.keep(ctx, leaseEvery, func() { r.lease(ctx) }) })
	all.Go(func() { r.keep(ctx, outputEvery, func() { r.prune(ctx) }) })
	if r.endpoint.certificate != nil {
		all.Go(func() { r.keep(ctx, certificateEvery, r.follow) })
	}
	all.Go(func() { r.react(ctx) })
	all.Go(func() { r.ticks(ctx) })
	return all.Wait
}

// keep calls do now and then every so often until ctx ends.
func (r *run) keep(ctx context.Context, every time.Duration, do func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		do()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) ticks(ctx context.Context) {
	err := schedule(ctx, r.config.Tick, func(ctx context.Context) {
		r.watchdog.beat()
		begun := r.clock.Elapsed()
		report, err := r.engine.Tick(ctx)
		r.agents.HandOver()
		r.api.Ticked(report, r.clock.Elapsed()-begun, err)
		r.complain(ctx, "tick did not end", err)
		if len(report.Appended) > 0 {
			r.logger.Info("tick", zap.Int("decisions", len(report.Appended)), zap.Stringer("position", r.engine.Position()))
		}
		if r.engine.SnapshotDue(len(report.Appended) == 0) {
			r.complain(ctx, "no snapshot was stored", r.engine.Snapshot())
			debug.FreeOSMemory() // a snapshot takes about as much as the view; in a quiet server that would stay for minutes
		}
	})
	if err != nil {
		r.logger.Error("no ticks run", zap.Error(err)) // the schedule was checked before
	}
}

// react does what follows at once, on each kick and every second. Kicks that come meanwhile are one. A kick says that this
// server has folded something, and most often nothing follows from it.
func (r *run) react(ctx context.Context) {
	ticker := time.NewTicker(reactEvery)
	defer ticker.Stop()
	for {
		kicked := false
		select {
		case <-r.kicks:
			kicked = true
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		r.watchdog.beat()
		if kicked && !r.engine.Due() {
			continue
		}
		written, err := r.engine.React(ctx)
		r.api.Reacted(written)
		r.complain(ctx, "reaction did not end", err)
	}
}

// kick asks for a reaction soon. It never blocks.
func (r *run) kick() {
	select {
	case r.kicks <- struct{}{}:
	default:
	}
}

func (r *run) lease(ctx context.Context) {
	r.complain(ctx, "lease was not renewed", r.engine.RenewLease(ctx, r.log))
	r.log.try(ctx)
}

func (r *run) prune(ctx context.Context) {
	deleted, err := r.log.Prune(ctx, eventlog.Output, time.Now().Add(-outputKept))
	r.complain(ctx, "old output was not deleted", err)
	if deleted > 0 {
		r.logger.Info("old output deleted", zap.Int("chunks", deleted))
	}
}

// complain writes a fault to the log of this server, the same one at most once a minute.
func (r *run) complain(ctx context.Context, what string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	if errors.Is(err, engine.ErrFenced) {
		what = "this server no longer decides"
	}
	if r.said.again(what + err.Error()) {
		r.logger.Error(what, zap.Error(err))
	}
}

// said remembers which faults were told within the last minute.
type said struct {
	mu   sync.Mutex
	when map[string]time.Time
}

func (s *said) again(sentence string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for old, at := range s.when {
		if now.Sub(at) > time.Minute {
			delete(s.when, old)
		}
	}
	if _, told := s.when[sentence]; told {
		return false
	}
	if s.when == nil {
		s.when = map[string]time.Time{}
	}
	s.when[sentence] = now
	return true
}

// watchdog notices that this process was stopped: its own beats came late.
type watchdog struct {
	elapsed func() time.Duration
	late    func(by time.Duration)
	paused  func(d time.Duration)

	mu   sync.Mutex
	last time.Duration
}

// beat is called five times a second, and before each decision, so that a server that wakes has put its
// clocks right before it judges by them.
func (w *watchdog) beat() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.elapsed()
	switch gap := now - w.last; {
	case gap > lateAfter:
		w.late(gap)
	case gap > 2*beatEvery:
		w.paused(gap - beatEvery)
	}
	w.last = now
}
