package explain

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// asked is what a sentence is about.
type asked struct {
	v       *projections.View
	p       *projections.Project
	m       *projections.Machine
	verdict triggers.Verdict
	age     projections.Age
	names   Names
}

// sentences has one for every reason of a verdict. Each says what is so and what would change it.
var sentences = map[triggers.Reason]func(asked) string{
	triggers.SetAside:           asked.setAside,
	triggers.OutOfScope:         asked.outOfScope,
	triggers.ProjectDisabled:    asked.projectDisabled,
	triggers.TriggerDisabled:    asked.triggerDisabled,
	triggers.NothingReleased:    asked.nothingReleased,
	triggers.DeploymentRunning:  asked.deploymentRunning,
	triggers.Held:               asked.held,
	triggers.UpToDate:           asked.upToDate,
	triggers.MachineUnavailable: asked.unavailable,
	triggers.HealthUnknown:      asked.healthUnknown,
	triggers.MadeUnhealthy:      asked.madeUnhealthy,
	triggers.RetriesExhausted:   asked.exhausted,
	triggers.BackingOff:         asked.backingOff,
	triggers.NoCause:            asked.noCause,
	triggers.Retry:              asked.retry,
	triggers.Redeploy:           asked.redeploy,
	triggers.Behind:             asked.behind,
	triggers.Sweep:              asked.sweep,
}

// Sentence says a verdict's reason in words, with the place and what would change it.
func Sentence(v *projections.View, age projections.Age, verdict triggers.Verdict, names Names) string {
	p, m := v.Projects[verdict.Project], v.Machines[verdict.Machine]
	say := sentences[verdict.Reason]
	if p == nil || m == nil || say == nil {
		return ""
	}
	return say(asked{v, p, m, verdict, age, names})
}

func (a asked) setAside() string {
	streams := []string{domain.MachineStream(a.m.Name), domain.ProjectStream(a.p.Name)}
	if a.m.Claimed != nil {
		streams = append(streams, domain.PartStream(a.m.Claimed.Deployment.ID, a.m.Name))
	}
	for _, stream := range streams {
		if aside := a.v.Aside[stream]; aside != nil {
			return fmt.Sprintf("Nothing is decided here because %s; `drover eventlog clear %s` lets it go on without that event.", SetAside(aside), stream)
		}
	}
	return "A stream of this machine or project is set aside; `/readyz` names it."
}

func (a asked) outOfScope() string {
	if a.v.Environments[a.m.Environment] == nil {
		return fmt.Sprintf("Machine %s is in environment %s, which does not exist; define it or move the machine.", a.m.Name, a.m.Environment)
	}
	return fmt.Sprintf("Machine %s has the roles %s, and project %s is for %s; change either to bring it into scope.",
		a.m.Name, domain.Listed(a.m.Roles), a.p.Name, domain.Listed(a.p.Settings.Roles))
}

func (a asked) projectDisabled() string {
	return fmt.Sprintf("Project %s is disabled; `drover project enable %s` lets it act again.", a.p.Name, a.p.Name)
}

func (a asked) triggerDisabled() string {
	var names []string
	for _, c := range a.v.Candidates(a.p, a.m) {
		names = append(names, c.Trigger)
	}
	return fmt.Sprintf("What asked for a deployment is disabled: trigger %s of project %s; enable it to let it act again.", domain.Listed(names), a.p.Name)
}

func (a asked) nothingReleased() string {
	return fmt.Sprintf("No release of project %s is wanted in %s: none was deployed there environment-wide with success, and none is pinned; `drover deploy %s VERSION --to %s` changes that.",
		a.p.Name, a.m.Environment, a.p.Name, a.m.Environment)
}

func (a asked) deploymentRunning() string {
	for _, part := range a.v.OpenPartsOn(a.m.Name) {
		if part.Deployment.Project == a.p {
			return a.running(part.Deployment, fmt.Sprintf("its part on %s is %s", a.m.Name, part.State))
		}
	}
	for _, d := range a.p.Open {
		if d.Kind == domain.EnvironmentWide && d.Environment == a.m.Environment {
			if d.OpenParts() == 0 {
				return a.running(d, "all of its parts have ended, and its own end is written next")
			}
			return a.running(d, fmt.Sprintf("%d of its %d parts have not ended", d.OpenParts(), len(d.Order)))
		}
	}
	return "A deployment is running; the machine gets what is wanted once it has ended."
}

func (a asked) running(d *projections.Deployment, how string) string {
	return fmt.Sprintf("Deployment %s of release %s to %s is open: %s; %s gets what is wanted once it has ended, or was cancelled.",
		d.ID, d.Release, d.Environment, how, a.m.Name)
}

