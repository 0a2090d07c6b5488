package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Candidates returns the open candidates, sorted by project, trigger and machine.
func Candidates(v *projections.View, age projections.Age, f Filter) List[Candidate] {
	found := map[string]Candidate{}
	for _, p := range projectsOf(v) {
		if f.Project != "" && p.Name != f.Project {
			continue
		}
		for _, name := range p.Waiting() {
			for _, c := range candidatesOn(v, p, v.Machines[name], age, f) {
				found[c.Project+"/"+c.Trigger+"/"+c.Machine] = c
			}
		}
	}
	return page(v, f, namesAfter(found, f.After), func(key string) (Candidate, bool) { return found[key], true },
		nil)
}

func candidatesOn(v *projections.View, p *projections.Project, m *projections.Machine,
	age projections.Age, f Filter) []Candidate {
	if m == nil || f.Machine != "" && m.Name != f.Machine || f.Environment != "" && m.Environment != f.Environment ||
		f.Role != "" && !slices.Contains(m.Roles, f.Role) {
		return nil
	}
	verdict := triggers.Judge(v, p, m, age)
	if f.State != "" && f.State != string(verdict.Kind) {
		return nil
	}
	var list []Candidate
	for _, c := range v.Candidates(p, m) {
		list = append(list, Candidate{Project: p.Name, Trigger: c.Trigger, Machine: m.Name, Opened: c.Opened.String(),
			Verdict: string(verdict.Kind), Reason: string(verdict.Reason), Causes: causesOf(c.Causes),
			environment: m.Environment})
	}
	return list
}

// Due describes an automatic deployment that the next tick would queue.
type Due struct {
	Project     string   `json:"project"`
	Environment string   `json:"environment"`
	Release     string   `json:"release"`
	Machines    []string `json:"machines"`
}

// String returns the sentence that `drover apply` and `drover trigger enable` print.
func (d Due) String() string {
	machines := "machines"
	if len(d.Machines) == 1 {
		machines = "machine"
	}
	return fmt.Sprintf("%d %s will be deployed to: project %s, environment %s, release %s",
		len(d.Machines), machines, d.Project, d.Environment, d.Release)
}

// DueNow returns the automatic deployments that the next tick would queue.
func DueNow(v *projections.View, age projections.Age) []Due {
	return DueOf(triggers.Decide(v, age))
}

// DueIfEnabled returns the automatic deployments that would be due if the project were enabled or, if trigger is not
// empty, if that trigger of the project were enabled.
func DueIfEnabled(v *projections.View, age projections.Age, project, trigger string) []Due {
	p := v.Projects[project]
	if p == nil || trigger != "" && p.Triggers[trigger] == nil {
		return []Due{}
	}
	p = asIfEnabled(p, trigger)
	var verdicts []triggers.Verdict
	names := append(p.Waiting(), p.Sweep()...) // a machine that waits only for a disabled trigger is in both
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		m := v.Machines[name]
		if m == nil || hasOpenPart(v, project, name) {
			continue // the verdict of the copied project would miss the open part
		}
		verdict := triggers.Judge(v, p, m, age)
		if trigger == "" || slices.Contains(verdict.Triggers, trigger) {
			verdicts = append(verdicts, verdict)
		}
	}
	return DueOf(verdicts)
}

// asIfEnabled returns a copy of the project in which the trigger is enabled, or the project if trigger is empty.
func asIfEnabled(p *projections.Project, trigger string) *projections.Project {
	changed := *p
	if trigger == "" {
		changed.Disabled = false
		return &changed
	}
	enabled := *p.Triggers[trigger]
	enabled.Disabled = false
	changed.Triggers = maps.Clone(p.Triggers)
	changed.Triggers[trigger] = &enabled
	return &changed
}

func hasOpenPart(v *projections.View, project, machine string) bool {
	return slices.ContainsFunc(v.OpenPartsOn(machine), func(part *projections.Part) bool {
		return part.Deployment.Project.Name == project
	})
}

// DueOf groups the verdicts for which a tick queues deployments.
func DueOf(verdicts []triggers.Verdict) []Due {
	type target struct{ project, environment, release string }
	found := map[target]*Due{}
	for _, verdict := range verdicts {
		if verdict.Kind != triggers.Deploy {
			continue
		}
		key := target{verdict.Project, verdict.Environment, verdict.Release}
		if found[key] == nil {
			found[key] = &Due{Project: key.project, Environment: key.environment, Release: key.release}
		}
		found[key].Machines = append(found[key].Machines, verdict.Machine)
	}
	list := []Due{}
	for _, d := range found {
		slices.Sort(d.Machines)
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Due) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Environment, b.Environment),
			cmp.Compare(a.Release, b.Release))
	})
	return list
}

// NewlyDue returns the machines of after that were not due in before.
func NewlyDue(before, after []Due) []Due {
	list := []Due{}
	for _, d := range after {
		for _, old := range before {
			if old.Project == d.Project && old.Environment == d.Environment && old.Release == d.Release {
				d.Machines = slices.DeleteFunc(slices.Clone(d.Machines), func(m string) bool {
					return slices.Contains(old.Machines,
						m)
				})
			}
		}
		if len(d.Machines) > 0 {
			list = append(list, d)
		}
	}
	return list
}

