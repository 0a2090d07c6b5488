package domain

import (
	"cmp"
	"fmt"
	"slices"
)

// Values are variables, and names of secrets whose values are on the machines.
type Values struct {
	Variables map[string]string `json:"variables,omitempty"`
	Secrets   []string          `json:"secrets,omitempty"` // names only, sorted
}

// Override contains the settings of a project for one environment, or for the machines of one role.
type Override struct {
	Values
	// MaxParallel of an environment replaces that of the project. That of a role also bounds the parts on machines with
	// the role. Nil: not overridden.
	MaxParallel *Amount `json:"maxParallel,omitempty"`
	// MaxFailures replaces MaxFailures and StopAfterFailures of the project; environments only.
	MaxFailures *Amount `json:"maxFailures,omitempty"`
	// HealthyFor replaces that of the project; environments only.
	HealthyFor *Duration `json:"healthyFor,omitempty"`
}

// isZero reports whether nothing is overridden.
func (o Override) isZero() bool {
	return len(o.Variables) == 0 && len(o.Secrets) == 0 && o.MaxParallel == nil && o.MaxFailures == nil &&
		o.HealthyFor == nil
}

func (o Override) check() *Rejection {
	if o.MaxParallel != nil {
		if r := o.MaxParallel.checkSlots(); r != nil {
			return r
		}
	}
	if r := o.MaxFailures.checkFailures(); r != nil {
		return r
	}
	if d := o.HealthyFor; d != nil && (*d < 0 || *d > MaxAnyDuration) {
		return invalidHealthyFor(*d)
	}
	return checkVariables(o.Variables, o.Secrets)
}

// In returns the settings of deployments to an environment.
func (s ProjectSettings) In(environment string) ProjectSettings {
	o := s.Overrides.Environments[environment]
	if o.MaxParallel != nil {
		s.MaxParallel = *o.MaxParallel
	}
	if o.MaxFailures != nil {
		s.MaxFailures, s.StopAfterFailures = o.MaxFailures, 0
	}
	if o.HealthyFor != nil {
		s.HealthyFor = *o.HealthyFor
	}
	return s
}

// RoleSlots returns the slots of the roles that have a limit, or nil. machines are those of the environment. A percentage is
// one of the machines with the role that the project selects.
func (s ProjectSettings) RoleSlots(environment string, machines []*Machine) map[string]int {
	var slots map[string]int
	for role, o := range s.Overrides.Roles {
		if o.MaxParallel == nil {
			continue
		}
		total := 0
		for _, m := range machines {
			if slices.Contains(m.Roles, role) && InScope(m, environment, s.Roles, nil) {
				total++
			}
		}
		if n := o.MaxParallel.SlotsOf(total); n > 0 {
			if slots == nil {
				slots = map[string]int{}
			}
			slots[role] = n
		}
	}
	return slots
}

// Overrides are the settings of a project that differ by environment and by role.
type Overrides struct {
	Environments map[string]Override `json:"environments,omitempty"`
	Roles        map[string]Override `json:"roles,omitempty"`
}

// normal returns a copy without overrides that set nothing, and with sorted sets.
func (o Overrides) normal() Overrides {
	return Overrides{Environments: normalOverrides(o.Environments), Roles: normalOverrides(o.Roles)}
}

func normalOverrides(all map[string]Override) map[string]Override {
	var normal map[string]Override
	for name, o := range all {
		o.Secrets = SortedUnique(o.Secrets)
		if len(o.Variables) == 0 {
			o.Variables = nil
		}
		if o.isZero() {
			continue
		}
		if normal == nil {
			normal = map[string]Override{}
		}
		normal[name] = o
	}
	return normal
}

// check rejects invalid overrides.
func (o Overrides) check() *Rejection {
	return cmp.Or(checkOverrides("environment", o.Environments, MaxEnvironments),
		checkOverrides("role", o.Roles, MaxRoles))
}

func checkOverrides(kind string, all map[string]Override, limit int) *Rejection {
	if len(all) > limit {
		return invalid("overrides for too many %ss: %d", kind, len(all)).hint("use at most %d", limit)
	}
	for _, name := range sortedKeys(all) {
		r := CheckName(kind, name)
		if r == nil {
			r = all[name].check()
		}
		if r == nil && kind == "role" && (all[name].HealthyFor != nil || all[name].MaxFailures != nil) {
			r = invalid("a role cannot set healthyFor or maxFailures").hint("set them for the project or for an environment")
		}
		if r != nil {
			r.Reason = fmt.Sprintf("overrides.%ss.%.80s: %s", kind, name, r.Reason)
			return r
		}
	}
	return nil
}

