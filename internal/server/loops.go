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
	// leaseTimeout bounds one renewal, so that a log that hangs is tried again on another connection. A lease that is
	// renewed later than this is stale anyway (policies.LeaseStale).
	leaseTimeout = 8 * time.Second
	// reactEvery bounds how late the server detects missing heartbeats, expired claims and the writes of other servers.
	reactEvery = time.Second
	// beatEvery is well below domain.MinOfflineAfter: a pause too short for the watchdog must not make a machine offline.
	beatEvery = 200 * time.Millisecond
	// lateAfter is how late the watchdog can be before the server assumes that it was suspended long enough for its agents
	// to leave. A shorter pause is only excluded from the time without heartbeats.
	lateAfter = 5 * time.Second
	// outputRetention is how long the output of deployments is retained; pruneEvery is how often older output is deleted.
	outputRetention = 14 * 24 * time.Hour
	pruneEvery      = time.Hour
	// flushAccessLogEvery bounds how late the access log says that lines were suppressed.
	flushAccessLogEvery = time.Second
	// storeUsesEvery is how often the server looks for uses of tokens to store. It stores each token at most once an hour.
	storeUsesEvery   = time.Minute
	storeUsesTimeout = 5 * time.Second
)

// loops starts the background loops. They end with ctx; wait returns after all of them have ended.
func (r *run) loops(ctx context.Context) (wait func()) {
	var all sync.WaitGroup
	all.Go(func() { r.repeat(ctx, beatEvery, r.watchdog.beat) })
	all.Go(func() { r.repeat(ctx, leaseEvery, func() { r.lease(ctx) }) })
	all.Go(func() { r.repeat(ctx, engine.ShareEvery, func() { r.shareContacts(ctx) }) })
	all.Go(func() { r.repeat(ctx, syncWitnessEvery, r.syncWitness) })
	all.Go(func() { r.repeat(ctx, pruneEvery, func() { r.prune(ctx) }) })
	all.Go(func() { r.repeat(ctx, flushAccessLogEvery, r.accessLog.Flush) })
	all.Go(func() {
		r.repeat(ctx, storeUsesEvery, func() {
			r.logFault(ctx, "could not store the last uses of tokens", r.storeUses(ctx, false))
		})
	})
	if r.endpoint.certificate != nil {
		all.Go(func() { r.repeat(ctx, certificateEvery, r.reloadCertificates) })
	}
	all.Go(func() { r.repeat(ctx, reactEvery, r.agents.HandOverIfCutOff) })
	all.Go(func() { r.react(ctx) })
	all.Go(func() { r.ticks(ctx) })
	return all.Wait
}

// repeat calls do at once and then at each interval until ctx ends.
func (r *run) repeat(ctx context.Context, every time.Duration, do func()) {
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
		r.logFault(ctx, "could not record the server key", r.engine.EnsureServerKey(ctx)) // a restored log can lack it
		report, err := r.engine.Tick(ctx)
		r.agents.HandOver()
		r.api.Ticked(report, r.clock.Elapsed()-begun, err)
		r.logFault(ctx, "tick failed", err)
		if len(report.Appended) > 0 {
			r.logger.Info("tick", zap.Int("decisions", len(report.Appended)), zap.Stringer("position", r.engine.Position()))
		}
		if r.engine.SnapshotDue(len(report.Appended) == 0) {
			r.logFault(ctx, "could not store a snapshot", r.engine.Snapshot())
			debug.FreeOSMemory() // a snapshot needs as much memory as the view; an idle server would hold it for minutes
		}
	})
	if err != nil {
		r.logger.Error("ticks do not run", zap.Error(err)) // impossible: Run has checked the interval
	}
}

// react runs a reaction on each kick and every second. Kicks that arrive during a reaction are merged into one. A kick
// means that this server has folded an event; most kicks need no reaction.
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
		r.logFault(ctx, "reaction failed", err)
	}
}

// kick requests a reaction. It never blocks.
func (r *run) kick() {
	select {
	case r.kicks <- struct{}{}:
	default:
	}
}

func (r *run) lease(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	r.logFault(ctx, "could not renew the lease", r.engine.RenewLease(limited, r.log))
	r.logFault(ctx, "could not add other servers to the client context", r.listOthers())
	r.log.check(limited)
	r.log.probe(limited)
}

func (r *run) shareContacts(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	r.logFault(ctx, "could not share heartbeats with other servers", r.engine.ShareContacts(limited, r.log))
}

// storeUses stores when tokens were last used.
func (r *run) storeUses(ctx context.Context, all bool) error {
	limited, cancel := context.WithTimeout(ctx, storeUsesTimeout)
	defer cancel()
	return r.access.StoreUses(limited, all)
}

// prune deletes old output, unless the clock of this server may be wrong (law 29).
func (r *run) prune(ctx context.Context) {
	clock := r.engine.Clocks()
	if !clock.Confirmed {
		return
	}
	deleted, err := r.log.Prune(ctx, eventlog.Output, clock.Time.Add(-outputRetention))
	r.logFault(ctx, "could not delete old output", err)
	if deleted > 0 {
		r.logger.Info("old output deleted", zap.Int("chunks", deleted))
	}
}

// logFault logs a fault, the same one at most once a minute.
func (r *run) logFault(ctx context.Context, what string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	if errors.Is(err, engine.ErrFenced) {
		what = "this server no longer decides"
	}
	if r.recent.first(what + err.Error()) {
		r.logger.Error(what, zap.Error(err))
	}
}

// recentMessages contains the messages that were logged within the last minute.
type recentMessages struct {
	mu     sync.Mutex
	logged map[string]time.Time
}

// first records a message and reports whether it was not logged within the last minute.
func (m *recentMessages) first(message string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for old, at := range m.logged {
		if now.Sub(at) > time.Minute {
			delete(m.logged, old)
		}
	}
	if _, found := m.logged[message]; found {
		return false
	}
	if m.logged == nil {
		m.logged = map[string]time.Time{}
	}
	m.logged[message] = now
	return true
}

// watchdog detects that this process was suspended, because its own beats are late.
type watchdog struct {
	elapsed func() time.Duration
	late    func(by time.Duration)
	paused  func(d time.Duration)

	mu   sync.Mutex
	last time.Duration
}

// beat is called five times a second and before each decision, so that a server that wakes corrects its timeouts before
// it relies on them.
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
