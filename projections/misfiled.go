package projections

import (
	"fmt"
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
)

// Misfiled says where what the fold keeps for a tick is not what a walk over all that there is finds; empty: nowhere.
// It is for tests.
func (v *View) Misfiled() string {
	for _, found := range []string{v.walk().differ(&v.shelves), v.misfiledSweep(), v.unheard()} {
		if found != "" {
			return found
		}
	}
	return ""
}

// walk files everything anew.
func (v *View) walk() *shelves {
	walked := newShelves()
	for name, m := range v.Machines {
		shelve(walked.standing, m.Environment, m, true)
		shelve(walked.sessions, m.Server, m, m.Online)
		shelve(walked.away, m.Policy, m, !m.Online && m.Offline > 0)
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
	return &walked
}

func (s *shelves) differ(filed *shelves) string {
	same := func(a, b Machines) bool { return maps.Equal(a, b) }
	switch {
	case !maps.EqualFunc(s.standing, filed.standing, same):
		return fmt.Sprintf("environments have %v, filed are %v", s.standing, filed.standing)
	case !maps.EqualFunc(s.sessions, filed.sessions, same):
		return fmt.Sprintf("servers hold %v, filed are %v", s.sessions, filed.sessions)
	case !maps.EqualFunc(s.away, filed.away, same):
		return fmt.Sprintf("away are %v, filed are %v", s.away, filed.away)
	case !maps.Equal(s.deadline, filed.deadline):
		return fmt.Sprintf("deadlines have %v, filed are %v", s.deadline, filed.deadline)
	case !maps.Equal(s.asking, filed.asking):
		return fmt.Sprintf("asking are %v, filed are %v", sortedKeys(s.asking), sortedKeys(filed.asking))
	}
	return ""
}

// misfiledSweep says what the sweep would miss or look at in vain.
func (v *View) misfiledSweep() string {
	for project, p := range v.Projects {
		for name, m := range v.Machines {
			_, swept := p.sweep[name]
			if due := v.sweepable(p, m); due != swept {
				return fmt.Sprintf("project %s on machine %s: behind and not asked for is %v, swept is %v", project, name, due, swept)
			}
		}
	}
	return ""
}

// unheard says which trigger an event would not reach, and which project a machine.
func (v *View) unheard() string {
	if !v.audience.fresh {
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
