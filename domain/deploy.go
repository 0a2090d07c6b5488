package domain

import (
	"slices"
	"time"
)

// Hold keeps automation from one machine.
type Hold struct {
	// Instance is the one that was held; another instance gets Release.
	Instance ID
	// Release is what the machine should stay at; empty: as it is.
	Release string
	Until   *time.Time
	Reason  string
	// Deployment is the one that set it; zero for the verb hold.
	Deployment ID
	// Origin is who asked for it with the verb.
	Origin
}

// ByVerb says that a person set the hold with the verb hold.
func (h *Hold) ByVerb() bool { return h != nil && h.Deployment.IsZero() }

// Commands that deploy.
type (
	// Deploy queues a person's deployment: narrowed if it names machines, else environment-wide.
	Deploy struct {
		Project     string   `json:"project"`
		Release     string   `json:"release"`
		Environment string   `json:"environment"`
		Machines    []string `json:"machines"`
		Exclude     []string `json:"exclude"`
		// MaxParallel and StopAfterFailures replace the project's; nil keeps them.
		MaxParallel       *int   `json:"maxParallel"`
		StopAfterFailures *int   `json:"stopAfterFailures"`
		Reason            string `json:"reason"`
		Origin
	}
	// Rollback queues an environment-wide deployment of the release before.
	Rollback struct {
		Project     string `json:"project"`
		Environment string `json:"environment"`
		Origin
	}
	// Retry queues a narrowed deployment of what the machine's last attempt did not finish, else of the wanted release.
	Retry struct {
		Project string `json:"project"`
		Machine string `json:"machine"`
		Origin
	}
	// CancelDeployment stops what nobody has claimed.
	CancelDeployment struct {
		Deployment ID `json:"deployment"`
		Origin
	}
	// SetPin pins a release in an environment.
	SetPin struct {
		Project     string     `json:"project"`
		Release     string     `json:"release"`
		Environment string     `json:"environment"`
		Until       *time.Time `json:"until"`
		Reason      string     `json:"reason"`
		Origin
	}
	// LiftPin lifts a pin.
	LiftPin struct {
		Project     string `json:"project"`
		Environment string `json:"environment"`
		Origin
	}
	// SetHold holds a machine as it is.
	SetHold struct {
		Project string `json:"project"`
		Machine string `json:"machine"`
		// Unproven says that the machine's last success is not in the log.
		Unproven bool       `json:"unproven"`
		Until    *time.Time `json:"until"`
		Reason   string     `json:"reason"`
		Origin
	}
	// LiftHold lifts any hold of a machine.
	LiftHold struct {
		Project string `json:"project"`
		Machine string `json:"machine"`
		Origin
	}
)

// Stream is the project's.
func (c Deploy) Stream(World) string { return ProjectStream(c.Project) }

// Stream is the project's.
func (c Rollback) Stream(World) string { return ProjectStream(c.Project) }

// Stream is the project's.
func (c Retry) Stream(World) string { return ProjectStream(c.Project) }

// Stream is that of the deployment's project.
func (c CancelDeployment) Stream(w World) string {
	if d := w.Deployment(c.Deployment); d != nil {
		return ProjectStream(d.Project)
	}
	return ProjectStream("")
}

// Stream is the project's.
func (c SetPin) Stream(World) string { return ProjectStream(c.Project) }

// Stream is the project's.
func (c LiftPin) Stream(World) string { return ProjectStream(c.Project) }

// Stream is the project's.
func (c SetHold) Stream(World) string { return ProjectStream(c.Project) }

// Stream is the project's.
func (c LiftHold) Stream(World) string { return ProjectStream(c.Project) }

// Decide queues the deployment. What it replaces is folded at its own position.
func (c Deploy) Decide(w World) ([]Event, *Rejection) {
	p, r := c.check(w)
	if r != nil {
		return nil, r
	}
	q := DeploymentQueued{Kind: EnvironmentWide, Environment: c.Environment, Release: c.Release, Exclude: Names(c.Exclude),
		MaxParallel: p.Settings.MaxParallel, StopAfterFailures: p.Settings.StopAfterFailures,
		Unavailable: p.Settings.Unavailable, Reason: c.Reason, Origin: c.Origin}
	if c.MaxParallel != nil {
		q.MaxParallel = *c.MaxParallel
	}
	if c.StopAfterFailures != nil {
		q.StopAfterFailures = *c.StopAfterFailures
	}
	for _, name := range Names(c.Machines) {
		q.Kind = Narrowed
		q.Machines = append(q.Machines, DeploymentMachine{Name: name})
	}
	return []Event{q}, nil
}

func (c Deploy) check(w World) (*Project, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, noProject(c.Project)
	}
	if p.Releases[c.Release] == nil {
		return nil, notFound("project %s has no release %.140q", c.Project, c.Release).
			hint("`drover release create %s VERSION` makes one", c.Project)
	}
	if !w.Environment(c.Environment) {
		return nil, noEnvironment(c.Environment)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	if pin := p.PinIn(c.Environment); pin != nil && pin.Release != c.Release {
		return nil, conflict("project %s is pinned to %s in %s", c.Project, pin.Release, c.Environment).
			hint("`drover unpin %s --in %s` first", c.Project, c.Environment)
	}
	return p, c.checkMachines(w, p)
}