func (a asked) held() string {
	h := holdOf(a.p, a.m)
	if h == nil {
		return ""
	}
	what := "as it is"
	if h.Release != "" {
		what = "at release " + h.Release
	}
	return fmt.Sprintf("Machine %s is held %s for project %s, %s; `drover unhold %s --project %s` lets automation act here again.",
		a.m.Name, what, a.p.Name, a.heldBecause(h), a.m.Name, a.p.Name)
}

func (a asked) heldBecause(h *domain.Hold) string {
	if !h.ByVerb() {
		if d := a.v.Deployments[h.Deployment]; d != nil {
			return fmt.Sprintf("since deployment %s of release %s, which %s", d.ID, d.Release, ended(d))
		}
		return "since a person's deployment"
	}
	because := "by " + orSomebody(a.names.Who(h.Origin))
	if h.Until != nil {
		because += " until " + h.Until.UTC().Format(time.RFC3339)
	}
	if h.Reason != "" {
		because += fmt.Sprintf(" (%s)", h.Reason)
	}
	return because
}

func ended(d *projections.Deployment) string {
	switch {
	case !d.Ended && d.Cancelled:
		return "was cancelled"
	case !d.Ended:
		return "has not ended"
	case d.State == domain.DeploymentCancelledAs:
		return "was cancelled"
	}
	return string(d.State)
}

func (a asked) upToDate() string {
	return fmt.Sprintf("Machine %s has %s, the release that is wanted here; nothing is to be done until another is wanted.", a.m.Name, a.verdict.Release)
}

func (a asked) unavailable() string {
	switch {
	case a.m.Disabled:
		return fmt.Sprintf("Machine %s is disabled; `drover machine enable %s` lets it be deployed to.", a.m.Name, a.m.Name)
	case a.m.Connected == 0:
		return fmt.Sprintf("Machine %s has never been online; it is deployed to once its agent connects.", a.m.Name)
	}
	return fmt.Sprintf("Machine %s is offline since %s; it is deployed to once its agent connects again.", a.m.Name, at(a.m.Offline))
}

func (a asked) healthUnknown() string {
	return fmt.Sprintf("Policy %s has a health check, and machine %s has not sent its first result; it is deployed to once it has.", a.m.Policy, a.m.Name)
}

func (a asked) madeUnhealthy() string {
	return fmt.Sprintf("Machine %s has been unhealthy since it tried release %s, so it is not given the same again; another wanted release, or `drover retry %s --project %s`, changes that.",
		a.m.Name, a.verdict.Release, a.m.Name, a.p.Name)
}

func (a asked) exhausted() string {
	count, _ := a.v.Attempts(a.p, a.m)
	return fmt.Sprintf("Release %s was tried %s on machine %s without success, and the project allows %d; `drover retry %s --project %s`, another instance or another wanted release changes that.",
		a.verdict.Release, times(count), a.m.Name, a.p.Settings.Attempts, a.m.Name, a.p.Name)
}

func (a asked) backingOff() string {
	count, last := a.v.Attempts(a.p, a.m)
	left := triggers.Delay(a.p.Settings.Backoff, count) - a.age(last)
	return fmt.Sprintf("Release %s was tried %s on machine %s without success; the next attempt is due in %s.",
		a.verdict.Release, times(count), a.m.Name, max(left, 0).Round(time.Second))
}

func (a asked) noCause() string {
	return fmt.Sprintf("Machine %s is behind, but no event since has made it due, and no enabled trigger here names all of MachineAvailable; `drover deploy` or `drover retry %s --project %s` brings it up to date.",
		a.m.Name, a.m.Name, a.p.Name)
}

func (a asked) retry() string {
	count, _ := a.v.Attempts(a.p, a.m)
	return fmt.Sprintf("Release %s was tried %s on machine %s without success; the next tick tries again.", a.verdict.Release, times(count), a.m.Name)
}

func (a asked) redeploy() string {
	return fmt.Sprintf("Trigger %s asks for a deployment although machine %s has %s; the next tick deploys it.", domain.Listed(a.verdict.Triggers), a.m.Name, a.verdict.Release)
}

func (a asked) behind() string {
	return fmt.Sprintf("Machine %s has %s and should have %s; trigger %s asked, and the next tick deploys it.",
		a.m.Name, a.actual(), a.verdict.Release, domain.Listed(a.verdict.Triggers))
}

func (a asked) sweep() string {
	return fmt.Sprintf("Machine %s has %s and should have %s, and no event is left to say so; the next tick's sweep deploys it for trigger %s.",
		a.m.Name, a.actual(), a.verdict.Release, domain.Listed(a.verdict.Triggers))
}

func (a asked) actual() string {
	actual := a.v.Actual(a.p, a.m)
	switch {
	case actual == "":
		return "no release that is known"
	case a.v.Dirty(a.p, a.m):
		return actual + " (dirty)"
	}
	return actual
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func orSomebody(by string) string {
	if by == "" {
		return "somebody"
	}
	return by
}
