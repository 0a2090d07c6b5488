package agents

import (
	"errors"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/droverhq/drover/api/problem"
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

// HandOverIfCutOff closes all sessions while this server is cut off from the log, so that their agents connect to
// another server. It must be called about once a second, even while the log hangs.
func (h *Hub) HandOverIfCutOff() {
	open := h.sessions.count()
	err := h.cfg.Engine.CutOff()
	if err == nil || open == 0 {
		return
	}
	h.log.Warn("agents handed over", zap.Int("sessions", open), zap.Error(err))
	h.sessions.closeAll(websocket.StatusTryAgainLater, engine.ErrCutOff.Error())
}

// cutOff returns the problem that refuses an agent while this server is cut off from the log; nil if it is not.
func (h *Hub) cutOff() error {
	if h.cfg.Engine.CutOff() == nil {
		return nil
	}
	// the text does not change during the outage, so that the agent logs it once
	return problem.Unavailable("%s", engine.ErrCutOff).WithHint("use another server, or try again later")
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