// Projects returns the projects, sorted by name.
func Projects(v *projections.View, f Filter) List[Project] {
	return page(v, f, namesAfter(v.Projects, f.After), func(name string) (Project, bool) {
		return project(v, v.Projects[name]), f.Project == "" || f.Project == name
	}, nil)
}

// ProjectOf returns the project of that name, and false if it does not exist.
func ProjectOf(v *projections.View, name string) (Project, bool) {
	p := v.Projects[name]
	if p == nil {
		return Project{}, false
	}
	return project(v, p), true
}

func project(v *projections.View, p *projections.Project) Project {
	waiting := p.Waiting()
	shown := Project{Name: p.Name, Enabled: !p.Disabled, Roles: orEmpty(p.Settings.Roles), Releases: len(p.Releases),
		Triggers: namesAfter(p.Triggers, ""), Environments: []EnvironmentStatus{},
		Waiting: len(waiting), Spec: p.Settings, environmentsOf: map[string][]string{}, waitingIn: map[string]int{}}
	for name, t := range p.Triggers {
		shown.environmentsOf[name] = t.Settings.Environments
	}
	for _, name := range waiting {
		shown.waitingIn[environmentAt(v, name, v.Position)]++
	}
	for _, environment := range namesAfter(p.Environments, "") {
		status := EnvironmentStatus{Environment: environment, Release: p.ReleaseIn(environment)}
		if d := p.Rollout(environment); d != nil {
			status.Rolling, status.Deployment = d.Release, d.ID.String()
		}
		if pin := p.PinIn(environment); pin != nil {
			status.Pinned, status.PinnedUntil = pin.Release, utc(pin.Until)
		}
		if status.Release != "" || status.Pinned != "" || status.Rolling != "" {
			shown.Environments = append(shown.Environments, status)
		}
	}
	return shown
}

// Triggers returns the triggers, sorted by project and name.
func Triggers(v *projections.View, f Filter) List[Trigger] {
	all := map[string]Trigger{}
	for _, p := range projectsOf(v) {
		waiting := waitingBy(v, p)
		for name, t := range p.Triggers {
			if (f.Project == "" || f.Project == p.Name) && f.seesEnvironmentOf(p.Name) &&
				(f.Environment == "" || serves(t, f.Environment)) {
				all[p.Name+"/"+name] = trigger(v, p, t, waiting[name])
			}
		}
	}
	return page(v, f, namesAfter(all, f.After), func(key string) (Trigger, bool) { return all[key], true }, nil)
}

// TriggerOf returns the trigger of that name, and false if it does not exist.
func TriggerOf(v *projections.View, project, name string) (Trigger, bool) {
	p := v.Projects[project]
	if p == nil || p.Triggers[name] == nil {
		return Trigger{}, false
	}
	return trigger(v, p, p.Triggers[name], waitingBy(v, p)[name]), true
}

// seesEnvironmentOf reports whether the reader may select what belongs to a project by the environment of the filter.
func (f Filter) seesEnvironmentOf(project string) bool {
	return f.Environment == "" || f.Sees.may(project, f.Environment)
}

// waitingBy counts the open candidates of a project by trigger and environment.
func waitingBy(v *projections.View, p *projections.Project) map[string]map[string]int {
	count := map[string]map[string]int{}
	for _, name := range p.Waiting() {
		if m := v.Machines[name]; m != nil {
			for _, c := range v.Candidates(p, m) {
				if count[c.Trigger] == nil {
					count[c.Trigger] = map[string]int{}
				}
				count[c.Trigger][m.Environment]++
			}
		}
	}
	return count
}

func serves(t *domain.Trigger, environment string) bool {
	return slices.Contains(t.Settings.Environments, environment) || slices.Contains(t.Settings.Environments, "*")
}

func trigger(v *projections.View, p *projections.Project, t *domain.Trigger, waiting map[string]int) Trigger {
	shown := Trigger{Name: t.Name, Project: p.Name, Enabled: !t.Disabled, Events: []string{},
		Environments: orEmpty(t.Settings.Environments),
		Roles:        orEmpty(t.Settings.Roles), Redeploy: t.Settings.Redeploy, waitingIn: waiting}
	for _, category := range t.Settings.Events {
		shown.Events = append(shown.Events, string(category))
	}
	for _, count := range waiting {
		shown.Waiting += count
	}
	shown.Missing = MissingEnvironments(v, t)
	return shown
}

// MissingEnvironments returns the environments that a trigger names but that do not exist.
func MissingEnvironments(v *projections.View, t *domain.Trigger) (missing []string) {
	for _, environment := range t.Settings.Environments {
		if environment != "*" && v.Environments[environment] == nil {
			missing = append(missing, environment)
		}
	}
	return missing
}
