package explain

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// subject is what a sentence is about: one machine and one project.
type subject struct {
	v       *projections.View
	p       *projections.Project
	m       *projections.Machine
	verdict triggers.Verdict
	age     projections.Age
	names   Names
}

// sentences has one function for each reason of a verdict. A sentence states the situation and what would change it.
var sentences = map[triggers.Reason]func(subject) string{
	triggers.SetAside:           subject.setAside,
	triggers.OutOfScope:         subject.outOfScope,
	triggers.MachineDoubted:     subject.doubted,
	triggers.ProjectDisabled:    subject.projectDisabled,
	triggers.TriggerDisabled:    subject.triggerDisabled,
	triggers.NothingReleased:    subject.nothingReleased,
	triggers.DeploymentRunning:  subject.deploymentRunning,
	triggers.Held:               subject.held,
	triggers.UpToDate:           subject.upToDate,
	triggers.ReleaseRetired:     subject.releaseRetired,
	triggers.RolesDisagree:      subject.rolesDisagree,
	triggers.MachineUnavailable: subject.unavailable,
	triggers.MachineBlocked:     subject.blocked,
	triggers.HealthUnknown:      subject.healthUnknown,
	triggers.MadeUnhealthy:      subject.madeUnhealthy,
	triggers.RetriesExhausted:   subject.exhausted,
	triggers.BackingOff:         subject.backingOff,
	triggers.NoCause:            subject.noCause,
	triggers.Retry:              subject.retry,
	triggers.Redeploy:           subject.redeploy,
	triggers.Behind:             subject.behind,
	triggers.Sweep:              subject.sweep,
}

// Sentence explains the reason of a verdict: the situation of the machine and what would change it.
func Sentence(v *projections.View, age projections.Age, verdict triggers.Verdict, names Names) string {
	p, m := v.Projects[verdict.Project], v.Machines[verdict.Machine]
	sentence := sentences[verdict.Reason]
	if p == nil || m == nil || sentence == nil {
		return ""
	}
	a := subject{v, p, m, verdict, age, names}
	return a.withBlock(sentence(a)) + a.lostState()
}

// withBlock adds to a sentence that the machine starts no parts, unless the sentence contains it already.
func (a subject) withBlock(sentence string) string {
	reported := Reported(a.m, Blocking)
	if reported == "" || strings.Contains(sentence, reported) {
		return sentence
	}
	return fmt.Sprintf("%s Machine %s starts no parts: %s.", sentence, a.m.Name, reported)
}

// lostState says which success the machine has lost, if there is one. It explains why the actual release is unknown.
func (a subject) lostState() string {
	lost := a.m.LostState(a.p.Name)
	if lost == nil {
		return ""
	}
	proven := "no release"
	if lost.Proven != "" {
		proven = "only release " + lost.Proven
	}
	return fmt.Sprintf(" Its agent remembers %s, but the log recorded release %s (%s): its disk was restored from a "+
		"snapshot, or its data was lost.", proven, lost.Release, at(lost.Position))
}

func (a subject) setAside() string {
	streams := []string{domain.MachineStream(a.m.Name), domain.ProjectStream(a.p.Name)}
	for _, part := range a.v.BlockingParts(a.p, a.m) {
		streams = append(streams, domain.PartStream(part.Deployment.ID, a.m.Name))
	}
	for _, stream := range streams {
		if aside := a.v.Aside[stream]; aside != nil {
			return fmt.Sprintf("No decision is made here because %s; run `drover eventlog clear %s` to continue without that "+
				"event.", SetAside(aside), stream)
		}
	}
	return "A stream of this machine or project is set aside; `/readyz` names it."
}

func (a subject) outOfScope() string {
	if a.v.Environments[a.m.Environment] == nil {
		return fmt.Sprintf("Machine %s is in environment %s, which does not exist; create the environment or move the "+
			"machine.", a.m.Name, a.m.Environment)
	}
	return fmt.Sprintf("Machine %s is out of scope: %s, and project %s requires %s; change either "+
		"to bring it into scope.", a.m.Name, hasRoles(a.m.Roles), a.p.Name, requiredRoles(a.p.Settings.Roles))
}

func (a subject) releaseRetired() string {
	retired := a.p.Retired[a.verdict.Release]
	if a.m.Hold(a.p.Name) == nil {
		return fmt.Sprintf("Release %s, which is wanted, is retired%s; deploy another release.", a.verdict.Release,
			domain.InParentheses(retired.Reason))
	}
	return fmt.Sprintf("Machine %s is held at release %s, which is retired%s; run `drover unhold %s --project %s`, or "+
		"`drover release restore %s %s` to make it deployable again.", a.m.Name, a.verdict.Release,
		domain.InParentheses(retired.Reason), a.m.Name, a.p.Name, a.p.Name, a.verdict.Release)
}

