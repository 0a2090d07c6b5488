package engine

import (
	"context"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Report describes one tick, for people, logs and metrics.
type Report struct {
	// Batch is what was read since the previous tick.
	Batch triggers.Batch
	// Verdicts are the verdicts on machines with candidates, on machines of the sweep, and on up-to-date machines of
	// the batch.
	Verdicts []triggers.Verdict
	// Machines are the machines of the batch. It is nil if the tick ended before it decided what to deploy.
	Machines []triggers.MachineBatch
	// Appended are the decisions that are in the log now, in the order in which they were sent.
	Appended []Written
	// Passes counts how often the tick read and decided, including after conflicts.
	Passes int
}

// Written is a decision in the log.
type Written struct {
	Stream string
	Event  domain.Event
}

// maxPasses bounds the passes of a tick. The next tick decides what is left.
const maxPasses = 20

// Tick reads, decides and appends until nothing is left to decide.
func (e *Engine) Tick(ctx context.Context) (Report, error) {
	e.deciding.Lock()
	defer e.deciding.Unlock()
	p, err := e.Begin(ctx)
	if err != nil {
		return Report{}, err
	}
	p.Decide()
	if err := p.Append(ctx); err != nil {
		return p.Report, err
	}
	return p.Finish(ctx)
}

// Pass is a tick in steps, for tests that stop a server between two of them. Begin, Decide and Append follow each
// other. Finish runs the tick to its end.
type Pass struct {
	Report Report
	engine *Engine
	plans  []plan
	// refused are the streams of plans that conflicted.
	refused []string
}

// Begin reads the log up to its head.
func (e *Engine) Begin(ctx context.Context) (*Pass, error) {
	if err := e.CatchUp(ctx); err != nil {
		return nil, err
	}
	return &Pass{engine: e, Report: Report{Batch: e.takeBatch()}}, nil
}

func (e *Engine) takeBatch() triggers.Batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	batch := e.batch
	e.batch = triggers.Batch{}
	return batch
}

// Decide takes every decision on the current fold. It appends nothing.
func (p *Pass) Decide() {
	e := p.engine
	p.Report.Passes++
	if e.Stopped() != nil {
		p.plans = nil
		return
	}
	var decisions []domain.Decision
	e.situation(func(s *Situation) {
		if decisions = e.cfg.Rules.decide(s, AtOnce, EachTick); len(decisions) > 0 {
			return // Settled deciders wait until nothing else is due
		}
		decisions = e.cfg.Rules.decide(s, Settled)
		if p.Report.Machines == nil {
			p.recordVerdicts(s.View, s.Verdicts, s.Age)
		} else {
			p.addVerdicts(s.Verdicts)
		}
	})
	p.plans = e.planned(decisions)
}

// Planned returns the decisions that Decide took, in the order in which Append sends them.
func (p *Pass) Planned() []Written {
	var all []Written
	for _, next := range p.plans {
		for _, fact := range next.facts {
			all = append(all, Written{Stream: next.stream, Event: fact})
		}
	}
	return all
}

// situation calls fn with the input of a decision that is taken now. The caller holds deciding.
func (e *Engine) situation(fn func(*Situation)) {
	now := e.cfg.Clock.Elapsed()
	e.ReadWithAge(func(v *projections.View, age projections.Age) {
		fn(&Situation{View: v, Age: age, Server: e.cfg.Server, elapsed: now, outage: !e.outages.writable(now),
			presence: &e.presence, readClocks: e.readClocks, work: &e.work})
	})
}

// recordVerdicts records the batch and the verdicts when the tick first decides what to deploy.
func (p *Pass) recordVerdicts(v *projections.View, verdicts []triggers.Verdict, age projections.Age) {
	machines, settled := p.Report.Batch.Summary(v, age)
	p.Report.Machines, p.Report.Verdicts = machines, append(verdicts, settled...)
}

// addVerdicts adds the machines that a later pass deploys to.
func (p *Pass) addVerdicts(verdicts []triggers.Verdict) {
	type subject struct{ project, machine string }
	seen := make(map[subject]bool, len(p.Report.Verdicts))
	for _, verdict := range p.Report.Verdicts {
		seen[subject{verdict.Project, verdict.Machine}] = true
	}
	for _, verdict := range verdicts {
		if verdict.Kind == triggers.Deploy && !seen[subject{verdict.Project, verdict.Machine}] {
			p.Report.Verdicts = append(p.Report.Verdicts, verdict)
		}
	}
}

