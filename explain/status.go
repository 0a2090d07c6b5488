package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Status is the state of the fleet at a glance: what `drover status` shows.
type Status struct {
	Projects []ProjectStatus `json:"projects"` // by project and environment
	// Running lists the open deployments, those of people first, at most maxRunning; RunningTotal counts all of them.
	Running      []RunningDeployment `json:"running"`
	RunningTotal int                 `json:"runningTotal"`
	// Attention lists what a person should look at, the most severe first.
	Attention []Attention `json:"attention"`
	Fleet     FleetStatus `json:"fleet"`
	// Log is the id with which the log was created.
	Log      string `json:"log"`
	Position string `json:"position"`
}

// ProjectStatus is the state of a project in one environment. Each machine in scope counts in exactly one of Have, Held,
// Failed, Running, Offline and Behind.
type ProjectStatus struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Enabled     bool   `json:"enabled"`
	// Wanted is the wanted release. Release is the release of the open environment-wide deployment, or else Wanted.
	Wanted  string `json:"wanted"`
	Release string `json:"release"`
	Pinned  bool   `json:"pinned"`
	// Deployment is the id of the open environment-wide deployment; empty without one.
	Deployment string `json:"deployment,omitempty"`
	Machines   int    `json:"machines"` // in scope
	Have       int    `json:"have"`     // they have Release
	Held       int    `json:"held"`     // the others that are held
	Failed     int    `json:"failed"`   // the others whose last attempt did not succeed
	Running    int    `json:"running"`  // the others that run a part of the project
	Offline    int    `json:"offline"`  // the others that are offline
	Behind     int    `json:"behind"`   // the rest
}

// RunningDeployment is an open deployment.
type RunningDeployment struct {
	ID          string `json:"id"`
	Project     string `json:"project"`
	Release     string `json:"release"`
	Environment string `json:"environment"`
	Kind        string `json:"kind"`
	Machines    int    `json:"machines"`
	Succeeded   int    `json:"succeeded"`
	Failed      int    `json:"failed"` // or lost
	Open        int    `json:"open"`
	By          string `json:"by"` // empty for an automatic deployment
}

// Attention is something that a person should look at.
type Attention struct {
	Kind        string `json:"kind"` // rollout-failed, retries-exhausted, doubted, unhealthy, held
	Project     string `json:"project,omitempty"`
	Environment string `json:"environment"`
	Count       int    `json:"count"` // machines
	// Text is a sentence. Command shows more about it.
	Text    string `json:"text"`
	Command string `json:"command"`
}

// FleetStatus counts machines.
type FleetStatus struct {
	Machines int `json:"machines"`
	Online   int `json:"online"`
	Disabled int `json:"disabled"`
}

// maxRunning bounds the deployments that a status lists.
const maxRunning = 20

// StatusOf returns the status of the projects and environments that the filter selects.
func StatusOf(v *projections.View, f Filter, names Names) Status {
	s := Status{Projects: []ProjectStatus{}, Running: []RunningDeployment{}, Attention: []Attention{},
		Position: v.Position.String()}
	inEnvironment := map[string][]*projections.Machine{}
	for _, name := range namesAfter(v.Machines, "") {
		m := v.Machines[name]
		if f.Environment != "" && m.Environment != f.Environment || !f.Sees.may("", m.Environment) {
			continue
		}
		inEnvironment[m.Environment] = append(inEnvironment[m.Environment], m)
		s.Fleet.add(m)
	}
	for _, p := range projectsOf(v) {
		for _, environment := range environmentsOf(v, p, inEnvironment) {
			if f.covers(p.Name, environment) {
				s.add(v, p, environment, inEnvironment[environment], names)
			}
		}
	}
	for _, environment := range namesAfter(inEnvironment, "") {
		s.addConditions(v, environment, inEnvironment[environment])
	}
	s.addRunning(v, f, names)
	slices.SortStableFunc(s.Attention, func(a, b Attention) int {
		return cmp.Compare(slices.Index(attentionKinds, a.Kind), slices.Index(attentionKinds, b.Kind))
	})
	return s
}

// attentionKinds lists the kinds of Attention, the most severe first.
var attentionKinds = []string{"rollout-failed", "retries-exhausted", "doubted", "unhealthy", "held"}

// covers reports whether the filter selects a project in an environment.
func (f Filter) covers(project, environment string) bool {
	return (f.Project == "" || f.Project == project) && (f.Environment == "" || f.Environment == environment) &&
		f.Sees.may(project, environment)
}

