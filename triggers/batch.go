package triggers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Batch is the range of events that were read since the last tick, with a balance per machine. It is shown to people
// and decides nothing.
type Batch struct {
	First, Last eventlog.Position
	Events      int
	balance     map[string]*Balance
}

// Balance counts the positive and negative events of a machine in one batch.
type Balance struct {
	Machine            string
	Positive, Negative int

	opening uint16 // the categories of its events that can open a candidate, as bits of openingCategories
}

// String formats the balance for people: "+1 -1", or "0".
func (b Balance) String() string {
	text := ""
	if b.Positive > 0 {
		text = fmt.Sprintf("+%d", b.Positive)
	}
	if b.Negative > 0 {
		if text != "" {
			text += " "
		}
		text += fmt.Sprintf("-%d", b.Negative)
	}
	if text == "" {
		return "0"
	}
	return text
}

// Add counts an event and the fact that was folded from it, nil if none was.
func (b *Batch) Add(rec eventlog.Recorded, fact domain.Event) {
	if b.Events == 0 {
		b.First = rec.Position
	}
	b.Last = rec.Position
	b.Events++
	if category, ok := domain.CategoryOf(fact); ok {
		_, machine := domain.SplitStream(rec.Stream)
		b.count(machine, category)
	}
}

func (b *Batch) count(machine string, category domain.Category) {
	if b.balance == nil {
		b.balance = map[string]*Balance{}
	}
	sum := b.balance[machine]
	if sum == nil {
		sum = &Balance{Machine: machine}
		b.balance[machine] = sum
	}
	switch sign := category.Sign(); {
	case sign > 0:
		sum.Positive++
	case sign < 0:
		sum.Negative++
	}
	if i := slices.Index(openingCategories, category); i >= 0 {
		sum.opening |= 1 << i
	}
}

// openingCategories are the categories that can open a candidate.
var openingCategories = slices.DeleteFunc(domain.Categories(), func(c domain.Category) bool { return !c.Opens() })

// Balances returns the balances of all machines with events in the batch, by name.
func (b *Batch) Balances() []Balance {
	list := make([]Balance, 0, len(b.balance))
	for _, sum := range b.balance {
		list = append(list, *sum)
	}
	slices.SortFunc(list, func(x, y Balance) int { return strings.Compare(x.Machine, y.Machine) })
	return list
}

// MachineBatch is the balance of a machine in a batch, and its state at the end of the batch.
type MachineBatch struct {
	Balance
	// Exists is false if the machine was deleted. Deployable is then false too.
	Exists, Deployable bool
}

// Summary returns the machines of the batch by name, and the verdicts on those for which a trigger asked although they
// are up to date. They are shown as "none".
func (b *Batch) Summary(v *projections.View, age projections.Age) (machines []MachineBatch, settled []Verdict) {
	machines = make([]MachineBatch, 0, len(b.balance))
	for _, balance := range b.Balances() {
		at := MachineBatch{Balance: balance}
		if m := v.Machines[balance.Machine]; m != nil {
			at.Exists = true
			at.Deployable, _ = v.Deployable(m)
			settled = append(settled, upToDate(v, m, balance.opening, age)...)
		}
		machines = append(machines, at)
	}
	return machines, settled
}

// upToDate returns the verdicts on a machine for the projects of which a trigger asked in this batch and that have
// nothing to do on the machine.
func upToDate(v *projections.View, m *projections.Machine, opening uint16,
	age projections.Age) (verdicts []Verdict) {
	for _, p := range v.ProjectsFor(m) {
		if len(v.Candidates(p, m)) == 0 && hasTriggerFor(p, m, opening) {
			if verdict := Judge(v, p, m, age); verdict.Reason == UpToDate {
				verdicts = append(verdicts, verdict)
			}
		}
	}
	return verdicts
}

// hasTriggerFor reports whether a trigger of the project matches the machine, and either reacts to one of the categories
// or serves the sweep.
func hasTriggerFor(p *projections.Project, m *projections.Machine, opening uint16) bool {
	return slices.ContainsFunc(triggersOf(p), func(t *domain.Trigger) bool {
		reacts := t.Sweeps || slices.ContainsFunc(t.Opens, func(c domain.Category) bool {
			return opening&(1<<slices.Index(openingCategories, c)) != 0
		})
		return reacts && t.Matches(&m.Machine, p.Settings.Roles)
	})
}
