package sim

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// projectState is a project according to its own stream.
type projectState struct {
	name        string
	created     eventlog.Position
	incarnation domain.ID // named in the streams of its releases
	settings    domain.ProjectSettings
	disabled    bool
	gone        bool
	triggers    map[string]*triggerState
	releases    map[string][]domain.Step
	retired     map[string]bool
	pins        map[string]string
	deployments []*deploymentState // in the order they were queued
	// triggersChanged is set once a trigger was switched, changed or deleted.
	triggersChanged bool
}

type triggerState struct {
	settings domain.TriggerSettings
	disabled bool
	since    eventlog.Position
}

// release returns the wanted release of an environment without its pin: that of the environment-wide deployment that
// was queued last, of the ones that succeeded or that a person accepted.
func (a *projectState) release(environment string) (release string) {
	for _, w := range a.deployments {
		if w.Kind == domain.EnvironmentWide && w.Environment == environment && !w.environmentGone &&
			w.good() {
			release = w.Release
		}
	}
	return release
}

// isRollingOut reports whether an environment-wide deployment to the environment is open.
func (a *projectState) isRollingOut(environment string) bool {
	return slices.ContainsFunc(a.deployments, func(w *deploymentState) bool {
		return w.Kind == domain.EnvironmentWide && w.Environment == environment && w.ended == "" && !w.environmentGone
	})
}

func (a *projectState) wantedIn(environment string) string {
	if pin, ok := a.pins[environment]; ok {
		return pin
	}
	return a.release(environment)
}

// applyRelease records a release, if its project still exists in the same incarnation.
func (l *ledger) applyRelease(name string, fact domain.Event) {
	project, incarnation, _, _ := domain.ParseReleaseStream(name)
	if a, e := l.projects[project], fact.(domain.ReleaseCreated); a != nil && a.incarnation == incarnation {
		a.releases[e.Version] = e.Steps
	}
}

func (l *ledger) applyProject(name string, rec eventlog.Recorded, fact domain.Event) {
	a := l.projects[name]
	if e, ok := fact.(domain.ProjectDefined); ok && a == nil {
		a = &projectState{name: name, created: rec.Position, incarnation: domain.ID(rec.ID), settings: e.Settings,
			triggers: map[string]*triggerState{}, releases: map[string][]domain.Step{}, retired: map[string]bool{}, pins: map[string]string{}}
		l.projects[name] = a
	}
	if a == nil {
		l.applyDeployment(fact)
		return
	}
	switch e := fact.(type) {
	case domain.ProjectDefined:
		a.settings = e.Settings
	case domain.ProjectEnabled:
		a.disabled = false
	case domain.ProjectDisabled:
		a.disabled = true
	case domain.ProjectDeleted:
		for _, w := range a.deployments {
			l.endVerifications(w)
		}
		a.gone = true
		for _, w := range a.deployments {
			w.withdraw(nil)
		}
		delete(l.projects, name)
	case domain.PinSet:
		l.applyPin(a, e)
	case domain.PinLifted:
		l.cluster.checkExpiry(l.origin, "the pin of "+name+" in "+e.Environment, e.Reason)
		delete(a.pins, e.Environment)
		if e.Reason == domain.Lifted {
			l.forgive(a, e.Environment)
		}
	case domain.HoldSet:
		if h := l.machines[e.Machine]; h != nil {
			kind := domain.ManualHold
			if e.Unproven {
				kind = domain.UnprovenHold
			}
			l.installation(a, h).holds[kind] = &holdState{instance: e.Instance, release: e.Release, set: rec.Position,
				timed: e.Until != nil}
		}
	case domain.HoldLifted:
		l.cluster.checkExpiry(l.origin, "the hold of "+name+" on "+e.Machine, e.Reason)
		l.applyLift(a, e)
	case domain.DeploymentQueued:
		l.applyQueued(a, e, rec)
	case domain.ReleaseRetired:
		l.checkRetired(a, e.Release)
		a.retired[e.Release] = true
	case domain.ReleaseRestored:
		delete(a.retired, e.Release)
	default:
		a.applyTrigger(rec.Position, fact)
		l.applyDeployment(fact)
	}
}

func (a *projectState) applyTrigger(at eventlog.Position, fact domain.Event) {
	switch e := fact.(type) {
	case domain.TriggerDefined:
		if a.triggers[e.Trigger] == nil {
			a.triggers[e.Trigger] = &triggerState{since: at}
		} else {
			a.triggersChanged = true
		}
		a.triggers[e.Trigger].settings = e.Settings
	case domain.TriggerEnabled:
		a.triggers[e.Trigger].disabled = false
	case domain.TriggerDisabled:
		a.triggers[e.Trigger].disabled, a.triggersChanged = true, true
	case domain.TriggerDeleted:
		a.triggersChanged = true
		delete(a.triggers, e.Trigger)
	}
}

// forgive resets the count of attempts after a person has acted.
func (l *ledger) forgive(a *projectState, environment string) {
	for h := range l.everyMachine() {
		if h.Environment == environment {
			l.installation(a, h).failures = 0
		}
	}
}
