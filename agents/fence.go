package agents

import (
	"errors"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// GiveAway ends the sessions of agents that a newer server could give work to, while this one no longer can. An agent
// that runs a part stays until its end is recorded; if no newer server runs, all stay. It is called after each tick.
func (h *Hub) GiveAway() {
	if !errors.Is(h.cfg.Engine.Ready(), engine.ErrFenced) {
		return
	}
	sessions := h.sessions.all()
	var idle []*session
	h.cfg.Engine.Read(func(v *projections.View) {
		if !h.newerRuns(v) {
			return
		}
		for _, s := range sessions {
			if len(rollout.Unfinished(v, s.machine)) == 0 {
				idle = append(idle, s)
			}
		}
	})
	for _, s := range idle {
		s.end(websocket.StatusGoingAway, "a newer server gives work now")
	}
}

// newerRuns says whether a server with a higher decision version runs.
func (h *Hub) newerRuns(v *projections.View) bool {
	for id, server := range v.Servers {
		if server.Facts.DecisionVersion > engine.DecisionVersion && h.cfg.Engine.Alive(id) {
			return true
		}
	}
	return false
}
