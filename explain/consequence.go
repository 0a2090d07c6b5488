package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// consequences has one function for each reason whose sentence proposes a command. It returns what the command does.
var consequences = map[triggers.Reason]func(subject) string{
	triggers.SetAside:           subject.ifCleared,
	triggers.MachineDoubted:     subject.ifAccepted,
	triggers.ProjectDisabled:    subject.ifProjectEnabled,
	triggers.TriggerDisabled:    subject.ifTriggerEnabled,
	triggers.NothingReleased:    subject.ifDeployed,
	triggers.Held:               subject.ifUnheld,
	triggers.ReleaseRetired:     subject.ifUnheld,
	triggers.MachineUnavailable: subject.ifEnabled,
	triggers.MadeUnhealthy:      subject.ifRetried,
	triggers.RetriesExhausted:   subject.ifRetried,
	triggers.NoCause:            subject.ifRetried,
}

// Consequence returns what the command does that the sentence of a verdict proposes; empty if it proposes none. It is
// decided like a tick, on a copy of the machine or of the project.
func Consequence(v *projections.View, age projections.Age, verdict triggers.Verdict, names Names) string {
	p, m := v.Projects[verdict.Project], v.Machines[verdict.Machine]
	consequence := consequences[verdict.Reason]
	if p == nil || m == nil || consequence == nil {
		return ""
	}
	return consequence(subject{v, p, m, verdict, age, names})
}

func (a subject) ifUnheld() string {
	if a.m.Hold(a.p.Name) == nil {
		return ""
	}
	return fmt.Sprintf("`drover unhold %s --project %s` makes due: ", a.m.Name, a.p.Name) +
		a.dueIf(a.v.IfUnheld(a.p, a.m))
}

func (a subject) ifEnabled() string {
	if !a.m.Disabled {
		return "" // the sentence proposes no command: the machine is offline
	}
	return fmt.Sprintf("For project %s, `drover machine enable %s` makes due: ", a.p.Name, a.m.Name) +
		a.dueIf(a.v.IfEnabled(a.p, a.m))
}

// dueIf describes what would be due if the machine were as changed.
func (a subject) dueIf(changed *projections.Machine) string {
	verdict := triggers.Judge(a.v, a.p, changed, a.age)
	actual := a.v.Actual(a.p, changed)
	effect := Effect{Project: a.p.Name, Environment: a.m.Environment, From: actual, To: verdict.Release,
		When: EffectNextTick, Older: IsOlder(a.p, verdict.Release, actual), Count: 1, Machines: []string{a.m.Name}}
	switch {
	case verdict.Kind == triggers.Deploy:
		return effect.String()
	case verdict.Reason == triggers.DeploymentRunning:
		return "nothing until the open deployment has ended"
	case verdict.Release == "":
		return "nothing, because no release is wanted in " + a.m.Environment
	case verdict.Reason == triggers.UpToDate:
		return fmt.Sprintf("nothing, because %s has release %s, which is then the wanted one", a.m.Name, verdict.Release)
	case verdict.Kind == triggers.Wait:
		return "nothing at the next tick (" + string(verdict.Reason) + "); later " +
			strings.Replace(effect.String(), " at the next tick", "", 1)
	}
	return "nothing (" + string(verdict.Reason) + ")"
}

func (a subject) ifProjectEnabled() string {
	return fmt.Sprintf("`drover project enable %s` makes due in %s: ", a.p.Name, a.m.Environment) +
		a.dueHere(DueIfEnabled(a.v, a.age, a.p.Name, ""))
}

func (a subject) ifTriggerEnabled() string {
	candidates := a.v.Candidates(a.p, a.m)
	if len(candidates) != 1 {
		return "Enabling one of them deploys to the machines that it selects and that are behind"
	}
	trigger := candidates[0].Trigger
	return fmt.Sprintf("`drover trigger enable %s/%s` makes due in %s: ", a.p.Name, trigger, a.m.Environment) +
		a.dueHere(DueIfEnabled(a.v, a.age, a.p.Name, trigger))
}

// dueHere describes the deployments in the environment of the machine. The reader may not see others.
func (a subject) dueHere(all []Due) string {
	var texts []string
	for _, d := range all {
		if d.Environment == a.m.Environment {
			texts = append(texts, fmt.Sprintf("release %s on %s (%s)", d.Release, machineCount(len(d.Machines)),
				someOf(d.Machines)))
		}
	}
	slices.Sort(texts)
	return cmp.Or(strings.Join(texts, ", "), "nothing at the next tick")
}

func (a subject) ifRetried() string {
	release := domain.Retry{Project: a.p.Name, Machine: a.m.Name}.Release(a.v.World())
	text := fmt.Sprintf("`drover retry %s --project %s` deploys release %s to it at once", a.m.Name, a.p.Name, release)
	if a.verdict.Reason == triggers.NoCause {
		text += "; `drover deploy` deploys to each machine in scope of an environment"
	}
	if release != a.verdict.Release {
		text += ", and a success holds the machine at that release"
	}
	return text
}

func (a subject) ifDeployed() string {
	if d := a.p.Rollout(a.m.Environment); d != nil {
		return fmt.Sprintf("Deployment %s of release %s to %s is already open; its success makes that release the wanted one, "+
			"and another deployment would replace it", d.ID, d.Release, a.m.Environment)
	}
	count := 0
	for _, m := range a.v.MachinesIn(a.m.Environment) {
		if inScope(a.p, m) {
			count++
		}
	}
	return fmt.Sprintf("`drover deploy %s VERSION --to %s` deploys to %s at once, and its success makes the release the "+
		"wanted one", a.p.Name, a.m.Environment, machineCount(count))
}

func (a subject) ifCleared() string {
	return "`drover eventlog clear` discards what the event recorded; from the next tick on, drover makes decisions here again"
}

func (a subject) ifAccepted() string {
	if a.m.MemoryAccepted {
		return ""
	}
	return fmt.Sprintf("`drover eventlog accept-restore --machine %s` ends the doubt about the machine, and holds it for each "+
		"project whose last success the log has lost", a.m.Name)
}
