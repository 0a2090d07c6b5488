package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// DecisionVersion counts the changes of the rules below: of what can forbid or decide. A server that folds the start of
// one with a higher version stops deciding.
//
//	1  the first
//	2  releases have streams of their own
const DecisionVersion = 2

// Rules are what an engine folds and decides by. Servers of one log that have equal rules decide alike; Version tells
// those with other rules apart. A new aggregate adds a row to folds and, if it decides something, one to deciders.
type Rules struct {
	// Version is that of the rules, see DecisionVersion.
	Version int
	// Folds are those beside the ones that every view has.
	Folds []projections.Fold
	// Deciders are asked in this order.
	Deciders []Decider
	// Kept is how many ended deployments of each project the view keeps; 0 is projections.RetainedDeployments.
	Retain int
}

// CurrentRules are the rules of this drover.
func CurrentRules() Rules {
	return Rules{Version: DecisionVersion, Folds: folds, Deciders: deciders}
}

// folds are the aggregates with a package of their own.
var folds []projections.Fold

// deciders is the tick: everything that a server decides by itself.
var deciders = []Decider{
	// A pin or a hold that was set for a time ends when the time is up.
	{"expire", EachTick, func(s *Situation) []domain.Decision { return policies.Expired(s.View, s.Now) }},
	// A session that is silent, or whose server is gone, has ended.
	{"presence", AtOnce, func(s *Situation) []domain.Decision {
		return s.presence.decide(s.View, s.Server, s.elapsed, s.Age)
	}},
	// Absence counts as far as some server watched it (law 22).
	{"watch", EachTick, func(s *Situation) []domain.Decision { return policies.Watch(s.View, s.Server, s.Age) }},
	// Machines that were absent for as long as their policy says are deleted, unless too many are (law 23).
	{"clean-up", EachTick, func(s *Situation) []domain.Decision { return policies.CleanUp(s.View) }},
	// Parts are released, skipped, withdrawn or given up, and deployments end.
	{"rollout", AtOnce, func(s *Situation) []domain.Decision { return s.work.decide(s.View, s.Age, s.elapsed) }},
	// What to deploy is decided on a view in which nothing else is due.
	{"deploy", Settled, func(s *Situation) []domain.Decision {
		s.Verdicts = triggers.Decide(s.View, s.Age)
		return triggers.Plan(s.View, s.Verdicts)
	}},
}

// Decider is one row of the tick.
type Decider struct {
	// Name is for logs and messages.
	Name  string
	Phase Phase
	// Decide returns what follows from the situation, in a fixed order. Servers that see the same view decide the same.
	Decide func(*Situation) []domain.Decision
}

// Phase says when a row of the tick is asked.
type Phase int

// The phases.
const (
	// AtOnce rows are asked in each tick, and in the reaction to each command and report.
	AtOnce Phase = iota
	// EachTick rows are asked in each tick.
	EachTick
	// Settled rows are asked in a tick once the rows of the other phases have nothing left to decide.
	Settled
)

// Situation is what a decision is taken on.
type Situation struct {
	View *projections.View
	Age  projections.Age
	// Now is the wall clock, for deadlines that people set; everything else counts by Age.
	Now time.Time
	// Server is the one that decides.
	Server domain.ID
	// Verdicts are those that the row "deploy" gave; they are shown to people.
	Verdicts []triggers.Verdict

	elapsed  time.Duration // on the clock that Age counts on
	presence *presence
	work     *worklist
}

// decide asks the rows of these phases. What would go to a stream that is set aside is left out: nobody would fold it, so it
// would be decided again at every pass, and keep everything else from being decided (law 18).
func (r Rules) decide(s *Situation, phases ...Phase) (decisions []domain.Decision) {
	for _, row := range r.Deciders {
		if slices.Contains(phases, row.Phase) {
			decisions = append(decisions, row.Decide(s)...)
		}
	}
	return slices.DeleteFunc(decisions, func(d domain.Decision) bool { return s.View.SetAside(d.Stream) })
}

// Empty is the view of an empty log.
func (r Rules) NewView() *projections.View {
	v := projections.New(r.Folds...)
	v.Retain = cmp.Or(r.Retain, v.Retain)
	return v
}

// Load is the view that View.Save wrote.
func (r Rules) Load(data []byte) (*projections.View, error) {
	return projections.Load(data, r.Folds...)
}
