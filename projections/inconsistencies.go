package projections

import (
	"fmt"
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
)

// Inconsistencies describes the first difference between an index and a walk over the whole view; empty if there is none.
// It is for tests.
func (v *View) Inconsistencies() string {
	for _, found := range []string{v.indexAnew().differ(&v.index), v.wrongSweep(), v.wrongRecord(), v.unheard()} {
		if found != "" {
			return found
		}
	}
	return ""
}

// indexAnew builds the index from the view. Machines keep their stored places.
func (v *View) indexAnew() *index {
	walked := newIndex()
	for name, m := range v.Machines {
		walked.standing.enter(m, m.Environment, true)
		walked.sessions.enter(m, m.Server, m.Online)
		walked.away.enter(m, m.Policy, !m.Online && m.Offline > 0)
		for project, i := range m.Installed {
			if i.Hold != nil {
				walked.due(term{project: project, machine: name}, i.Hold.Until)
			}
		}
	}
	for name, p := range v.Projects {
		walked.asks(p)
		for environment, s := range p.Environments {
			if s.Pin != nil {
				walked.due(term{project: name, environment: environment}, s.Pin.Until)
			}
		}
	}
	walked.standing.sort()
	walked.sessions.sort()
	walked.away.sort()
	return &walked
}

// enter appends a machine to a list, if it belongs there, and keeps its stored place.
func (x machineIndex[K]) enter(m *Machine, key K, belongs bool) {
	if belongs {
		x.lists[key] = append(x.lists[key], m)
	}
}

func (x *index) differ(from *index) string {
	same := slices.Equal[[]*Machine]
	switch {
	case !maps.EqualFunc(x.standing.lists, from.standing.lists, same):
		return fmt.Sprintf("environments have %v, indexed are %v", x.standing.lists, from.standing.lists)
	case !maps.EqualFunc(x.sessions.lists, from.sessions.lists, same):
		return fmt.Sprintf("servers hold %v, indexed are %v", x.sessions.lists, from.sessions.lists)
	case !maps.EqualFunc(x.away.lists, from.away.lists, same):
		return fmt.Sprintf("away are %v, indexed are %v", x.away.lists, from.away.lists)
	case !maps.Equal(x.deadline, from.deadline):
		return fmt.Sprintf("deadlines have %v, indexed are %v", x.deadline, from.deadline)
	case !maps.Equal(x.asking, from.asking):
		return fmt.Sprintf("asking are %v, indexed are %v", sortedKeys(x.asking), sortedKeys(from.asking))
	}
	return ""
}

// wrongRecord describes a record that does not match its machine or its open parts.
func (v *View) wrongRecord() string {
	open := map[string]int{}
	for _, d := range v.Deployments {
		for name, part := range d.Parts {
			if part.Open() != (part.record != nil) || part.Open() && part.record != v.record(name) {
				return fmt.Sprintf("part of deployment %s on machine %s points to the wrong record", d.ID, name)
			}
			if part.Open() {
				open[name]++
			}
		}
	}
	for name, n := range open {
		if found := len(v.OpenPartsOn(name)); found != n {
			return fmt.Sprintf("machine %s has %d open parts, its record %d", name, n, found)
		}
	}
	for name, r := range v.vacant {
		if r.Machine != nil || open[name] == 0 {
			return fmt.Sprintf("record %s is vacant, with machine %v and %d open parts", name, r.Machine, open[name])
		}
	}
	for name, m := range v.Machines {
		if m.record.Machine != m || m.record.Name != name || len(m.record.Parts) != open[name] {
			return fmt.Sprintf("machine %s has the wrong record", name)
		}
	}
	return ""
}

// wrongSweep says what the sweep would miss or look at in vain.
func (v *View) wrongSweep() string {
	for project, p := range v.Projects {
		for name, m := range v.Machines {
			swept := p.sweep[name] == m
			if due := v.sweepable(p, m); due != swept {
				return fmt.Sprintf("project %s on machine %s: behind and not asked for is %v, swept is %v", project, name, due, swept)
			}
		}
	}
	return ""
}

// unheard says which trigger an event would not reach, and which project a machine.
func (v *View) unheard() string {
	if !v.listenerIndex.fresh {
		return ""
	}
	for name, m := range v.Machines {
		projects := v.projectsFor(m.Roles)
		for _, p := range v.Projects {
			if domain.InScope(&m.Machine, m.Environment, p.Settings.Roles, nil) && !slices.Contains(projects, p) {
				return fmt.Sprintf("project %s is not found for machine %s", p.Name, name)
			}
			for trigger, t := range p.Triggers {
				for _, category := range t.Opens {
					if t.Matches(&m.Machine, p.Settings.Roles) && !slices.Contains(v.listeners(m, category), listener{p, t}) {
						return fmt.Sprintf("trigger %s of project %s does not hear %s of machine %s", trigger, p.Name, category, name)
					}
				}
			}
		}
	}
	return ""
}
