package engine

import (
	"context"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Report is what one tick saw and did; it is for people, logs and metrics.
type Report struct {
	// Batch is what had been read since the tick before.
	Batch triggers.Batch
	// Verdicts are those on machines with candidates, those that the sweep found, and those of the batch that need nothing.
	Verdicts []triggers.Verdict
	// Standings are those of the machines of the batch; nil until it was first decided what to deploy.
	Machines []triggers.MachineBatch
	// Appended are the decisions that are in the log now, in the order they were sent.
	Appended []Written
	// Passes counts how often the tick read and decided, conflicts included.
	Passes int
}

// Written is a decision in the log.
type Written struct {
	Stream string
	Event  domain.Event
}

// maxPasses bounds a tick: what is left after that waits for the next one.
const maxPasses = 20

// Tick reads what happened, decides and appends, until nothing is left to decide.
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

// Pass is a tick taken step by step, for tests that stop a server between two of them.
// Begin, Decide and Append follow each other; Finish runs the tick to its end.
type Pass struct {
	Report Report
	engine *Engine
	plans  []plan
	// refused counts plans that found their stream moved on.
	refused int
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

// Decide takes every decision on the fold as it stands now. It appends nothing.
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
			return // rows that need a settled view wait for one
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

// situation calls see with what a decision taken now sees. The caller holds deciding.
func (e *Engine) situation(see func(*Situation)) {
	now := e.cfg.Clock.Elapsed()
	e.ReadWithAge(func(v *projections.View, age projections.Age) {
		see(&Situation{View: v, Age: age, Now: e.cfg.Clock.Now(), Server: e.cfg.Server, elapsed: now, presence: &e.presence, work: &e.work})
	})
}

// see notes what was found when it was first decided what to deploy.
func (p *Pass) recordVerdicts(v *projections.View, verdicts []triggers.Verdict, age projections.Age) {
	machines, settled := p.Report.Batch.Summary(v, age)
	p.Report.Machines, p.Report.Verdicts = machines, append(verdicts, settled...)
}

// seeMore adds the machines that a later pass deploys to because they came in the meantime.
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

// Append sends what was decided. A stream that has moved on refuses its decisions; they are taken again.
func (p *Pass) Append(ctx context.Context) error {
	done, err := p.engine.appendAll(ctx, p.plans)
	p.refused = len(p.plans) - len(done)
	p.engine.recordOwn(done)
	p.engine.report(&p.Report, done)
	return err
}

// Finish repeats the pass until nothing is left to decide, at most conflictTries times after refusals.
func (p *Pass) Finish(ctx context.Context) (Report, error) {
	conflicts := 0
	for len(p.plans) > 0 && p.Report.Passes < maxPasses {
		if p.refused > 0 {
			conflicts++
		}
		if conflicts == conflictTries {
			break
		}
		if p.refused > 0 {
			if err := p.engine.pause(ctx, conflicts); err != nil {
				return p.Report, err
			}
		}
		if err := p.engine.CatchUp(ctx); err != nil {
			return p.Report, err
		}
		p.Decide()
		if err := p.Append(ctx); err != nil {
			return p.Report, err
		}
	}
	if err := p.engine.CatchUp(ctx); err != nil {
		return p.Report, err
	}
	p.engine.clearOwn()
	return p.Report, nil
}

// owns notes what a tick has appended. What others wrote meanwhile is in the next batch.
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

// React does at once what follows from a report or a command: parts released, skipped or lost, deployments
// ended. It is what a tick would do, less the automatic decisions.
func (e *Engine) React(ctx context.Context) ([]Written, error) {
	e.deciding.Lock()
	defer e.deciding.Unlock()
	var report Report
	for pass := 0; pass < maxPasses; pass++ {
		if err := e.CatchUp(ctx); err != nil {
			return report.Appended, err
		}
		if e.Stopped() != nil {
			break
		}
		decisions := e.reaction()
		if len(decisions) == 0 {
			return report.Appended, nil
		}
		done, err := e.appendAll(ctx, e.planned(decisions))
		e.report(&report, done)
		if err != nil {
			return report.Appended, err
		}
	}
	return report.Appended, e.CatchUp(ctx)
}

// reaction is what follows at once from the fold as it stands. The caller holds deciding.
func (e *Engine) reaction() (decisions []domain.Decision) {
	e.situation(func(s *Situation) { decisions = e.cfg.Rules.decide(s, AtOnce) })
	return decisions
}

// Due says whether a reaction would find something to do in what is folded already. It reads nothing, so it costs little
// after the many commands that nothing follows from; what other servers wrote is for React to see.
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
