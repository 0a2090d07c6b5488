package projections

import (
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
)

// IfUnheld returns a copy of the machine as it would be for a project after a person lifted all holds of that project.
// The copy answers questions and is not part of the view.
func (v *View) IfUnheld(p *Project, m *Machine) *Machine {
	changed := m.copyFor(p)
	if i := changed.Installed[p.Name]; i != nil {
		i.Holds = nil
	}
	// A hold keeps a candidate that a success has settled meanwhile. It is closed when the hold ends.
	changed.candidates = slices.DeleteFunc(changed.candidates, func(c *Candidate) bool {
		return c.Project == p && v.settled(p, changed, c)
	})
	return changed
}

// IfEnabled returns a copy of the machine as it would be for a project after a person enabled it, with the candidates
// that this opens. The copy answers questions and is not part of the view.
func (v *View) IfEnabled(p *Project, m *Machine) *Machine {
	changed := m.copyFor(p)
	changed.Disabled = false
	cause := Cause{Category: domain.Enabled, Position: v.Position}
	for _, name := range sortedKeys(p.Triggers) {
		t := p.Triggers[name]
		if p.Disabled || t.Disabled || !slices.Contains(t.Opens, domain.Enabled) ||
			!t.Matches(&changed.Machine, p.Settings.Roles) {
			continue
		}
		place, open := changed.search(p.Name, name)
		c := Candidate{Project: p, Trigger: name, Machine: m.Name, Opened: v.Position}
		if open {
			c = *changed.candidates[place]
			changed.candidates = slices.Delete(changed.candidates, place, place+1)
		}
		if c.Causes = append(slices.Clone(c.Causes), cause); t.Settings.Redeploy {
			c.Redeploy = v.Position
		}
		changed.candidates = slices.Insert(changed.candidates, place, &c)
	}
	return changed
}

// copyFor returns a copy of the machine without failed attempts of a project, because a person intervenes. Only the
// candidates and the state of the project may be changed in the copy; it shares the rest with the machine.
func (m *Machine) copyFor(p *Project) *Machine {
	changed := *m
	changed.candidates = slices.Clone(m.candidates)
	changed.Installed = maps.Clone(m.Installed)
	if i := m.Installed[p.Name]; i != nil {
		state := *i
		state.FailedAttempts = FailedAttempts{}
		changed.Installed[p.Name] = &state
	}
	return &changed
}
