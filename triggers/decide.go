package triggers

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Verdict is the result of the table for one machine and one project.
type Verdict struct {
	Project string
	Machine string
	Kind    Kind
	Reason  Reason
	// Environment and Release are the target of a deployment. Release may be empty.
	Environment string
	Release     string
	// Triggers are the triggers that ask for the machine, sorted. For a sweep they are the triggers that serve it.
	Triggers []string
	// Causes are the events that made it due, oldest first.
	Causes []projections.Cause
}

// Judge returns the verdict on one machine for one project, whether or not anything is due.
func Judge(v *projections.View, p *projections.Project, m *projections.Machine, age projections.Age) Verdict {
	c := Case{View: v, Project: p, Machine: m, Candidates: v.Candidates(p, m), Age: age}
	active := c.activeTriggers()
	if len(active) == 0 {
		c.SweepTriggers = sweepTriggers(p, m)
	}
	kind, reason := judge(c)
	verdict := Verdict{Project: p.Name, Machine: m.Name, Kind: kind, Reason: reason, Environment: m.Environment,
		Release: v.Wanted(p, m), Triggers: active, Causes: causes(c.relevant())}
	if len(active) == 0 {
		verdict.Triggers = c.SweepTriggers
	}
	return verdict
}

// sweepTriggers returns the enabled triggers that name all of MachineAvailable and match the machine.
func sweepTriggers(p *projections.Project, m *projections.Machine) []string {
	var names []string
	for name, t := range p.Triggers {
		if t.Sweeps && !t.Disabled && t.Matches(&m.Machine, p.Settings.Roles) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func causes(candidates []*projections.Candidate) []projections.Cause {
	var all []projections.Cause
	for _, c := range candidates {
		for _, cause := range c.Causes {
			if !slices.Contains(all, cause) {
				all = append(all, cause)
			}
		}
	}
	slices.SortFunc(all, func(a, b projections.Cause) int { return int(int64(a.Position) - int64(b.Position)) })
	return all
}

// Decide returns the verdicts on all machines with an open candidate and on all machines that the sweep found, ordered
// by project and machine.
func Decide(v *projections.View, age projections.Age) []Verdict {
	var all []Verdict
	for _, p := range v.ProjectsToEvaluate() {
		// the machines of the sweep count only if a trigger can serve it
		sweeps := slices.ContainsFunc(triggersOf(p), func(t *domain.Trigger) bool { return t.Sweeps && !t.Disabled })
		for _, m := range p.Due(sweeps) {
			all = append(all, Judge(v, p, m, age))
		}
	}
	return all
}

func triggersOf(p *projections.Project) []*domain.Trigger {
	list := make([]*domain.Trigger, 0, len(p.Triggers))
	for _, t := range p.Triggers {
		list = append(list, t)
	}
	return list
}

// group identifies one automatic deployment.
type group struct{ project, environment, release string }

// Plan turns the deploy verdicts into automatic deployments, one for each project, environment and release. A group
// that does not fit into one append is split into several deployments.
func Plan(v *projections.View, verdicts []Verdict) []domain.Decision {
	members := map[group][]Verdict{}
	var order []group
	for _, verdict := range verdicts {
		if verdict.Kind != Deploy {
			continue
		}
		g := group{verdict.Project, verdict.Environment, verdict.Release}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], verdict)
	}
	var all []domain.Decision
	for _, g := range order {
		for rest := members[g]; len(rest) > 0; {
			n := fits(rest)
			all = append(all, queue(v, g, rest[:n]))
			rest = rest[n:]
		}
	}
	return all
}

// maxMembersBytes bounds the JSON size of the machines of one deployment. A log accepts 512 KiB per append. A larger
// deployment would be refused and decided again at every tick.
const maxMembersBytes = 384 << 10

// fits returns how many members fit into one deployment: at least one, at most domain.MaxNamedMachines.
func fits(members []Verdict) int {
	bytes, most := 0, min(len(members), domain.MaxNamedMachines)
	for n, member := range members[:most] {
		if bytes += size(member); n > 0 && bytes > maxMembersBytes {
			return n
		}
	}
	return most
}

// size returns an upper bound of the JSON size of a machine: its names, the ids of its causes, and punctuation.
func size(member Verdict) int {
	bytes := 100 + len(member.Machine) + len(`"00000000-0000-0000-0000-000000000000",`)*len(member.Causes)
	for _, name := range member.Triggers {
		bytes += len(name) + len(`"",`)
	}
	return bytes
}

func queue(v *projections.View, g group, members []Verdict) domain.Decision {
	settings := v.Projects[g.project].Settings.In(g.environment)
	q := domain.DeploymentQueued{Kind: domain.Automatic, Environment: g.environment, Release: g.release,
		MaxParallel: slots(v, g), Unavailable: domain.SkipUnavailable, HealthyFor: settings.HealthyFor}
	if len(settings.Overrides.Roles) > 0 {
		q.RoleSlots = settings.RoleSlots(g.environment, v.World().MachinesIn(g.environment))
	}
	d := domain.Decision{Kind: "deploy", Stream: domain.ProjectStream(g.project)}
	reasons := map[string]bool{}
	for _, member := range members {
		machine := domain.DeploymentMachine{Name: member.Machine, Triggers: member.Triggers,
			Reason: string(member.Reason)}
		for _, cause := range member.Causes {
			machine.Causes = append(machine.Causes, cause.ID)
		}
		q.Machines = append(q.Machines, machine)
		d.Causes = append(d.Causes, machine.Causes...)
		reasons[string(member.Reason)] = true
	}
	q.Reason = joined(reasons)
	d.Events, d.Causes = []domain.Event{q}, firstCauses(d.Causes)
	return d
}

// slots returns the maxParallel of an automatic deployment. It has only the machines that are due, so a percentage is one
// of all machines that the project selects in the environment.
func slots(v *projections.View, g group) domain.Amount {
	settings, machines := v.Projects[g.project].Settings.In(g.environment), 0
	if !settings.MaxParallel.Percent {
		return settings.MaxParallel
	}
	for _, m := range v.MachinesIn(g.environment) {
		if domain.InScope(&m.Machine, g.environment, settings.Roles, nil) {
			machines++
		}
	}
	return domain.Count(settings.MaxParallel.SlotsOf(machines))
}

// maxCauses bounds how many of its machines' causes the event repeats as its own.
const maxCauses = 20

func firstCauses(causes []domain.ID) []domain.ID {
	return causes[:min(len(causes), maxCauses)]
}

func joined(set map[string]bool) string {
	var words []string
	for word := range set {
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, ",")
}
