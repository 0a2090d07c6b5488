package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
	"github.com/droverhq/drover/triggers"
)

// DecisionVersion is the version of the rules below. Increase it with every change that lets the same log lead to other
// decisions. A server stops deciding when it folds the start of a server with a higher version.
//
//	1  first version
//	2  each release has its own stream
//	3  holds of several kinds are side by side; a rollback goes by the order of queueing
//	4  parts are verified; a clean-up is undone; machines that remember less than the log are dirty
//	5  a machine that its own agent deleted is not forgotten
//	6  a machine whose agent remembers events that the log does not have is not deployable
//	7  a release has overrides by environment and role, and a machine whose roles disagree does not get it; a role
//	   limits the parts on its machines; limits of deployments are percentages too; a deployment can succeed with
//	   failures; a machine whose agent reports that it cannot start parts gets no automatic deployment, and uses up no
//	   attempt; a repair continues the deployment that it retries; a pin stops deployments of other releases; a later
//	   cancellation of a deployment sets no holds; a retired release is not deployed
const DecisionVersion = 7

// Rules are the folds and deciders of an engine. Servers of one log that have equal rules make equal decisions. A new
// aggregate adds a row to folds and, if it decides something, a row to deciders.
type Rules struct {
	// Version distinguishes servers with different rules, see DecisionVersion.
	Version int
	// Folds are added to the core folds that every view has.
	Folds []projections.Fold
	// Deciders are called in this order.
	Deciders []Decider
	// Retain is how many ended deployments of each project are retained; 0 means projections.RetainedDeployments.
	Retain int
}

// CurrentRules returns the rules of this version of drover.
func CurrentRules() Rules {
	return Rules{Version: DecisionVersion, Folds: folds, Deciders: deciders}
}

// folds are the aggregates in other packages.
var folds []projections.Fold

// deciders is everything that a server decides by itself.
var deciders = []Decider{
	// Pins and holds end at their deadline, unless the clock of this server may be wrong (law 29).
	{"expire", EachTick, func(s *Situation) []domain.Decision {
		clock := s.readClocks()
		if !clock.Confirmed {
			return nil
		}
		return policies.Expired(s.View, clock.Time)
	}},
	// A session ends if it is silent or if its server is gone.
	{"presence", AtOnce, func(s *Situation) []domain.Decision {
		if s.outage { // a silent agent may be unable to connect
			return nil
		}
		return s.presence.decide(s.View, s.Server, s.elapsed, s.Age)
	}},
	// Absence counts only while at least one server watches the machines (law 22).
	{"watch", EachTick, func(s *Situation) []domain.Decision { return policies.Watch(s.View, s.Server, s.Age) }},
	// Machines are deleted after the absence that their policy sets, unless too many are absent (law 23).
	{"clean-up", EachTick, func(s *Situation) []domain.Decision { return policies.CleanUp(s.View) }},
	// Parts are released, skipped, withdrawn or lost, and deployments end.
	{"rollout", AtOnce, func(s *Situation) []domain.Decision {
		return s.work.decide(s.View, s.Measured(), s.elapsed)
	}},
	// Automatic deployments are decided on a view for which nothing else is due.
	{"deploy", Settled, func(s *Situation) []domain.Decision {
		s.Verdicts = triggers.Decide(s.View, s.Age)
		return triggers.Plan(s.View, s.Verdicts)
	}},
}

// Decider is one row of the table of deciders.
type Decider struct {
	// Name appears in logs and messages.
	Name  string
	Phase Phase
	// Decide returns the decisions that are due, in a fixed order. Equal views must give equal decisions.
	Decide func(*Situation) []domain.Decision
}

// Phase is when a decider is called.
type Phase int

// The phases.
const (
	// AtOnce deciders are called in each tick, and in the reaction to each command and report.
	AtOnce Phase = iota
	// EachTick deciders are called in each tick.
	EachTick
	// Settled deciders are called in a tick once the other phases have nothing left to decide.
	Settled
)

// Situation is the input of a decision.
type Situation struct {
	View *projections.View
	Age  projections.Age
	// Server is the id of the deciding server.
	Server domain.ID
	// Verdicts are the verdicts of the decider "deploy". They are shown to people.
	Verdicts []triggers.Verdict

	elapsed    time.Duration // on the clock of Age
	outage     bool          // the log refuses writes or does not answer
	presence   *presence
	readClocks func() clocks.Verdict
	work       *worklist
}

// Measured returns what this server has measured, for decisions about open deployments.
func (s *Situation) Measured() rollout.Measured {
	return rollout.Measured{Age: s.Age, Silence: func(m *projections.Machine) (time.Duration, bool) {
		return s.presence.silence(m, s.Server, s.elapsed)
	}}
}

// decide calls the deciders of these phases. It drops decisions for streams that are set aside. No server would fold
// them, so they would be decided again at every pass and block all other decisions (law 18).
func (r Rules) decide(s *Situation, phases ...Phase) (decisions []domain.Decision) {
	for _, row := range r.Deciders {
		if slices.Contains(phases, row.Phase) {
			decisions = append(decisions, row.Decide(s)...)
		}
	}
	return slices.DeleteFunc(decisions, func(d domain.Decision) bool { return s.View.SetAside(d.Stream) })
}

// NewView returns the view of an empty log.
func (r Rules) NewView() *projections.View {
	v := projections.New(r.Folds...)
	v.Retain = cmp.Or(r.Retain, v.Retain)
	return v
}

// Load returns the view that View.Save wrote.
func (r Rules) Load(data []byte) (*projections.View, error) {
	return projections.Load(data, r.Folds...)
}
