package agents

import (
	"context"
	"errors"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// receiveStatement compares what an agent states about its successes with the log.
func (s *session) receiveStatement(ctx context.Context, p client.Remembered) {
	s.mu.Lock()
	s.unjudged, s.ran = &p, p.Unconfirmed
	s.mu.Unlock()
	s.compareStatement(ctx)
}

// ranPart returns what the agent said about a part whose end was not confirmed; zero if it said nothing.
func (s *session) ranPart(deployment string) client.RanPart {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ran[deployment]
}

// compareStatement compares the last statement, unless that has been done. It is repeated with each heartbeat, because the log
// can be unavailable at first, and the agent makes one statement for each welcome.
func (s *session) compareStatement(ctx context.Context) {
	s.mu.Lock()
	p, asOf := s.unjudged, s.welcomed
	s.mu.Unlock()
	if p == nil {
		return
	}
	err := s.hub.compareRemembered(ctx, s.machine, s.id, asOf, *p)
	if !isTemporary(err) {
		s.mu.Lock()
		s.unjudged = nil
		s.mu.Unlock()
	}
	s.logError("could not compare the agent's record of successes with the log", err)
}

// isTemporary reports whether the same command can succeed later. While the log has lost events, nothing is compared:
// the agents connect again after a person has accepted that.
func isTemporary(err error) bool {
	if err == nil || errors.Is(err, engine.ErrLostEvents) {
		return false
	}
	return !isRejected(err) && problem.Of(err).Kind != client.Invalid
}

// compareRemembered records the successes that the agent of a machine does not remember. The agent made the statement after
// the log had reached asOf, so it must remember everything that it reported before.
func (h *Hub) compareRemembered(ctx context.Context, machine string, session domain.ID, asOf eventlog.Position,
	p client.Remembered) error {
	if h.stateOf(machine).doubted { // a person decides first which memory counts
		return nil
	}
	statement, err := parseRemembered(asOf, p)
	if err != nil {
		return err
	}
	var lost []domain.LostSuccess
	h.cfg.Engine.Read(func(v *projections.View) { lost = v.Forgotten(machine, statement) })
	if len(lost) == 0 {
		return nil
	}
	_, err = h.handle(ctx, domain.ID{}, domain.ReportLostState{Name: machine, Session: session, Lost: lost})
	return err
}

// parseRemembered parses a statement.
func parseRemembered(asOf eventlog.Position, p client.Remembered) (projections.Remembered, error) {
	statement := projections.Remembered{AsOf: asOf, Partial: p.Partial, Projects: map[string]projections.RememberedProject{}}
	for project, stated := range p.Projects {
		if rejection := domain.CheckName("project", project); rejection != nil {
			return statement, rejection
		}
		proven := projections.RememberedProject{Release: bounded(stated.Release)}
		for _, text := range stated.Deployments {
			id, err := domain.ParseID(text)
			if err != nil {
				return statement, problem.Invalid("invalid deployment %.80q in the statement: use a UUID", text)
			}
			proven.Deployments = append(proven.Deployments, id)
		}
		statement.Projects[project] = proven
	}
	return statement, nil
}

// reportRemembered compares a statement that arrived over plain HTTP. Such a request can be delayed, so the agent states itself
// which position of the log it knew before.
func (h *Hub) reportRemembered(ctx context.Context, machine string, session domain.ID, p client.Remembered) error {
	asOf, err := eventlog.ParsePosition(p.AsOf)
	if err != nil {
		return problem.Invalid("invalid asOf %.40q in the statement", p.AsOf).
			WithHint("send the position in the answer to an earlier report")
	}
	return h.compareRemembered(ctx, machine, session, asOf, p)
}
