package agents

import (
	"context"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// maxConditions bounds how many conditions of one statement are examined.
const maxConditions = 20

// receiveConditions records what an agent states about its machine.
func (s *session) receiveConditions(ctx context.Context, c client.Conditions) {
	c.Conditions = c.Conditions[:min(len(c.Conditions), maxConditions)]
	s.mu.Lock()
	s.conditions = &c
	s.mu.Unlock()
	s.recordConditions(ctx)
}

// assumeConditions records that nothing is wrong, if the agent may never state its conditions. Otherwise, what a later
// version of it stated before would keep its machine from being deployed to.
func (s *session) assumeConditions() {
	if s.statesConditions {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	s.receiveConditions(ctx, client.Conditions{})
}

// recordConditions records the last statement, unless that has been done. It is repeated with each heartbeat, because the
// log may be unavailable at first, and because a machine whose conditions change too often must wait.
func (s *session) recordConditions(ctx context.Context) {
	s.mu.Lock()
	stated := s.conditions
	s.mu.Unlock()
	if stated == nil {
		return
	}
	command := domain.ReportConditions{Name: s.machine, Session: s.id, Conditions: stated.Conditions}
	var changes []domain.Event
	var rejected *domain.Rejection
	s.hub.cfg.Engine.Read(func(v *projections.View) { changes, rejected = command.Decide(v.World()) })
	if rejected != nil || len(changes) > 0 && !s.hub.allowConditions(s.machine) {
		return // for example, the machine is offline in the log until this session has reconnected
	}
	if len(changes) > 0 {
		if _, err := s.hub.handle(ctx, domain.ID{}, command); err != nil {
			s.logError("could not record what the agent reports about its machine", err)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conditions == stated { // else the agent has made another statement meanwhile
		s.conditions = nil
	}
}
