package agents

import (
	"errors"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// HandOver closes sessions if a newer server is running and this server can therefore no longer offer work. The session
// of an agent that is running a part stays open until the end of the part is recorded. If no newer server is running,
// all sessions stay open. HandOver must be called after each tick.
func (h *Hub) HandOver() {
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
		s.end(websocket.StatusGoingAway, "a newer server offers work now")
	}
}

// newerRuns reports whether a server with a higher decision version is running.
func (h *Hub) newerRuns(v *projections.View) bool {
	for id, server := range v.Servers {
		if server.Facts.DecisionVersion > engine.DecisionVersion && h.cfg.Engine.Alive(id) {
			return true
		}
	}
	return false
}
