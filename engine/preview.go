package engine

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Preview is what commands would cause. Nothing of it is in the log.
type Preview struct {
	// Position is the position of the view that the preview is based on.
	Position eventlog.Position
	// Events are the names of the events that the commands would append.
	Events []string
	// Deployments are the deployments that the commands themselves would queue.
	Deployments []*projections.Deployment
	// Before is what the next tick would do without the commands, and After what it would do with them.
	Before, After Forecast
}

// Forecast is what the next tick would do.
type Forecast struct {
	// View is the view after the tick. It is not shared.
	View *projections.View
	// Due are the verdicts for which the tick would queue deployments.
	Due []triggers.Verdict
}

// Preview returns what commands would cause, if they were executed now in this order. It decides them like Handle, on a
// copy of the view, and then decides like a tick until nothing is left to decide. What has yet to happen is not
// foreseen: no agent reports anything, and no machine becomes silent. It returns the errors of Handle.
//
// A copy takes memory and time in proportion to the fleet, so one preview runs at a time.
func (e *Engine) Preview(ctx context.Context, commands ...domain.Command) (*Preview, error) {
	if err := e.CatchUp(ctx); err != nil {
		return nil, err
	}
	select {
	case e.previewing <- struct{}{}:
		defer func() { <-e.previewing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var saved bytes.Buffer
	base := Situation{Server: e.cfg.Server, outage: true, presence: &e.presence, readClocks: e.readClocks}
	var doubts map[string]projections.Doubt
	var err error
	e.Read(func(v *projections.View) {
		base.elapsed = e.cfg.Clock.Elapsed()
		marks := e.ages.Clone()
		base.Age, doubts = marks.At(base.elapsed), v.Doubts
		err = v.Save(&saved)
	})
	if err != nil {
		return nil, fmt.Errorf("copy the view: %w", err)
	}
	// each call returns another copy
	copied := func() (*projections.View, error) {
		v, err := e.cfg.Rules.Load(saved.Bytes())
		if err == nil {
			v.Doubts = doubts
		}
		return v, err
	}
	return e.preview(copied, base, commands)
}

// preview executes the commands on a copy of the view. base is the situation without a view.
func (e *Engine) preview(copied func() (*projections.View, error), base Situation,
	commands []domain.Command) (*Preview, error) {
	after, err := copied()
	if err != nil {
		return nil, fmt.Errorf("copy the view: %w", err)
	}
	p := &Preview{Position: after.Position, Events: []string{}}
	for _, c := range commands {
		var facts []domain.Event
		e.Read(func(*projections.View) { facts, err = e.factsOf(after, c) })
		if err != nil {
			return nil, err
		}
		stream := c.Stream(after.World())
		for _, fact := range facts {
			id, err := assume(after, stream, fact)
			if err != nil {
				return nil, err
			}
			p.Events = append(p.Events, domain.Name(fact))
			if d := after.Deployments[id]; d != nil {
				p.Deployments = append(p.Deployments, d)
			}
		}
	}
	before, err := copied()
	if err != nil {
		return nil, fmt.Errorf("copy the view: %w", err)
	}
	if p.Before, err = e.forecast(before, base); err == nil {
		p.After, err = e.forecast(after, base)
	}
	return p, err
}

// factsOf returns the events of a command for which no receipt exists, or the error of Handle. The caller holds mu: whether
// the log has lost events is not part of the view.
func (e *Engine) factsOf(v *projections.View, command domain.Command) ([]domain.Event, error) {
	world := v.World()
	if rejection := domain.Authorize(world, command); rejection != nil {
		return nil, rejection
	}
	if err := e.accepts(v, command, streamsOf(command, world)); err != nil {
		return nil, err
	}
	facts, rejection := command.Decide(world)
	if rejection != nil {
		return nil, domain.ForSender(world, command, rejection)
	}
	return facts, nil
}

// forecast decides like a tick on a view that is not shared, and folds the decisions.
func (e *Engine) forecast(v *projections.View, s Situation) (f Forecast, err error) {
	if e.fencedBy(v) != nil || e.LostEvents() != nil {
		return Forecast{View: v}, nil // this server decides nothing
	}
	f.View, s.View, s.work = v, v, &worklist{}
	for range maxPasses {
		s.work.touch(v.Touched())
		decisions := e.cfg.Rules.decide(&s, AtOnce, EachTick)
		if len(decisions) == 0 {
			decisions = e.cfg.Rules.decide(&s, Settled)
			for _, verdict := range s.Verdicts {
				if verdict.Kind == triggers.Deploy {
					f.Due = append(f.Due, verdict)
				}
			}
		}
		if len(decisions) == 0 {
			break
		}
		for _, d := range decisions {
			for _, fact := range d.Events {
				if _, err := assume(v, d.Stream, fact); err != nil {
					return f, err
				}
			}
		}
	}
	return f, nil
}

// assume folds a fact that is not in the log, and returns the id of its event. The view must not be shared.
func assume(v *projections.View, stream string, fact domain.Event) (domain.ID, error) {
	typeName, data, err := domain.Encode(fact)
	if err != nil {
		return domain.ID{}, err
	}
	position := v.Position + 1
	id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d %s", position, stream))
	v.Apply(eventlog.Recorded{Event: eventlog.Event{ID: id, Type: typeName, Time: v.Time, Data: data},
		Stream: stream, Revision: v.Revision(stream) + 1, Position: position})
	return domain.ID(id), nil
}
