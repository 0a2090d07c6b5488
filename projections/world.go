package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// World returns the view as the World that commands are decided on.
func (v *View) World() domain.World { return world{v} }

type world struct{ v *View }

func (w world) Machine(name string) *domain.Machine {
	if m := w.v.Machines[name]; m != nil {
		return &m.Machine
	}
	return nil
}

func (w world) CleanedUp(name string) *domain.Machine {
	if kept := w.v.CleanedUp(name); kept != nil {
		return &kept.Machine.Machine
	}
	return nil
}

func (w world) DeletedByItsAgent(name string) bool {
	kept := w.v.CleanedUp(name)
	return kept != nil && kept.byAgent
}

func (w world) JoinedAs(machine string, instance domain.ID) bool {
	m := w.v.Machines[machine]
	return m != nil && slices.Contains(m.Joined, instance)
}

func (w world) MachineOf(instance domain.ID) string {
	for _, t := range w.v.joined[instance] {
		m := w.v.Machines[t.Used[instance].Machine]
		if m != nil && (m.Instance == instance || m.Instance.IsZero()) {
			return m.Name
		}
	}
	return ""
}

func (w world) MachinesIn(environment string) []*domain.Machine {
	var all []*domain.Machine
	for _, m := range w.v.MachinesIn(environment) {
		all = append(all, &m.Machine)
	}
	return all
}

func (w world) Environments() []string { return sortedKeys(w.v.Environments) }

func (w world) Environment(name string) bool { return w.v.Environments[name] != nil }

func (w world) Policy(name string) *domain.PolicySettings {
	if p := w.v.Policies[name]; p != nil {
		return &p.Settings
	}
	if name == domain.DefaultPolicy {
		settings := domain.PolicySettings{}.WithDefaults()
		return &settings
	}
	return nil
}

func (w world) Token(id string) *domain.Token { return w.v.Tokens[id] }

func (w world) TokensOf(instance domain.ID) []*domain.Token { return w.v.TokensOf(instance) }

func (w world) Places(token string) domain.Places { return w.v.places[token] }

func (w world) Tokens() []*domain.Token {
	all := make([]*domain.Token, 0, len(w.v.Tokens))
	for _, id := range sortedKeys(w.v.Tokens) {
		all = append(all, w.v.Tokens[id])
	}
	return all
}

func (w world) Accesses() *domain.Accesses { return w.v.accesses }

func (w world) Restored(was domain.ID) bool {
	return w.v.hadID(was)
}

func (w world) Project(name string) *domain.Project {
	if p := w.v.Projects[name]; p != nil {
		return &p.Project
	}
	return nil
}

func (w world) References(kind, name string) []string {
	var refs []string
	for _, machine := range sortedKeys(w.v.Machines) {
		m := w.v.Machines[machine]
		if kind == domain.EnvironmentStreams && m.Environment == name || kind == domain.PolicyStreams &&
			m.Policy == name {
			refs = append(refs, "machine "+machine)
		}
	}
	if kind == domain.PolicyStreams {
		return append(refs, w.tokensGiving(name)...)
	}
	for _, project := range sortedKeys(w.v.Projects) {
		p := w.v.Projects[project]
		if _, overrides := p.Settings.Overrides.Environments[name]; overrides {
			refs = append(refs, "overrides of project "+project)
		}
		for _, trigger := range sortedKeys(p.Triggers) {
			if slices.Contains(p.Triggers[trigger].Settings.Environments, name) {
				refs = append(refs, "trigger "+trigger+" of project "+project)
			}
		}
	}
	return refs
}

// tokensGiving returns the join tokens that give machines a policy and are not revoked. An instance that joined with one can
// add its machine again after the token has expired.
func (w world) tokensGiving(policy string) (refs []string) {
	for _, id := range sortedKeys(w.v.Tokens) {
		if t := w.v.Tokens[id]; !t.Revoked && t.Settings.Policy == policy {
			refs = append(refs, "join token "+t.Label())
		}
	}
	return refs
}

