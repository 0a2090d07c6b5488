package agents

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
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
	recorded, err := s.hub.recordConditions(ctx, s.machine, s.id, stated.Conditions)
	s.logError("could not record what the agent reports about its machine", err)
	if !recorded {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conditions == stated { // else the agent has made another statement meanwhile
		s.conditions = nil
	}
}

// recordConditions records what a session states about its machine. It reports false if the statement must be repeated:
// after an error, if the machine changes its conditions too often, and while the session is not the newest one in the log,
// for example until it has reconnected.
func (h *Hub) recordConditions(ctx context.Context, machine string, session domain.ID, stated []domain.Condition) (bool,
	error) {
	command := domain.ReportConditions{Name: machine, Session: session, Conditions: stated[:min(len(stated), maxConditions)]}
	var changes []domain.Event
	var rejected *domain.Rejection
	h.cfg.Engine.Read(func(v *projections.View) { changes, rejected = command.Decide(v.World()) })
	switch {
	case rejected != nil:
		return false, nil
	case len(changes) == 0:
		return true, nil
	case !h.allowConditions(machine):
		return false, nil
	}
	_, err := h.handle(ctx, domain.ID{}, command)
	return err == nil, err
}

// checkConditions rejects conditions of a program over plain HTTP. An agent of a newer version may state kinds that this
// server does not know, but a program has most likely misspelled one.
func (in ReportInput) checkConditions() error {
	if len(in.Conditions) > 0 && in.Status != "online" {
		return problem.Invalid("conditions are allowed only with status online, not with %s", in.Status).
			WithHint("send them with each report of online")
	}
	for _, c := range in.Conditions[:min(len(in.Conditions), maxConditions)] {
		if !c.Kind.Known() {
			return problem.Invalid("unknown condition %.40q", c.Kind).
				WithHint("use %s", strings.Trim(fmt.Sprint(domain.ConditionKinds()), "[]"))
		}
	}
	return nil
}