func (a subject) rolesDisagree() string {
	release := a.p.Releases[a.v.Wanted(a.p, a.m)]
	if release == nil || release.Disagreement(a.m.Environment, a.m.Roles) == nil {
		return fmt.Sprintf("The roles of machine %s disagree on a variable of its wanted release.", a.m.Name)
	}
	d := release.Disagreement(a.m.Environment, a.m.Roles)
	return fmt.Sprintf("Release %s cannot be deployed to machine %s: %s; remove one of the roles, or deploy a release in "+
		"which overrides.environments.%s sets %s.", release.Version, a.m.Name, d, a.m.Environment, d.Name)
}

func hasRoles(roles []string) string {
	switch len(roles) {
	case 0:
		return "it has no roles"
	case 1:
		return "its role is " + roles[0]
	}
	return "its roles are " + domain.JoinNames(roles)
}

func requiredRoles(roles []string) string {
	if len(roles) == 1 {
		return "role " + roles[0]
	}
	return "one of the roles " + domain.JoinNames(roles)
}

func (a subject) projectDisabled() string {
	return fmt.Sprintf("Project %s is disabled; run `drover project enable %s` to enable it.", a.p.Name, a.p.Name)
}

func (a subject) triggerDisabled() string {
	var names []string
	for _, c := range a.v.Candidates(a.p, a.m) {
		names = append(names, c.Trigger)
	}
	if len(names) == 1 {
		return fmt.Sprintf("Trigger %s of project %s, which requested this deployment, is disabled; run `drover trigger "+
			"enable %s/%s` to enable it.", names[0], a.p.Name, a.p.Name, names[0])
	}
	return fmt.Sprintf("The triggers of project %s that requested this deployment are disabled: %s; run `drover trigger "+
		"enable %s/NAME` to enable one.", a.p.Name, domain.JoinNames(names), a.p.Name)
}

func (a subject) nothingReleased() string {
	return fmt.Sprintf("No release of project %s is wanted in %s: no environment-wide deployment has succeeded there, "+
		"and no release is pinned; "+
		"run `drover deploy %s VERSION --to %s` to deploy one.",
		a.p.Name, a.m.Environment, a.p.Name, a.m.Environment)
}

func (a subject) deploymentRunning() string {
	for _, part := range a.v.OpenPartsOn(a.m.Name) {
		if part.Deployment.Project == a.p {
			return a.running(part.Deployment, a.partState(part))
		}
	}
	for _, d := range a.p.Open {
		if d.Kind == domain.EnvironmentWide && d.Environment == a.m.Environment {
			if d.OpenParts() == 0 {
				return a.running(d, "all of its parts have ended, and its own end is recorded next")
			}
			return a.running(d, fmt.Sprintf("%d of its %d parts have not ended", d.OpenParts(), len(d.Order)))
		}
	}
	return "A deployment is running; the machine gets the wanted release once it has ended."
}

// partState describes an open part of the machine.
func (a subject) partState(part *projections.Part) string {
	required := time.Duration(part.Deployment.Facts.HealthyFor)
	switch {
	case part.State == domain.PartReleased && Reported(a.m, Blocking) != "":
		return fmt.Sprintf("%s does not start its part, because %s", a.m.Name, Reported(a.m, Blocking))
	case part.State != domain.PartVerifying:
		return fmt.Sprintf("its part on %s is %s", a.m.Name, part.State)
	case part.Broken != "":
		return fmt.Sprintf("its verification on %s has failed, and the end of the part is recorded next", a.m.Name)
	case part.Steady == 0:
		return fmt.Sprintf("its part on %s is verifying, and %s has not been online and healthy since the success",
			a.m.Name, a.m.Name)
	}
	left := max(required-a.age(part.Steady), 0).Round(time.Second)
	return fmt.Sprintf("its part on %s is verifying, and %s must stay healthy for another %s of %s", a.m.Name, a.m.Name,
		left, required)
}

func (a subject) running(d *projections.Deployment, how string) string {
	return fmt.Sprintf("Deployment %s of release %s to %s is open: %s; %s gets the wanted release once it has ended or "+
		"was cancelled.", d.ID, d.Release, d.Environment, how, a.m.Name)
}

func (a subject) held() string {
	h := a.m.Hold(a.p.Name)
	if h == nil {
		return ""
	}
	what := "at its current state"
	if h.Release != "" {
		what = "at release " + h.Release
	}
	return fmt.Sprintf("Machine %s is held %s for project %s, %s; run `drover unhold %s --project %s` to let automation "+
		"act on it again.", a.m.Name, what, a.p.Name, a.heldBecause(&h.Hold), a.m.Name, a.p.Name) + a.otherHolds()
}

// otherHolds lists the holds below the strongest one. They remain when that one ends.
func (a subject) otherHolds() string {
	var others []string
	for _, h := range a.m.Installed[a.p.Name].Holds[1:] {
		others = append(others, fmt.Sprintf("%s (%s)", h.Kind, a.heldBecause(&h.Hold)))
	}
	if len(others) == 0 {
		return ""
	}
	return " It has more holds, which stay if only that one ends: " + strings.Join(others, ", ") + "."
}