// projectAndMachine returns a project and a machine, and whether both exist.
func (w world) projectAndMachine(project, machine string) (*Project, *Machine, bool) {
	p, m := w.v.Projects[project], w.v.Machines[machine]
	return p, m, p != nil && m != nil
}

func (w world) Hold(project, machine string, kind domain.HoldKind) *domain.Hold {
	_, m, ok := w.projectAndMachine(project, machine)
	if !ok {
		return nil
	}
	h := m.Hold(project)
	if kind != "" {
		h = m.holdOf(project, kind)
	}
	if h == nil {
		return nil
	}
	return &h.Hold
}

func (w world) Wanted(project, machine string) string {
	if p, m, ok := w.projectAndMachine(project, machine); ok {
		return w.v.Wanted(p, m)
	}
	return ""
}

func (w world) Actual(project, machine string) string {
	if p, m, ok := w.projectAndMachine(project, machine); ok {
		return w.v.Actual(p, m)
	}
	return ""
}

func (w world) ActualFrom(project, machine string) domain.ID {
	if p, m, ok := w.projectAndMachine(project, machine); ok && w.v.Actual(p, m) != "" {
		return m.Installed[project].Deployment
	}
	return domain.ID{}
}

func (w world) HasUnclaimed(project, machine string) bool {
	return slices.ContainsFunc(w.v.OpenPartsOn(machine), func(part *Part) bool {
		return part.Unclaimed() && part.Deployment.Project.Name == project
	})
}

func (w world) Unfinished(project, machine string) string {
	_, m, ok := w.projectAndMachine(project, machine)
	if !ok {
		return ""
	}
	if i := m.Installed[project]; i != nil && i.Last != nil && i.Last.State != domain.PartSucceeded {
		return i.Last.Deployment.Release
	}
	return ""
}

func (w world) Deployment(id domain.ID) *domain.DeploymentFacts {
	d := w.v.Deployments[id]
	if f, pruned := w.v.pruned[id]; pruned {
		return &domain.DeploymentFacts{Project: f.Project, Ended: true, Cancelled: f.Cancelled, Accepted: f.Accepted,
			State: f.State}
	}
	if d == nil {
		return nil
	}
	return &domain.DeploymentFacts{Project: d.Project.Name, Environment: d.Environment, Ended: d.Ended,
		Cancelled: d.Cancelled, Accepted: d.Accepted != nil, State: d.State, Succeeded: d.succeeded > 0, Queued: &d.Facts}
}

func (w world) OpenDeploymentOf(project, release string) domain.ID {
	if p := w.v.Projects[project]; p != nil {
		for _, d := range p.Open {
			if d.Release == release {
				return d.ID
			}
		}
	}
	return domain.ID{}
}

func (w world) HasMachines(project, environment string, roles []string) bool {
	p := w.v.Projects[project]
	return p != nil && slices.ContainsFunc(w.v.MachinesIn(environment), func(m *Machine) bool {
		return domain.InScope(&m.Machine, environment, p.Settings.Roles, roles)
	})
}

func (w world) part(deployment domain.ID, machine string) *Part {
	if d := w.v.Deployments[deployment]; d != nil {
		return d.Parts[machine]
	}
	return nil
}

func (w world) Part(deployment domain.ID, machine string) *domain.Part {
	if p := w.part(deployment, machine); p != nil {
		return p.facts()
	}
	return w.v.lateReports.parts[domain.PartStream(deployment, machine)]
}

func (w world) Running(deployment domain.ID) (machines []string) {
	d := w.v.Deployments[deployment]
	if d == nil {
		return nil
	}
	for _, name := range d.Order {
		if d.Parts[name].State == domain.PartRunning {
			machines = append(machines, name)
		}
	}
	return machines
}

func (w world) ClaimCheck(deployment domain.ID, machine string, session domain.ID) domain.PartReason {
	p := w.part(deployment, machine)
	if p == nil {
		return domain.MachineGone
	}
	return w.v.ClaimCheck(p, session)
}

func (w world) State(name string) any { return w.v.State(name) }

func (w world) SetAside(stream string) (string, bool) {
	aside := w.v.Aside[stream]
	if aside == nil {
		return "", false
	}
	return aside.Reason, true
}
