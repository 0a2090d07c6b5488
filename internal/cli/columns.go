package cli

import "github.com/droverhq/drover/explain"

// The kinds. Each has a function that returns the name of an item, and a table.
var (
	machineKind = kindOf(
		kind{
			name:      "machine",
			past:      true,
			plural:    "machines",
			filters:   []string{"project", "environment", "role", "state"},
			short:     []string{"m"},
			file:      true,
			deletable: true,
		},
		func(m explain.Machine) string { return m.Name },
		explain.MachinesTable,
	)
	environmentKind = kindOf(
		kind{
			name:      "environment",
			past:      true,
			plural:    "environments",
			filters:   []string{"environment"},
			short:     []string{"env", "envs"},
			file:      true,
			deletable: true,
		},
		func(e explain.Environment) string { return e.Name },
		sameWhenWide(explain.EnvironmentsTable),
	)
	policyKind = kindOf(
		kind{
			name:      "policy",
			past:      true,
			plural:    "policies",
			short:     []string{"machinepolicy", "machinepolicies"},
			file:      true,
			deletable: true,
		},
		func(p explain.Policy) string { return p.Name },
		sameWhenWide(explain.PoliciesTable),
	)
	projectKind = kindOf(
		kind{
			name:      "project",
			past:      true,
			plural:    "projects",
			filters:   []string{"project"},
			short:     []string{"p"},
			file:      true,
			deletable: true,
		},
		func(p explain.Project) string { return p.Name },
		explain.ProjectsTable,
	)
	triggerKind = kindOf(
		kind{
			name:      "trigger",
			past:      true,
			plural:    "triggers",
			filters:   []string{"project", "environment"},
			short:     []string{"t"},
			inProject: true,
			file:      true,
			deletable: true,
		},
		func(t explain.Trigger) string { return t.Project + "/" + t.Name },
		sameWhenWide(explain.TriggersTable),
	)
	releaseKind = kindOf(
		kind{
			name:      "release",
			past:      true,
			plural:    "releases",
			filters:   []string{"project", "environment"},
			short:     []string{"r"},
			inProject: true,
		},
		func(r explain.Release) string { return r.Project + "/" + r.Version },
		sameWhenWide(explain.ReleasesTable),
	)
	deploymentKind = kindOf(
		kind{
			opaque:  true,
			name:    "deployment",
			past:    true,
			plural:  "deployments",
			filters: []string{"project", "environment", "state"},
			short:   []string{"d"},
		},
		func(d explain.Deployment) string { return d.ID },
		explain.DeploymentsTable,
	)
	serverKind = kindOf(
		kind{opaque: true, name: "server", plural: "servers", filters: []string{"state"}, short: []string{"s"}},
		func(s explain.Server) string { return s.ID },
		sameWhenWide(explain.ServersTable),
	)
	candidateKind = kindOf(
		kind{
			name:    "candidate",
			plural:  "candidates",
			filters: []string{"project", "environment", "role", "state"},
			short:   []string{"c"},
		},
		func(c explain.Candidate) string { return c.Project + "/" + c.Trigger + "/" + c.Machine },
		sameWhenWide(explain.CandidatesTable),
	)
	accessKind = kindOf(kind{name: "access", plural: "access", file: true, deletable: true, past: true},
		func(a explain.Access) string { return a.Name }, sameWhenWide(explain.AccessTable))
	tokenKind = kindOf(kind{opaque: true, name: "token", plural: "tokens", filters: []string{"state"}},
		func(t explain.Token) string { return t.ID }, sameWhenWide(explain.TokensTable))
	personKind = kindOf(kind{opaque: true, name: "person", plural: "people"},
		func(p explain.Person) string { return p.ID }, sameWhenWide(explain.PeopleTable))
)

// sameWhenWide returns a table that ignores -o wide.
func sameWhenWide[T any](table func([]T) explain.Table) func([]T, bool) explain.Table {
	return func(list []T, _ bool) explain.Table { return table(list) }
}