// environmentsOf returns the environments in which the project wants a release, deploys one, or has machines, sorted.
func environmentsOf(v *projections.View, p *projections.Project,
	machines map[string][]*projections.Machine) (list []string) {
	for _, name := range namesAfter(v.Environments, "") {
		if p.WantedIn(name) != "" || p.HasOpenWide(name) ||
			slices.ContainsFunc(machines[name], func(m *projections.Machine) bool { return inScope(p, m) }) {
			list = append(list, name)
		}
	}
	return list
}

func (s *FleetStatus) add(m *projections.Machine) {
	s.Machines++
	if m.Online {
		s.Online++
	}
	if m.Disabled {
		s.Disabled++
	}
}

// add adds a project in one environment.
func (s *Status) add(v *projections.View, p *projections.Project, environment string, machines []*projections.Machine,
	names Names) {
	row := ProjectStatus{Project: p.Name, Environment: environment, Enabled: !p.Disabled, Wanted: p.WantedIn(environment),
		Pinned: p.PinIn(environment) != nil}
	row.Release = row.Wanted
	if d := p.Rollout(environment); d != nil {
		row.Release, row.Deployment = d.Release, d.ID.String()
	}
	var exhausted []*projections.Machine
	held := map[string][]*projections.Hold{}
	for _, m := range machines {
		if !inScope(p, m) {
			continue
		}
		row.count(v, p, m)
		if v.Behind(p, m) && v.Exhausted(p, m) {
			exhausted = append(exhausted, m)
		}
		if h := m.Hold(p.Name); h != nil && h.Kind == domain.ManualHold {
			text := "held" + names.by(h.Origin) + domain.InParentheses(h.Reason)
			held[text] = append(held[text], h)
		}
	}
	s.Projects = append(s.Projects, row)
	s.addFailure(v, p, environment)
	s.addExhausted(p, environment, exhausted)
	for _, text := range namesAfter(held, "") {
		s.Attention = append(s.Attention, Attention{Kind: "held", Project: p.Name, Environment: environment,
			Count: len(held[text]), Text: fmt.Sprintf("%s of %s in %s: %s", machineCount(len(held[text])), p.Name, environment,
				text), Command: "drover get machines --state held --project " + p.Name + " --environment " + environment})
	}
}

// count counts a machine in scope.
func (row *ProjectStatus) count(v *projections.View, p *projections.Project, m *projections.Machine) {
	row.Machines++
	i := m.Installed[p.Name]
	switch {
	case row.Release != "" && v.Actual(p, m) == row.Release && !v.Dirty(p, m):
		row.Have++
	case m.Hold(p.Name) != nil:
		row.Held++
	case hasOpenPart(v, p.Name, m.Name) && i != nil && i.Last != nil && i.Last.Open():
		row.Running++
	case v.Dirty(p, m):
		row.Failed++
	case !m.Online:
		row.Offline++
	default:
		row.Behind++
	}
}

// addFailure adds the last environment-wide deployment of the environment if it failed and nobody accepted it.
func (s *Status) addFailure(v *projections.View, p *projections.Project, environment string) {
	state := p.Environments[environment]
	if state == nil || len(state.History) == 0 {
		return
	}
	last := state.History[len(state.History)-1]
	d := v.Deployments[last.Deployment]
	if last.State != domain.DeploymentFailed || last.Accepted || d == nil {
		return
	}
	failed := d.Failures()
	s.Attention = append(s.Attention, Attention{Kind: "rollout-failed", Project: p.Name, Environment: environment,
		Count: failed, Text: fmt.Sprintf("%s %s failed in %s: %d of %s failed", p.Name, last.Release, environment, failed,
			machineCount(len(d.Order))), Command: "drover describe deployment " + d.ID.String()})
}

// addExhausted adds the machines on which drover does not try again.
func (s *Status) addExhausted(p *projections.Project, environment string, machines []*projections.Machine) {
	if len(machines) == 0 {
		return
	}
	first := machines[0]
	text := fmt.Sprintf("drover gave up on %s of %s in %s", machineCount(len(machines)), p.Name, environment)
	if last := first.Installed[p.Name].Last; last != nil && last.Detail != "" {
		text += fmt.Sprintf("; %s: %s", first.Name, last.Detail)
	}
	s.Attention = append(s.Attention, Attention{Kind: "retries-exhausted", Project: p.Name, Environment: environment,
		Count: len(machines), Text: text, Command: "drover why " + first.Name + " --project " + p.Name})
}

