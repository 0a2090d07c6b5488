package projections

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
)

// Inconsistencies describes the first difference between an index and a walk over the whole view, or returns an empty
// string. It is for tests.
func (v *View) Inconsistencies() string {
	for _, found := range []string{
		v.buildIndex().difference(&v.index), v.sweepDifference(), v.recordDifference(), v.listenerDifference(),
	} {
		if found != "" {
			return found
		}
	}
	return ""
}

// buildIndex builds the index from the view. Machines keep their stored places.
func (v *View) buildIndex() *index {
	walked := newIndex()
	for name, m := range v.Machines {
		walked.byEnvironment.list(m, m.Environment, true)
		walked.byServer.list(m, m.Server, m.Online)
		walked.offline.list(m, m.Policy, !m.Online && m.Offline > 0)
		for project, i := range m.Installed {
			for _, h := range i.Holds {
				if h.Until != nil {
					walked.setDeadline(deadlineKey{project: project, machine: name}, h.Until)
				}
			}
		}
	}
	for name, p := range v.Projects {
		walked.updateProject(p)
		for environment, s := range p.Environments {
			if s.Pin != nil {
				walked.setDeadline(deadlineKey{project: name, environment: environment}, s.Pin.Until)
			}
		}
	}
	walked.byEnvironment.sort()
	walked.byServer.sort()
	walked.offline.sort()
	return &walked
}

// list appends a machine to a list if it belongs there. The machine keeps its stored place.
func (x machineIndex[K]) list(m *Machine, key K, belongs bool) {
	if belongs {
		x.lists[key] = append(x.lists[key], m)
	}
}

func (x *index) difference(from *index) string {
	same := slices.Equal[[]*Machine]
	switch {
	case !maps.EqualFunc(x.byEnvironment.lists, from.byEnvironment.lists, same):
		return fmt.Sprintf("machines by environment: want %v, index has %v", x.byEnvironment.lists,
			from.byEnvironment.lists)
	case !maps.EqualFunc(x.byServer.lists, from.byServer.lists, same):
		return fmt.Sprintf("machines by server: want %v, index has %v", x.byServer.lists, from.byServer.lists)
	case !maps.EqualFunc(x.offline.lists, from.offline.lists, same):
		return fmt.Sprintf("offline machines: want %v, index has %v", x.offline.lists, from.offline.lists)
	case !maps.EqualFunc(x.deadlines, from.deadlines, time.Time.Equal):
		return fmt.Sprintf("deadlines: want %v, index has %v", x.deadlines, from.deadlines)
	case !maps.Equal(x.toEvaluate, from.toEvaluate):
		return fmt.Sprintf("projects to evaluate: want %v, index has %v",
			sortedKeys(x.toEvaluate), sortedKeys(from.toEvaluate))
	}
	return ""
}

// recordDifference describes a record that does not match its machine or its open parts.
func (v *View) recordDifference() string {
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
			return fmt.Sprintf("machine %s has %d open parts, but its record has %d", name, n, found)
		}
	}
	for name, r := range v.vacant {
		if r.Machine != nil || open[name] == 0 {
			return fmt.Sprintf("record %s is vacant but has machine %v and %d open parts", name, r.Machine, open[name])
		}
	}
	for name, m := range v.Machines {
		if m.record.Machine != m || m.record.Name != name || len(m.record.Parts) != open[name] {
			return fmt.Sprintf("machine %s has the wrong record", name)
		}
	}
	return ""
}

// sweepDifference describes a machine that the sweep would miss, or look at for no reason.
func (v *View) sweepDifference() string {
	for project, p := range v.Projects {
		for name, m := range v.Machines {
			swept := p.sweep[name] == m
			if due := v.sweepable(p, m); due != swept {
				return fmt.Sprintf("project %s on machine %s: sweepable is %v, in the sweep is %v", project, name, due,
					swept)
			}
		}
	}
	return ""
}

// listenerDifference describes a trigger that an event would not reach, or a project that a machine would not.
func (v *View) listenerDifference() string {
	if !v.listenerIndex.valid {
		return ""
	}
	for name, m := range v.Machines {
		projects := v.projectsFor(m.Roles)
		for _, p := range v.Projects {
			if domain.InScope(&m.Machine, m.Environment, p.Settings.Roles, nil) && !slices.Contains(projects, p) {
				return fmt.Sprintf("the listener index does not find project %s for machine %s", p.Name, name)
			}
			for trigger, t := range p.Triggers {
				for _, category := range t.Opens {
					if t.Matches(&m.Machine, p.Settings.Roles) && !slices.Contains(v.listeners(m, category),
						listener{p, t}) {
						return fmt.Sprintf("trigger %s of project %s does not receive %s of machine %s", trigger,
							p.Name, category, name)
					}
				}
			}
		}
	}
	return ""
}
