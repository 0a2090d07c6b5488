package triggers

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Kind is the kind of a verdict.
type Kind string

// The kinds of verdicts.
const (
	Wait   Kind = "wait"
	None   Kind = "none"
	Deploy Kind = "deploy"
)

// Reason is the reason of a verdict.
type Reason string

// The reasons, in the order of the table.
const (
	SetAside           Reason = "set-aside"
	OutOfScope         Reason = "out-of-scope"
	MachineDoubted     Reason = "machine-doubted"
	ProjectDisabled    Reason = "project-disabled"
	TriggerDisabled    Reason = "trigger-disabled"
	NothingReleased    Reason = "nothing-released"
	DeploymentRunning  Reason = "deployment-running"
	Held               Reason = "held"
	UpToDate           Reason = "up-to-date"
	ReleaseRetired     Reason = "release-retired"
	RolesDisagree      Reason = "roles-disagree"
	MachineUnavailable Reason = "machine-unavailable"
	MachineBlocked     Reason = "machine-blocked"
	HealthUnknown      Reason = "health-unknown"
	MadeUnhealthy      Reason = "made-unhealthy"
	RetriesExhausted   Reason = "retries-exhausted"
	BackingOff         Reason = "backing-off"
	NoCause            Reason = "no-cause"
	Retry              Reason = "retry"
	Redeploy           Reason = "redeploy"
	Behind             Reason = "behind"
	Sweep              Reason = "sweep"
)

// Case is the input of a verdict: one machine and one project.
type Case struct {
	View    *projections.View
	Project *projections.Project
	Machine *projections.Machine
	// Candidates are the open candidates of the project on the machine.
	Candidates []*projections.Candidate
	// SweepTriggers are the triggers that may act for the sweep.
	SweepTriggers []string
	Age           projections.Age
}

// rule is one row of the table: if it applies, the verdict is kind with reason.
type rule struct {
	kind    Kind
	reason  Reason
	applies func(Case) bool
}

// rules is the ordered table. The first row that applies gives the verdict; the last one always applies.
var rules = []rule{
	// Law 18: a stream that cannot be folded fails closed. It affects nothing else.
	{Wait, SetAside, Case.setAside},
	// The machine moved, or the trigger, project or environment was deleted, so no trigger asks for the machine.
	{None, OutOfScope, Case.outOfScope},
	// Law 30: an agent that remembers events that the log does not have stops its own machine, and no other.
	{Wait, MachineDoubted, func(c Case) bool { return c.View.DoubtOf(c.Machine) != nil }},
	// Law 20: a disabled project or trigger does nothing, and the verdict gives that reason.
	{Wait, ProjectDisabled, func(c Case) bool { return c.Project.Disabled }},
	{Wait, TriggerDisabled, Case.triggerDisabled},
	{Wait, NothingReleased, Case.nothingReleased},
	// Law 1: a machine that comes online during a deployment waits for its end, and then gets what is wanted. Automatic
	// parts of other machines do not block it (law 21).
	{Wait, DeploymentRunning, Case.deploymentRunning},
	// Law 16: automation does not change what a person chose.
	{Wait, Held, func(c Case) bool { return c.Machine.HoldApplies(c.Project.Name) }},
	// Law 8: only a machine that is behind gets a deployment, unless a redeploy is due.
	{None, UpToDate, func(c Case) bool { return !c.behind() && !c.redeployDue() }},
	// A hold can want a retired release, for a new instance of its machine. A person could not deploy it either.
	{Wait, ReleaseRetired, Case.releaseRetired},
	// Two roles of the machine disagree on a variable of the release: any choice between them would be arbitrary.
	{Wait, RolesDisagree, Case.rolesDisagree},
	// Law 9: the end state decides whether a machine is eligible, whatever the balance of the batch.
	{Wait, MachineUnavailable, Case.unavailable},
	// Law 30: an agent that cannot write its journal claims nothing. That is the state of its machine, and uses up no attempt.
	{Wait, MachineBlocked, Case.blocked},
	// Law 25: a machine is not deployed to before the first result of its health check.
	{Wait, HealthUnknown, Case.healthUnknown},
	// Law 24: an unhealthy machine may get another release, but not again the one that made it unhealthy.
	{Wait, MadeUnhealthy, func(c Case) bool { return c.View.MadeUnhealthy(c.Project, c.Machine) }},
	// Law 17: a failing machine is retried with growing delay up to the limit, and then left alone.
	{Wait, RetriesExhausted, func(c Case) bool { return c.View.Exhausted(c.Project, c.Machine) }},
	{Wait, BackingOff, Case.backingOff},
	// The machine is behind, but no event has made it due and no trigger serves the sweep: only a person can act.
	{None, NoCause, func(c Case) bool { return len(c.Candidates) == 0 && len(c.SweepTriggers) == 0 }},
	{Deploy, Retry, func(c Case) bool { return c.attempts() > 0 }},
	{Deploy, Redeploy, func(c Case) bool { return !c.behind() }},
	{Deploy, Behind, func(c Case) bool { return len(c.SweepTriggers) == 0 }},
	{Deploy, Sweep, func(Case) bool { return true }},
}