func (a subject) heldBecause(h *domain.Hold) string {
	if !h.Manual() {
		if d := a.v.Deployments[h.Deployment]; d != nil {
			if by := a.v.Replacement(d); by != nil {
				return fmt.Sprintf("since deployment %s of release %s, which was %s", d.ID, d.Release,
					Superseding{by.ID.String(), by.Release})
			}
			return fmt.Sprintf("since deployment %s of release %s, which %s", d.ID, d.Release, ended(d))
		}
		return "since a person's deployment"
	}
	because := "by " + cmp.Or(a.names.Who(h.Origin), "someone")
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
	case d.State == domain.DeploymentCancelledState:
		return "was cancelled"
	}
	return string(d.State)
}

func (a subject) upToDate() string {
	return fmt.Sprintf("Machine %s has release %s, which is the wanted one; nothing is due until another release is "+
		"wanted.", a.m.Name, a.verdict.Release)
}

func (a subject) doubted() string { return "M" + strings.TrimPrefix(Doubt(a.v, a.m), "m") + "." }

func (a subject) unavailable() string {
	switch {
	case a.m.Disabled:
		return fmt.Sprintf("Machine %s is disabled; run `drover machine enable %s` to make it deployable.",
			a.m.Name, a.m.Name)
	case a.m.Connected == 0:
		return fmt.Sprintf("Machine %s has never been online; it is deployed to once its agent connects.", a.m.Name)
	}
	return fmt.Sprintf("Machine %s has been offline since %s; it is deployed to once its agent reconnects.",
		a.m.Name, at(a.m.Offline))
}

func (a subject) blocked() string {
	return fmt.Sprintf("Machine %s starts no parts: %s; it is deployed to once its agent no longer reports that.", a.m.Name,
		Reported(a.m, Blocking))
}

func (a subject) healthUnknown() string {
	return fmt.Sprintf("Policy %s has a health check, and machine %s has not reported a result yet; it is deployed to "+
		"once it has.", a.m.Policy, a.m.Name)
}

func (a subject) madeUnhealthy() string {
	return fmt.Sprintf("Machine %s has been unhealthy since it tried release %s, so automation does not deploy that "+
		"release to it again; "+
		"deploy another release, or run `drover retry %s --project %s`.",
		a.m.Name, a.verdict.Release, a.m.Name, a.p.Name)
}

func (a subject) exhausted() string {
	count, _ := a.v.Attempts(a.p, a.m)
	return fmt.Sprintf("Release %s was tried %s on machine %s without success, and the project allows %s; "+
		"run `drover retry %s --project %s`, deploy another release or re-image the machine.",
		a.verdict.Release, times(count), a.m.Name, attempts(a.p.Settings.Attempts), a.m.Name, a.p.Name)
}

func (a subject) backingOff() string {
	count, last := a.v.Attempts(a.p, a.m)
	left := triggers.Delay(a.p.Settings.Backoff, count) - a.age(last)
	return fmt.Sprintf("Release %s was tried %s on machine %s without success; the next attempt is due in %s.",
		a.verdict.Release, times(count), a.m.Name, max(left, 0).Round(time.Second))
}

func (a subject) noCause() string {
	return fmt.Sprintf("Machine %s is behind, but no event has made it due, and no enabled trigger here covers all of "+
		"MachineAvailable; "+
		"run `drover deploy`, or `drover retry %s --project %s`, to bring it up to date.",
		a.m.Name, a.m.Name, a.p.Name)
}

func (a subject) retry() string {
	count, _ := a.v.Attempts(a.p, a.m)
	return fmt.Sprintf("Release %s was tried %s on machine %s without success; the next tick tries it again.",
		a.verdict.Release, times(count), a.m.Name)
}

func (a subject) redeploy() string {
	return fmt.Sprintf("Trigger %s requested a redeployment, although machine %s has release %s; the next tick deploys "+
		"it again.", domain.JoinNames(a.verdict.Triggers), a.m.Name, a.verdict.Release)
}

func (a subject) behind() string {
	return fmt.Sprintf("Machine %s has %s and should have release %s; trigger %s requested it, and the next tick "+
		"deploys it.", a.m.Name, a.actual(), a.verdict.Release, domain.JoinNames(a.verdict.Triggers))
}

func (a subject) sweep() string {
	return fmt.Sprintf("Machine %s has %s and should have release %s, but has no open candidate; the sweep of the next "+
		"tick deploys it for trigger %s.", a.m.Name, a.actual(), a.verdict.Release, domain.JoinNames(a.verdict.Triggers))
}

func (a subject) actual() string {
	actual := a.v.Actual(a.p, a.m)
	switch {
	case actual == "":
		return "no known release"
	case a.v.Dirty(a.p, a.m):
		return "release " + actual + " (dirty)"
	}
	return "release " + actual
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