// addConditions adds the machines of an environment that are doubted or unhealthy.
func (s *Status) addConditions(v *projections.View, environment string, machines []*projections.Machine) {
	for _, condition := range []struct {
		kind, text string
		applies    func(*projections.Machine) bool
		detail     func(*projections.Machine) string
	}{
		{"doubted", "the log does not have what the agent remembers",
			func(m *projections.Machine) bool { return v.DoubtOf(m) != nil }, nil},
		{"unhealthy", "unhealthy", func(m *projections.Machine) bool { return m.Online && m.Health == domain.Unhealthy },
			healthDetail},
	} {
		var found []string
		for _, m := range machines {
			if condition.applies(m) {
				found = append(found, m.Name)
			}
		}
		if len(found) == 0 {
			continue
		}
		text := fmt.Sprintf("%s in %s: %s: %s", machineCount(len(found)), environment, condition.text, someOf(found))
		if condition.detail != nil && condition.detail(v.Machines[found[0]]) != "" {
			text += "; " + found[0] + ": " + condition.detail(v.Machines[found[0]])
		}
		s.Attention = append(s.Attention, Attention{Kind: condition.kind, Environment: environment, Count: len(found),
			Text: text, Command: "drover describe machine " + found[0]})
	}
}

// someOf joins the first names, and says how many more there are.
func someOf(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func machineCount(n int) string {
	return fmt.Sprintf("%d %s", n, choose(n == 1, "machine", "machines"))
}

// addRunning adds the open deployments, those of people first, and the newest of each first.
func (s *Status) addRunning(v *projections.View, f Filter, names Names) {
	open := slices.DeleteFunc(slices.Clone(v.OpenDeployments()), func(d *projections.Deployment) bool {
		return !f.covers(d.Project.Name, d.Environment)
	})
	slices.SortFunc(open, func(a, b *projections.Deployment) int {
		automatic := func(d *projections.Deployment) int {
			if d.Kind == domain.Automatic {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(automatic(a), automatic(b)), cmp.Compare(b.Queued, a.Queued))
	})
	s.RunningTotal = len(open)
	for _, d := range open[:min(len(open), maxRunning)] {
		shown := RunningDeployment{ID: d.ID.String(), Project: d.Project.Name, Release: d.Release,
			Environment: d.Environment, Kind: string(d.Kind), Machines: len(d.Order), Open: d.OpenParts(),
			Failed: d.Failures(), By: names.Who(d.Facts.Origin)}
		for _, name := range d.Order {
			if d.Parts[name].State == domain.PartSucceeded {
				shown.Succeeded++
			}
		}
		s.Running = append(s.Running, shown)
	}
}

// StatusTable returns the projects of a status, one row for each environment.
func StatusTable(list []ProjectStatus) Table {
	return table("PROJECT ENVIRONMENT RELEASE MACHINES STATE", list, func(p ProjectStatus) []string {
		return []string{p.Project, p.Environment, p.releaseCell(), fmt.Sprintf("%d/%d", p.Have, p.Machines), p.State()}
	})
}

// releaseCell returns the release, and during a rollout the one that it replaces: "1.1 → 1.2 (rolling)".
func (row ProjectStatus) releaseCell() string {
	if row.Deployment == "" {
		return dash(row.Release)
	}
	return rollingCell(row.Wanted, row.Release)
}

// State describes the machines that do not have the release, such as "rolling out, 1 failed, 2 held".
func (row ProjectStatus) State() string {
	var parts []string
	add := func(applies bool, text string) {
		if applies {
			parts = append(parts, text)
		}
	}
	add(!row.Enabled, "disabled")
	add(row.Pinned, "pinned")
	add(row.Deployment != "", "rolling out")
	for _, of := range []struct {
		count int
		word  string
	}{{row.Running, "running"}, {row.Failed, "failed"}, {row.Held, "held"}, {row.Offline, "offline"}, {row.Behind, "behind"}} {
		add(of.count > 0 && row.Release != "", fmt.Sprintf("%d %s", of.count, of.word))
	}
	switch {
	case row.Release == "":
		parts = append(parts, "nothing deployed")
	case len(parts) == 0:
		return "up to date"
	}
	return strings.Join(parts, ", ")
}
