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
	return e.PreviewEach(ctx, 0, nil, commands...)
}

// PreviewEach returns Preview, and calls see with what each command would cause after the earlier ones. A command that
// would append no events has a preview without a view. If more than most commands would append events, see is not called:
// each of them needs another copy of the view.
func (e *Engine) PreviewEach(ctx context.Context, most int, see func(i int, p *Preview),
	commands ...domain.Command) (*Preview, error) {
	if err := e.CatchUp(ctx); err != nil {
		return nil, err
	}
	select {
	case e.previewing <- struct{}{}:
		defer func() { <-e.previewing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	copied, base, err := e.copies()
	if err != nil {
		return nil, err
	}
	p, steps, err := e.preview(copied, base, commands)
	last, count := -1, 0
	for i, step := range steps {
		if len(step.Events) > 0 {
			last, count = i, count+1
		}
	}
	if err != nil || see == nil || count > most {
		return p, err
	}
	return p, e.eachStep(copied, base, commands, p, steps, last, see)
}

// copies returns a function that returns copies of the view, each time another one, and the situation without a view.
func (e *Engine) copies() (func() (*projections.View, error), Situation, error) {
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
		return nil, base, fmt.Errorf("copy the view: %w", err)
	}
	copied := func() (*projections.View, error) {
		v, err := e.cfg.Rules.Load(saved.Bytes())
		if err != nil {
			return nil, fmt.Errorf("copy the view: %w", err)
		}
		v.Doubts = doubts
		return v, nil
	}
	return copied, base, nil
}

// preview executes the commands on a copy of the view. base is the situation without a view. It also returns the events
// and deployments of each command, as previews without forecasts.
func (e *Engine) preview(copied func() (*projections.View, error), base Situation,
	commands []domain.Command) (p *Preview, steps []*Preview, err error) {
	after, err := copied()
	if err != nil {
		return nil, nil, err
	}
	p = &Preview{Position: after.Position, Events: []string{}}
	for _, c := range commands {
		step := &Preview{Position: p.Position, Events: []string{}}
		if err := e.execute(after, c, step); err != nil {
			return nil, nil, err
		}
		steps = append(steps, step)
		p.Events, p.Deployments = append(p.Events, step.Events...), append(p.Deployments, step.Deployments...)
	}
	before, err := copied()
	if err != nil {
		return nil, nil, err
	}
	if p.Before, err = e.forecast(before, base); err == nil {
		p.After, err = e.forecast(after, base)
	}
	return p, steps, err
}

// execute executes a command on a view that is not shared, and adds its events and deployments to the preview.
func (e *Engine) execute(v *projections.View, c domain.Command, p *Preview) error {
	var facts []domain.Event
	var err error
	e.Read(func(*projections.View) { facts, err = e.factsOf(v, c) })
	if err != nil {
		return err
	}
	stream := c.Stream(v.World())
	for _, fact := range facts {
		id, err := assume(v, stream, fact)
		if err != nil {
			return err
		}
		p.Events = append(p.Events, domain.Name(fact))
		if d := v.Deployments[id]; d != nil {
			p.Deployments = append(p.Deployments, d)
		}
	}
	return nil
}

// eachStep adds the forecasts to the steps and calls see with each. whole is the preview of all commands, and last the
// index of the last one that appends events.
func (e *Engine) eachStep(copied func() (*projections.View, error), base Situation, commands []domain.Command,
	whole *Preview, steps []*Preview, last int, see func(int, *Preview)) error {
	due := whole.Before.Due // without this command
	for i, step := range steps {
		step.Before, step.After = Forecast{Due: due}, Forecast{Due: due}
		switch {
		case len(step.Events) == 0:
		case i == last:
			step.After = whole.After
		default:
			v, err := copied()
			for j := 0; j <= i && err == nil; j++ {
				err = e.execute(v, commands[j], &Preview{})
			}
			if err == nil {
				step.After, err = e.forecast(v, base)
			}
			if err != nil {
				return err
			}
		}
		due = step.After.Due
		see(i, step)
		steps[i] = nil // its view is not needed any more
	}
	return nil
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