// Append sends the decisions. Decisions that conflict are taken again.
func (p *Pass) Append(ctx context.Context) error {
	done, err := p.engine.appendAll(ctx, p.plans)
	p.refused = conflicting(p.plans, done)
	p.engine.recordOwn(done)
	p.engine.report(&p.Report, done)
	return err
}

// maxTickConflicts bounds the passes of a tick that conflict. The next tick decides again.
const maxTickConflicts = 5

// Finish repeats the pass until nothing is left to decide, or after maxTickConflicts conflicts.
func (p *Pass) Finish(ctx context.Context) (Report, error) {
	conflicts := 0
	for len(p.plans) > 0 && p.Report.Passes < maxPasses {
		if len(p.refused) > 0 {
			conflicts++
		}
		if conflicts == maxTickConflicts {
			break
		}
		if err := p.again(ctx); err != nil {
			return p.Report, err
		}
	}
	if len(p.plans) > 0 || p.Report.Passes == 1 { // else the last pass has read what the pass before it appended
		if err := p.engine.CatchUp(ctx); err != nil {
			return p.Report, err
		}
	}
	p.engine.clearOwn()
	return p.Report, nil
}

// again decides and appends once more, with the turns of the streams that conflicted.
func (p *Pass) again(ctx context.Context) error {
	end, err := p.engine.takeTurns(ctx, p.refused)
	if err != nil {
		return err
	}
	defer end()
	if err := p.engine.CatchUp(ctx); err != nil {
		return err
	}
	p.Decide()
	return p.Append(ctx)
}

// recordOwn records the events of this tick. Events that others append meanwhile belong to the next batch.
func (e *Engine) recordOwn(done []plan) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.own == nil {
		e.own = map[uuid.UUID]struct{}{}
	}
	for _, p := range done {
		for _, event := range p.events {
			e.own[event.ID] = struct{}{}
		}
	}
}

func (e *Engine) clearOwn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.own = nil
}

// React appends the immediate consequences of a report or a command: parts are released, skipped or lost, and
// deployments end. It does the same as a tick, without the automatic deployments.
func (e *Engine) React(ctx context.Context) ([]Written, error) {
	e.deciding.Lock()
	defer e.deciding.Unlock()
	var report Report
	var refused []string
	for pass := 0; pass < maxPasses; pass++ {
		more, err := e.reactOnce(ctx, &report, &refused)
		if err != nil || !more {
			return report.Appended, err
		}
	}
	return report.Appended, e.CatchUp(ctx)
}

// reactOnce reads, decides and appends once. It returns false if nothing is left to decide. refused are the streams
// that conflicted in the pass before.
func (e *Engine) reactOnce(ctx context.Context, report *Report, refused *[]string) (more bool, err error) {
	end, err := e.takeTurns(ctx, *refused)
	if err != nil {
		return false, err
	}
	defer end()
	if err := e.CatchUp(ctx); err != nil {
		return false, err
	}
	if e.Stopped() != nil {
		return false, e.CatchUp(ctx)
	}
	plans := e.planned(e.reaction())
	if len(plans) == 0 {
		return false, nil
	}
	done, err := e.appendAll(ctx, plans)
	e.report(report, done)
	*refused = conflicting(plans, done)
	return true, err
}

// reaction returns the immediate consequences of the current fold. The caller holds deciding.
func (e *Engine) reaction() (decisions []domain.Decision) {
	e.situation(func(s *Situation) { decisions = e.cfg.Rules.decide(s, AtOnce) })
	return decisions
}

// Due reports whether React would append something, according to the view. It reads nothing, so it is cheap to call
// after each command. It does not notice what other servers have written since the last read.
func (e *Engine) Due() bool {
	e.deciding.Lock()
	defer e.deciding.Unlock()
	return e.Stopped() == nil && len(e.reaction()) > 0
}

func (e *Engine) report(r *Report, done []plan) {
	for _, p := range done {
		for _, fact := range p.facts {
			r.Appended = append(r.Appended, Written{Stream: p.stream, Event: fact})
			e.log.Info("decision appended", zap.String("kind", p.kind), zap.String("stream", p.stream),
				zap.String("event", domain.Name(fact)), zap.Int64("revision", int64(p.expected)+1))
		}
	}
}
