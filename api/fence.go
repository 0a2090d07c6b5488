package api

import (
	"errors"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// giveAway ends the sessions of agents that a newer server could give work to, and this one no more. Who runs a part
// stays until its end is recorded; with no newer server running, all stay.
func (a *API) giveAway() {
	if !errors.Is(a.cfg.Engine.Ready(), engine.ErrFenced) {
		return
	}
	sessions := a.hub.all()
	var idle []*session
	a.cfg.Engine.Read(func(v *projections.View) {
		if !a.newerRuns(v) {
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

// newerRuns says whether a server runs that decides by later rules than this one.
func (a *API) newerRuns(v *projections.View) bool {
	for id, server := range v.Servers {
		if server.Facts.DecisionVersion > engine.DecisionVersion && a.cfg.Engine.Alive(id) {
			return true
		}
	}
	return false
}
