package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Effects are the deployments that a command makes due, or would make due.
type Effects struct {
	// Due are groups of machines, sorted by project, environment and releases.
	Due []Effect `json:"due"`
	// Older is the number of machines that get an older release than they have.
	Older int `json:"older"`
}

// Effect is a release that machines get because of a command.
type Effect struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	// From is the actual release of the machines; empty if it is unknown.
	From string `json:"from"`
	To   string `json:"to"`
	// When is EffectNow or EffectNextTick.
	When string `json:"when" enum:"now,next-tick"`
	// Older is true if To was created before From in the project.
	Older bool `json:"older"`
	// Count is the number of machines, and Machines the first of them by name.
	Count    int      `json:"count"`
	Machines []string `json:"machines"`
}

// Values of Effect.When.
const (
	EffectNow      = "now"       // the command itself deploys
	EffectNextTick = "next-tick" // automation deploys at the next tick
)

// maxEffectMachines is how many machines of an effect are named.
const maxEffectMachines = 20

// Foreseen is what would follow from a command.
type Foreseen struct {
	// View is the view that includes the command.
	View *projections.View
	// Deployments are the deployments that the command itself queues.
	Deployments []*projections.Deployment
	// Before are the verdicts of the next tick without the command, and After the ones with it.
	Before, After []triggers.Verdict
}

// EffectsOf returns the deployments of a command itself, and the ones that the next tick queues only because of it. It
// leaves out the projects and machines that the reader may not see.
func EffectsOf(see Sees, f Foreseen) Effects {
	g := grouping{v: f.View, see: see, found: map[effectKey][]string{}}
	if f.View == nil { // a command that appends nothing
		return g.effects()
	}
	for _, d := range f.Deployments {
		for name, part := range d.Parts {
			if part.Open() { // the others were skipped: their machines are held, offline or disabled
				g.add(d.Project.Name, name, d.Release, EffectNow)
			}
		}
	}
	type target struct{ project, machine, release string }
	already := map[target]bool{}
	for _, verdict := range f.Before {
		if verdict.Kind == triggers.Deploy {
			already[target{verdict.Project, verdict.Machine, verdict.Release}] = true
		}
	}
	for _, verdict := range f.After {
		if verdict.Kind == triggers.Deploy && !already[target{verdict.Project, verdict.Machine, verdict.Release}] {
			g.add(verdict.Project, verdict.Machine, verdict.Release, EffectNextTick)
		}
	}
	return g.effects()
}

// grouping collects machines by effect.
type grouping struct {
	v     *projections.View
	see   Sees
	found map[effectKey][]string
}

// effectKey is an Effect without its machines.
type effectKey struct {
	project, environment, from, to, when string
	older                                bool
}

func (g grouping) add(project, machine, to, when string) {
	p, m := g.v.Projects[project], g.v.Machines[machine]
	if p == nil || m == nil || !g.see.may(project, m.Environment) {
		return
	}
	from := g.v.Actual(p, m)
	key := effectKey{project, m.Environment, from, to, when, IsOlder(p, to, from)}
	g.found[key] = append(g.found[key], machine)
}

func (g grouping) effects() Effects {
	all := Effects{Due: []Effect{}}
	for key, machines := range g.found {
		slices.Sort(machines)
		machines = slices.Compact(machines) // several passes of a tick can give a machine the same verdict
		if key.older {
			all.Older += len(machines)
		}
		all.Due = append(all.Due, Effect{key.project, key.environment, key.from, key.to, key.when, key.older,
			len(machines), machines[:min(len(machines), maxEffectMachines)]})
	}
	slices.SortFunc(all.Due, func(a, b Effect) int {
		return cmp.Or(cmp.Compare(a.When, b.When), cmp.Compare(a.Project, b.Project),
			cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From))
	})
	return all
}

// IsOlder reports whether a release was created before another one of the same project. It is false if one of them is
// unknown.
func IsOlder(p *projections.Project, release, than string) bool {
	first, second := slices.Index(p.Versions, release), slices.Index(p.Versions, than)
	return first >= 0 && second >= 0 && first < second
}

// String returns the effect as people read it: "webapp on web-p1: 2.0 → 1.1 at the next tick, an older release".
func (e Effect) String() string {
	when := "now"
	if e.When == EffectNextTick {
		when = "at the next tick"
	}
	change := cmp.Or(e.From, "no known release") + " → " + e.To
	if e.From == e.To {
		change = e.To + " again"
	}
	text := fmt.Sprintf("%s on %s: %s %s", e.Project, e.who(), change, when)
	if e.Older {
		text += ", an older release"
	}
	return text
}

// who names the machines, or counts them and names the first and the last that are known.
func (e Effect) who() string {
	switch {
	case e.Count <= 3 && e.Count == len(e.Machines):
		return strings.Join(e.Machines, ", ")
	case len(e.Machines) == 0:
		return fmt.Sprintf("%d machines in %s", e.Count, e.Environment)
	case e.Count == len(e.Machines):
		return fmt.Sprintf("%d machines in %s (%s … %s)", e.Count, e.Environment, e.Machines[0],
			e.Machines[len(e.Machines)-1])
	}
	return fmt.Sprintf("%d machines in %s (%s, …)", e.Count, e.Environment, strings.Join(e.Machines[:3], ", "))
}
