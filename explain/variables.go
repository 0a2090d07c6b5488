package explain

import (
	"maps"

	"github.com/droverhq/drover/domain"
)

// Variables is the answer to `drover variables`: what a machine gets, and where each value comes from.
type Variables struct {
	Project     string     `json:"project"`
	Release     string     `json:"release"` // empty: the present settings of the project
	Environment string     `json:"environment"`
	Machine     string     `json:"machine"` // empty: any machine with these roles
	Roles       []string   `json:"roles"`
	Items       []Variable `json:"items"`
	// Disagreements are the values that two roles set differently. The machine cannot get the release.
	Disagreements []Disagreement `json:"disagreements"`
}

// Variable is a variable or a secret of a machine.
type Variable struct {
	Name   string `json:"name"`
	Value  string `json:"value"`            // empty for a secret, whose value is on the machine
	Secret bool   `json:"secret,omitempty"` // only the name is known
	From   string `json:"from"`             // project, role NAME, environment NAME, release VERSION
}

// Disagreement is a value that two roles set differently, and that nothing overrides.
type Disagreement struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
}

// VariablesOf returns what a machine with these roles gets from a release in an environment.
func VariablesOf(r *domain.Release, environment string, roles []string) Variables {
	all := Variables{Release: r.Version, Environment: environment, Roles: orEmpty(roles), Items: []Variable{},
		Disagreements: []Disagreement{}}
	values, disagreements := r.Values(environment, roles)
	for _, v := range values {
		all.Items = append(all.Items, Variable{Name: v.Name, Value: v.Text, Secret: v.Secret, From: v.From})
	}
	for _, d := range disagreements {
		all.Disagreements = append(all.Disagreements, Disagreement{Name: d.Name, Roles: d.Roles[:]})
	}
	return all
}

// VariablesTable returns the output of `variables`. The values that two roles set differently come last.
func VariablesTable(all Variables) Table {
	t := table("NAME VALUE FROM", all.Items, func(v Variable) []string {
		return []string{v.Name, choose(v.Secret, "(secret)", v.Value), v.From}
	})
	for _, d := range all.Disagreements {
		t.Rows = append(t.Rows, []string{d.Name, "(disagreement)", "roles " + domain.JoinNames(d.Roles)})
	}
	return t
}

// visibleIn returns the entries of the environments that the reader may see.
func visibleIn[V any](s Sees, project string, all map[string]V) map[string]V {
	seen := maps.Clone(all)
	maps.DeleteFunc(seen, func(name string, _ V) bool { return !s.may(project, name) })
	if len(seen) == 0 {
		return nil
	}
	return seen
}

// Settings returns the settings of a project without those for environments that the reader must not see.
func (s Sees) Settings(project string, settings domain.ProjectSettings) domain.ProjectSettings {
	settings.Overrides.Environments = visibleIn(s, project, settings.Overrides.Environments)
	return settings
}

// withoutHidden returns an event without what it says about environments that the reader must not see.
func (s Sees) withoutHidden(project string, e domain.Event) (domain.Event, bool) {
	switch e := e.(type) {
	case domain.ProjectDefined:
		e.Settings = s.Settings(project, e.Settings)
		return e, true
	case domain.ReleaseCreated:
		e.Environments = visibleIn(s, project, e.Environments)
		return e, true
	}
	return e, false
}