func (c Deploy) checkMachines(w World, p *Project) *Rejection {
	switch {
	case len(c.Machines) > 0 && len(c.Exclude) > 0:
		return invalid("machines are both named and excluded").hint("use --machine or --exclude")
	case len(c.Machines) > MaxNamedMachines || len(c.Exclude) > MaxNamedMachines:
		return invalid("more than %d machines are named", MaxNamedMachines).hint("deploy environment-wide, or in several steps")
	case c.MaxParallel != nil && *c.MaxParallel < 0:
		return invalid("invalid maxParallel %d", *c.MaxParallel).hint("use 1 or more, or 0 for no limit")
	case c.StopAfterFailures != nil && *c.StopAfterFailures < 0:
		return invalid("invalid stopAfterFailures %d", *c.StopAfterFailures).hint("use 1 or more, or 0 for never")
	}
	for _, name := range slices.Concat(c.Machines, c.Exclude) {
		m := w.Machine(name)
		switch {
		case m == nil:
			return noMachine(name)
		case m.Environment != c.Environment:
			return conflict("machine %s is in environment %s, not in %s", name, m.Environment, c.Environment)
		case !InScope(m, c.Environment, p.Settings.Roles, nil) && len(c.Machines) > 0:
			return conflict("machine %s has none of the roles %v of project %s", name, p.Settings.Roles, c.Project)
		}
	}
	return nil
}

// Decide turns into a deployment of the release before.
func (c Rollback) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, noProject(c.Project)
	}
	if !w.Environment(c.Environment) {
		return nil, noEnvironment(c.Environment)
	}
	release := ""
	if s := p.Environments[c.Environment]; s != nil {
		release = s.RollbackTo()
	}
	if release == "" {
		return nil, conflict("project %s has no release to go back to in %s", c.Project, c.Environment).
			hint("a rollback needs an earlier environment-wide deployment that succeeded")
	}
	return Deploy{Project: c.Project, Release: release, Environment: c.Environment, Reason: "rollback", Origin: c.Origin}.Decide(w)
}

// Decide turns into a narrowed deployment to the machine.
func (c Retry) Decide(w World) ([]Event, *Rejection) {
	if w.Project(c.Project) == nil {
		return nil, noProject(c.Project)
	}
	m := w.Machine(c.Machine)
	if m == nil {
		return nil, noMachine(c.Machine)
	}
	release := w.Unfinished(c.Project, c.Machine)
	if release == "" {
		release = w.Wanted(c.Project, c.Machine)
	}
	if release == "" {
		return nil, conflict("there is nothing of project %s to try on machine %s", c.Project, c.Machine).
			hint("deploy a release to %s first", m.Environment)
	}
	return Deploy{Project: c.Project, Release: release, Environment: m.Environment, Machines: []string{c.Machine},
		Reason: "retry", Origin: c.Origin}.Decide(w)
}

// Decide cancels an open deployment; an ended one is as its sender wished if it was cancelled.
func (c CancelDeployment) Decide(w World) ([]Event, *Rejection) {
	d := w.Deployment(c.Deployment)
	switch {
	case d == nil:
		return nil, notFound("deployment %s does not exist", c.Deployment).hint("`drover get deployments` lists them")
	case d.Cancelled:
		return nil, nil
	case d.Ended:
		return nil, conflict("deployment %s has ended: %s", c.Deployment, d.State)
	}
	return []Event{DeploymentCancelled(c)}, nil // both name the deployment and who asked
}

// Decide pins, or changes the pin.
func (c SetPin) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, noProject(c.Project)
	}
	if p.Releases[c.Release] == nil {
		return nil, notFound("project %s has no release %.140q", c.Project, c.Release)
	}
	if !w.Environment(c.Environment) {
		return nil, noEnvironment(c.Environment)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	pin := PinSet{Environment: c.Environment, Release: c.Release, Until: c.Until, Reason: c.Reason, Origin: c.Origin}
	if old := p.PinIn(c.Environment); old != nil && old.Release == pin.Release && old.Reason == pin.Reason && sameTime(old.Until, pin.Until) {
		return nil, nil
	}
	return []Event{pin}, nil
}

// Decide lifts the pin that is there.
func (c LiftPin) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, noProject(c.Project)
	}
	if p.PinIn(c.Environment) == nil { // a pin outlives its environment
		if !w.Environment(c.Environment) {
			return nil, noEnvironment(c.Environment)
		}
		return nil, notFound("project %s is not pinned in %.80q", c.Project, c.Environment)
	}
	return []Event{PinLifted{Environment: c.Environment, Reason: Lifted, Origin: c.Origin}}, nil
}

// How pins and holds end.
const (
	Lifted  = "lifted"
	Expired = "expired"
)

// Decide holds the machine at what it has.
func (c SetHold) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Machine)
	if w.Project(c.Project) == nil {
		return nil, noProject(c.Project)
	}
	if m == nil {
		return nil, noMachine(c.Machine)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	hold := HoldSet{Machine: c.Machine, Instance: m.Instance, Release: w.Actual(c.Project, c.Machine),
		Until: c.Until, Reason: c.Reason, Origin: c.Origin}
	if c.Unproven {
		hold.Release, hold.Unproven = "", true
	}
	h := w.Hold(c.Project, c.Machine)
	if h.ByVerb() && h.Instance == hold.Instance && h.Release == hold.Release && h.Reason == hold.Reason && sameTime(h.Until, hold.Until) {
		return nil, nil
	}
	return []Event{hold}, nil
}

// Decide lifts the hold that is there.
func (c LiftHold) Decide(w World) ([]Event, *Rejection) {
	if w.Project(c.Project) == nil {
		return nil, noProject(c.Project)
	}
	if w.Hold(c.Project, c.Machine) == nil {
		if w.Machine(c.Machine) == nil {
			return nil, noMachine(c.Machine)
		}
		return nil, notFound("machine %.80q is not held for project %s", c.Machine, c.Project)
	}
	return []Event{HoldLifted{Machine: c.Machine, Reason: Lifted, Origin: c.Origin}}, nil
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func noEnvironment(name string) *Rejection {
	return notFound("environment %.80q does not exist", name).hint("`drover get environments` lists them")
}
