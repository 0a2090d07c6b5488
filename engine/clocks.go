package engine

import (
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/policies"
)

// wallClock is what this server knows about its own wall clock. None of it is in the log.
type wallClock struct {
	mu       sync.Mutex
	clock    clocks.Clock
	verdict  clocks.Verdict
	agents   map[string]agentClock // by machine, so that an agent that reconnects counts once
	emptyLog bool                  // the log was empty when this server opened it
}

// agentClock is the time that the clock of a machine showed when its agent sent it.
type agentClock struct {
	shown time.Time
	at    time.Duration
}

// agentClockAge is how long the time of an agent counts. An agent sends it with each heartbeat.
const agentClockAge = 10 * time.Minute

// AgentClock records what the clock of a machine shows now, according to its agent.
func (e *Engine) AgentClock(machine string, shown time.Time) {
	if shown.IsZero() {
		return // an older agent does not send it
	}
	w := &e.wall
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.agents == nil {
		w.agents = map[string]agentClock{}
	}
	w.agents[machine] = agentClock{shown, e.cfg.Clock.Elapsed()}
}

// Clocks returns the last verdict on the wall clock of this server.
func (e *Engine) Clocks() clocks.Verdict {
	w := &e.wall
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verdict
}

// CredibleTime returns the earliest and the latest credible time, see package clocks. They are equal once the clock of this
// server has been confirmed. The earliest one decides whether a token has expired.
func (e *Engine) CredibleTime() (earliest, latest time.Time) {
	w := &e.wall
	w.mu.Lock()
	defer w.mu.Unlock()
	now := e.cfg.Clock.Elapsed()
	return w.clock.Earliest(now), w.clock.Latest(now)
}

// readClocks compares the wall clock of this server with the other clocks.
func (e *Engine) readClocks() clocks.Verdict {
	peers := e.presence.peerClocks(e.cfg.Server, e.cfg.Clock.Elapsed())
	w := &e.wall
	w.mu.Lock()
	defer w.mu.Unlock()
	before, now := w.verdict, e.cfg.Clock.Elapsed()
	w.verdict = w.clock.Read(clocks.Reading{Wall: e.cfg.Clock.Now(), Elapsed: now, Peers: peers,
		Agents: w.agentTimes(now), EmptyLog: w.emptyLog})
	if w.verdict.Reason != before.Reason {
		e.log.Info("the clock of this server was judged", zap.Bool("confirmed", w.verdict.Confirmed),
			zap.String("reason", string(w.verdict.Reason)), zap.Duration("ahead", w.verdict.Ahead))
	}
	return w.verdict
}

// agentTimes returns what the clocks of the agents show now. It drops old entries.
func (w *wallClock) agentTimes(now time.Duration) []time.Time {
	shown := make([]time.Time, 0, len(w.agents))
	for machine, a := range w.agents {
		if now-a.at > agentClockAge {
			delete(w.agents, machine)
			continue
		}
		shown = append(shown, a.shown.Add(now-a.at))
	}
	return shown
}

// peerClocks returns what the clocks of the other live servers show now, within a few seconds.
func (p *presence) peerClocks(self domain.ID, now time.Duration) (peers []clocks.Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for server, c := range p.leases {
		if server != self && !c.gone && p.lastLook-c.at <= policies.LeaseStale && !c.shown.IsZero() {
			peers = append(peers, clocks.Peer{Server: server, Time: c.shown.Add(now - c.at)})
		}
	}
	slices.SortFunc(peers, func(a, b clocks.Peer) int { return strings.Compare(a.Server.String(), b.Server.String()) })
	return peers
}