// checkExist rejects overrides for environments that do not exist: nearly always the name is misspelled. A role needs no
// machine that has it yet.
func (o Overrides) checkExist(w World) *Rejection {
	for _, name := range sortedKeys(o.Environments) {
		if w.Environment(name) {
			continue
		}
		r := notFound("overrides.environments: environment %.80q does not exist", name).hint("apply the environment first")
		if all := w.Environments(); len(all) > 0 {
			r.Hint += ", or use one of " + firstThree(all)
		}
		return r
	}
	return nil
}

// valuesOf returns the variables and secrets of overrides, which a release copies.
func valuesOf(all map[string]Override) map[string]Values {
	var values map[string]Values
	for name, o := range all {
		if len(o.Variables)+len(o.Secrets) > 0 {
			if values == nil {
				values = map[string]Values{}
			}
			values[name] = o.Values
		}
	}
	return values
}

// Value is a variable or a secret that a machine gets.
type Value struct {
	Name   string
	Text   string // of a variable
	Secret bool   // Text is empty: the value is on the machine
	// From is what sets it: project, role NAME, environment NAME or release VERSION.
	From string
}

// Disagreement is a variable or secret that two roles of a machine set differently.
type Disagreement struct {
	Name  string
	Roles [2]string
}

// String describes the disagreement in a sentence about a machine.
func (d Disagreement) String() string {
	return fmt.Sprintf("its roles %s and %s disagree on %s", d.Roles[0], d.Roles[1], d.Name)
}

// Values returns what a machine with these roles gets in an environment, sorted by name. An environment overrides a role,
// and both override the project. Values that were set for this release alone override everything. If two roles disagree
// on a value that nothing overrides, it is not among the values.
func (r *Release) Values(environment string, roles []string) ([]Value, []Disagreement) {
	m := merged{values: map[string]Value{}, disagreements: map[string]Disagreement{}}
	m.override(Values{r.Variables, r.Secrets}, "project")
	m.roles(r.Roles, roles)
	m.override(r.Environments[environment], "environment "+environment)
	m.override(Values{Variables: r.Overridden}, "release "+r.Version)
	for name := range m.disagreements {
		delete(m.values, name)
	}
	return inOrder(m.values), inOrder(m.disagreements)
}

// For returns the variables and secrets of a machine with these roles in an environment, as Values does.
func (r *Release) For(environment string, roles []string) Values {
	if len(r.Roles)+len(r.Environments)+len(r.Overridden) == 0 {
		return Values{r.Variables, r.Secrets}
	}
	values, _ := r.Values(environment, roles)
	result := Values{Variables: map[string]string{}}
	for _, v := range values {
		if v.Secret {
			result.Secrets = append(result.Secrets, v.Name)
		} else {
			result.Variables[v.Name] = v.Text
		}
	}
	return result
}

// Disagreement returns the first value on which two roles of a machine disagree, and which nothing overrides, or
// nil. Such a machine cannot get the release, because any choice between the two would be arbitrary.
func (r *Release) Disagreement(environment string, roles []string) *Disagreement {
	named := 0
	for _, role := range roles {
		if _, ok := r.Roles[role]; ok {
			named++
		}
	}
	if named < 2 { // nearly always, and asked for each machine
		return nil
	}
	if _, all := r.Values(environment, roles); len(all) > 0 {
		return &all[0]
	}
	return nil
}

// merged are values of several levels.
type merged struct {
	values        map[string]Value
	disagreements map[string]Disagreement
}

// override adds the values of a level. They replace those of the levels before.
func (m merged) override(v Values, from string) {
	for _, value := range v.list(from) {
		m.values[value.Name] = value
		delete(m.disagreements, value.Name)
	}
}

// roles adds the values of a machine's roles, which are one level.
func (m merged) roles(of map[string]Values, roles []string) {
	first := map[string]Value{}
	setBy := map[string]string{}
	for _, role := range SortedUnique(roles) {
		for _, value := range of[role].list("role " + role) {
			before, twice := first[value.Name]
			switch {
			case !twice:
				first[value.Name], setBy[value.Name] = value, role
				m.values[value.Name] = value
			case before.Text != value.Text || before.Secret != value.Secret:
				if _, known := m.disagreements[value.Name]; !known {
					m.disagreements[value.Name] = Disagreement{value.Name, [2]string{setBy[value.Name], role}}
				}
			}
		}
	}
}

func (v Values) list(from string) []Value {
	all := make([]Value, 0, len(v.Variables)+len(v.Secrets))
	for name, text := range v.Variables {
		all = append(all, Value{Name: name, Text: text, From: from})
	}
	for _, name := range v.Secrets {
		all = append(all, Value{Name: name, Secret: true, From: from})
	}
	return all
}

// inOrder returns the values of a map in the order of its keys.
func inOrder[V any](m map[string]V) []V {
	all := make([]V, 0, len(m))
	for _, key := range sortedKeys(m) {
		all = append(all, m[key])
	}
	return all
}
