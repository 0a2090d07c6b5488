package query

import (
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// VariablesInput selects whose variables are shown.
type VariablesInput struct {
	Project, Environment string
	// Machine determines the environment and the roles, if it is set.
	Machine string
	Roles   []string
	// Release is the version that the values are from; empty: a release that would be created now.
	Release string
	// Sees is what the reader may see; nil means everything.
	Sees explain.Sees
}

// Variables returns the variables and secrets that a machine gets, and where each comes from.
func (q *Queries) Variables(in VariablesInput) (answer explain.Variables, err error) {
	q.cfg.Engine.Read(func(v *projections.View) { answer, err = in.variables(v) })
	return answer, err
}

func (in VariablesInput) variables(v *projections.View) (explain.Variables, error) {
	sees := func(project, environment string) bool { return in.Sees == nil || in.Sees(project, environment) }
	p := v.Projects[in.Project]
	if p == nil || !sees(in.Project, "") {
		return explain.Variables{}, problem.NotFound("project %.80q does not exist", in.Project).
			WithHint("`drover get projects` lists them")
	}
	if in.Machine != "" {
		m := v.Machines[in.Machine]
		switch {
		case m == nil || !sees(in.Project, m.Environment):
			return explain.Variables{}, problem.NotFound("machine %.80q does not exist", in.Machine).
				WithHint("`drover get machines` lists them")
		case in.Environment != "" && in.Environment != m.Environment:
			return explain.Variables{}, problem.Invalid("machine %s is in environment %s", in.Machine, m.Environment).
				WithHint("leave the environment out")
		case len(in.Roles) > 0:
			return explain.Variables{}, problem.Invalid("machine and role are both set").WithHint("use one of them")
		}
		in.Environment, in.Roles = m.Environment, m.Roles
	}
	if in.Environment == "" {
		return explain.Variables{}, problem.Invalid("the environment is missing").WithHint("set environment or machine")
	}
	if v.Environments[in.Environment] == nil || !sees(in.Project, in.Environment) {
		return explain.Variables{}, problem.NotFound("environment %.80q does not exist", in.Environment).
			WithHint("`drover get environments` lists them")
	}
	release := p.Settings.Preview()
	if in.Release != "" {
		if release = p.Releases[in.Release]; release == nil {
			return explain.Variables{}, problem.NotFound("project %.80q has no release %.140q", in.Project, in.Release).
				WithHint("`drover get releases` lists them")
		}
	}
	answer := explain.VariablesOf(release, in.Environment, domain.SortedUnique(in.Roles))
	answer.Project, answer.Machine = in.Project, in.Machine
	return answer, nil
}