// judge evaluates the table.
func judge(c Case) (Kind, Reason) {
	for _, r := range rules {
		if r.applies(c) {
			return r.kind, r.reason
		}
	}
	return None, NoCause
}

func (c Case) setAside() bool {
	return c.View.SetAside(domain.MachineStream(c.Machine.Name)) ||
		c.View.SetAside(domain.ProjectStream(c.Project.Name)) ||
		slices.ContainsFunc(c.View.BlockingParts(c.Project, c.Machine), func(part *projections.Part) bool {
			return c.View.SetAside(domain.PartStream(part.Deployment.ID, c.Machine.Name))
		})
}

func (c Case) outOfScope() bool {
	m, p := c.Machine, c.Project
	return c.View.Environments[m.Environment] == nil || !domain.InScope(&m.Machine, m.Environment, p.Settings.Roles,
		nil)
}

// triggerDisabled reports whether every trigger that asks is disabled, and no sweep covers the machine.
func (c Case) triggerDisabled() bool {
	return len(c.Candidates) > 0 && len(c.activeTriggers()) == 0 && len(c.SweepTriggers) == 0
}

// activeTriggers returns the names of the enabled triggers with open candidates.
func (c Case) activeTriggers() []string {
	var names []string
	for _, candidate := range c.Candidates {
		if t := c.Project.Triggers[candidate.Trigger]; t != nil && !t.Disabled {
			names = append(names, candidate.Trigger)
		}
	}
	return names
}

// relevant returns the candidates that the verdict is about: those of enabled triggers, none for a sweep, or all if
// every trigger that asks is disabled. A candidate of a disabled trigger is not a cause of another trigger's
// deployment, and stays open (laws 19, 20).
func (c Case) relevant() []*projections.Candidate {
	names := c.activeTriggers()
	switch {
	case len(c.SweepTriggers) > 0:
		return nil
	case len(names) == 0:
		return c.Candidates
	}
	var relevant []*projections.Candidate
	for _, candidate := range c.Candidates {
		if slices.Contains(names, candidate.Trigger) {
			relevant = append(relevant, candidate)
		}
	}
	return relevant
}

func (c Case) nothingReleased() bool {
	return c.Project.WantedIn(c.Machine.Environment) == "" && c.Machine.Hold(c.Project.Name) == nil
}

func (c Case) deploymentRunning() bool {
	for _, part := range c.View.OpenPartsOn(c.Machine.Name) {
		if part.Deployment.Project == c.Project {
			return true
		}
	}
	return c.Project.HasOpenWide(c.Machine.Environment)
}

func (c Case) behind() bool { return c.View.Behind(c.Project, c.Machine) }

// redeployDue reports whether an enabled trigger asks for a deployment even to a machine that is up to date.
func (c Case) redeployDue() bool {
	for _, candidate := range c.Candidates {
		t := c.Project.Triggers[candidate.Trigger]
		if candidate.Redeploy > 0 && t != nil && !t.Disabled {
			return true
		}
	}
	return false
}

func (c Case) unavailable() bool {
	ok, reason := c.View.Deployable(c.Machine)
	return !ok && reason != domain.HealthNotKnown
}

func (c Case) blocked() bool {
	_, blocked := c.Machine.Blocked()
	return blocked
}

func (c Case) healthUnknown() bool {
	ok, _ := c.View.Deployable(c.Machine)
	return !ok
}

func (c Case) releaseRetired() bool {
	_, retired := c.Project.Retired[c.View.Wanted(c.Project, c.Machine)]
	return retired
}

func (c Case) rolesDisagree() bool {
	release := c.Project.Releases[c.View.Wanted(c.Project, c.Machine)]
	return release != nil && release.Disagreement(c.Machine.Environment, c.Machine.Roles) != nil
}

func (c Case) attempts() int {
	count, _ := c.View.Attempts(c.Project, c.Machine)
	return count
}

// backingOff reports whether the last attempt is too recent for another one.
func (c Case) backingOff() bool {
	count, last := c.View.Attempts(c.Project, c.Machine)
	return count > 0 && c.Age(last) < Delay(c.Project.Settings.Backoff, count)
}

// Delay returns the delay before the next attempt, after count attempts that did not succeed: the backoff, doubled for
// each attempt after the first, at most domain.MaxBackoff.
func Delay(backoff domain.Duration, count int) time.Duration {
	delay := backoff
	for i := 1; i < count && delay < domain.MaxBackoff; i++ {
		delay *= 2
	}
	return time.Duration(min(delay, domain.MaxBackoff))
}
