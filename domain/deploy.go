package domain

import (
	"slices"
	"strings"
	"time"
)

// Hold keeps automation off one machine.
type Hold struct {
	Kind HoldKind
	// Instance is the instance that was held. Another instance of the machine is deployed to Release.
	Instance ID
	// Release is the release that the machine stays at; empty: its current state, with no particular release.
	Release string
	Until   *time.Time
	Reason  string
	// Deployment is the deployment that set the hold; zero if a person set it with `drover hold`.
	Deployment ID
	// Origin is the person who set the hold; empty if a deployment set it.
	Origin
}

// Manual reports whether no deployment left the hold: a person set it with `drover hold`, or drover set it after a
// restore.
func (h *Hold) Manual() bool { return h.Deployment.IsZero() }

// HoldKind is why a machine is held. A machine has at most one hold of each kind for a project, and each has its own
// end.
type HoldKind string

// The kinds of holds, the strongest first. Of the kinds that deployments leave, the newest hold is the strongest.
const (
	// ManualHold was set with `drover hold`.
	ManualHold HoldKind = "manual"
	// UnprovenHold was set after a restore: the log has lost the machine's last success.
	UnprovenHold HoldKind = "unproven"
	// NarrowedHold was left by a successful deployment that named the machine.
	NarrowedHold HoldKind = "narrowed"
	// FailedRolloutHold was left by a person's deployment that the machine had started and that did not succeed.
	FailedRolloutHold HoldKind = "failed-rollout"
	// ExcludedHold was left by a deployment that excluded the machine.
	ExcludedHold HoldKind = "excluded"
	// CancelledHold was left by an automatic deployment that a person cancelled.
	CancelledHold HoldKind = "cancelled"
)

// Kind returns the kind of the hold that the event sets.
func (e HoldSet) Kind() HoldKind {
	if e.Unproven {
		return UnprovenHold
	}
	return ManualHold
}

// HoldKinds lists the kinds of holds.
var HoldKinds = []HoldKind{ManualHold, UnprovenHold, NarrowedHold, FailedRolloutHold, ExcludedHold, CancelledHold}

// Commands for deployments, pins and holds.
type (
	// Deploy queues a deployment for a person. It is narrowed if it lists machines or roles, and environment-wide
	// otherwise.
	Deploy struct {
		Project     string   `json:"project"`
		Release     string   `json:"release"`
		Environment string   `json:"environment"`
		Machines    []string `json:"machines"`
		Exclude     []string `json:"exclude"`
		// Roles selects the machines with one of these roles, and OnlyBehind those without the release.
		Roles      []string `json:"roles,omitempty"`
		OnlyBehind bool     `json:"onlyBehind,omitempty"`
		// MaxParallel, StopAfterFailures, MaxFailures and HealthyFor override the settings of the project; nil means the
		// project's settings. One of StopAfterFailures and MaxFailures overrides both.
		MaxParallel       *Amount   `json:"maxParallel"`
		StopAfterFailures *int      `json:"stopAfterFailures"`
		MaxFailures       *Amount   `json:"maxFailures,omitempty"`
		HealthyFor        *Duration `json:"healthyFor,omitempty"`
		// Waves are the waves in which the deployment proceeds, and WavePause the time between two of them. The last wave
		// has all remaining machines, whether or not it is listed.
		Waves     Waves    `json:"waves,omitempty"`
		WavePause Duration `json:"wavePause,omitempty"`
		Reason    string   `json:"reason"`
		Origin
	}
	// Rollback queues an environment-wide deployment of the previous release, or of another one.
	Rollback struct {
		Project     string `json:"project"`
		Environment string `json:"environment"`
		// Release is any release of the project; empty: the previous one.
		Release string `json:"release,omitempty"`
		// MaxParallel overrides the setting of the project; nil means the project's setting.
		MaxParallel *Amount `json:"maxParallel,omitempty"`
		Reason      string  `json:"reason,omitempty"`
		Origin
	}
	// Retry queues a narrowed deployment of the release that the machine's last attempt did not finish, or of the wanted
	// release if no attempt is unfinished or its release is retired.
	Retry struct {
		Project string `json:"project"`
		Machine string `json:"machine"`
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
	// SetHold holds a machine at its actual release.
	SetHold struct {
		Project string `json:"project"`
		Machine string `json:"machine"`
		// Unproven means that the log lacks what the machine has installed last, so that its actual release is unknown.
		Unproven bool       `json:"unproven"`
		Until    *time.Time `json:"until"`
		Reason   string     `json:"reason"`
		Origin
	}
	// LiftHold lifts a hold of a person or of a deployment.
	LiftHold struct {
		Project string   `json:"project"`
		Machine string   `json:"machine"`
		Kind    HoldKind `json:"kind"` // empty: all holds
		Origin
	}
)

// Stream returns the stream of the project.
func (c Deploy) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c Rollback) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c Retry) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c SetPin) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c LiftPin) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c SetHold) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c LiftHold) Stream(World) string { return ProjectStream(c.Project) }

// Decide queues the deployment. The fold decides which parts it replaces, at the position of the event.
func (c Deploy) Decide(w World) ([]Event, *Rejection) {
	p, r := c.check(w)
	if r != nil {
		return nil, r
	}
	settings := p.Settings.In(c.Environment)
	q := DeploymentQueued{Kind: EnvironmentWide, Environment: c.Environment, Release: c.Release,
		Exclude: SortedUnique(c.Exclude), MaxParallel: settings.MaxParallel,
		StopAfterFailures: settings.StopAfterFailures, MaxFailures: settings.MaxFailures,
		Unavailable: settings.Unavailable, HealthyFor: settings.HealthyFor, Reason: c.Reason, Origin: c.Origin}
	if len(settings.Overrides.Roles) > 0 {
		q.RoleSlots = settings.RoleSlots(c.Environment, w.MachinesIn(c.Environment))
	}
	q.Waves, q.WavePause = c.Waves.complete(), c.WavePause
	if c.MaxParallel != nil {
		q.MaxParallel = *c.MaxParallel
	}
	c.limitFailures(&q)
	if c.HealthyFor != nil {
		q.HealthyFor = *c.HealthyFor
	}
	if q.OnlyBehind = c.OnlyBehind; len(c.Roles) > 0 {
		q.Kind, q.Roles = Narrowed, SortedUnique(c.Roles)
	}
	for _, name := range SortedUnique(c.Machines) {
		q.Kind = Narrowed
		q.Machines = append(q.Machines, DeploymentMachine{Name: name})
	}
	return []Event{q}, nil
}

// limitFailures sets the limit on failures. A person who names machines wants to know whether one of them failed, so
// only the command itself sets maxFailures then, and not the project.
func (c Deploy) limitFailures(q *DeploymentQueued) {
	switch {
	case c.MaxFailures != nil:
		q.MaxFailures, q.StopAfterFailures = c.MaxFailures, 0
	case c.StopAfterFailures != nil:
		q.MaxFailures, q.StopAfterFailures = nil, *c.StopAfterFailures
	case len(c.Machines) > 0:
		q.MaxFailures = nil
	}
}

func (c Deploy) check(w World) (*Project, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, projectNotFound(c.Project)
	}
	if p.Releases[c.Release] == nil {
		return nil, notFound("project %s has no release %.140q", c.Project, c.Release).
			hint("create it with `drover release create %s VERSION`", c.Project)
	}
	if r := p.checkNotRetired(c.Release); r != nil {
		return nil, r
	}
	if !w.Environment(c.Environment) {
		return nil, environmentNotFound(c.Environment)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	if pin := p.PinIn(c.Environment); pin != nil && pin.Release != c.Release {
		return nil, conflict("project %s is pinned to %s in %s", c.Project, pin.Release, c.Environment).
			hint("run `drover unpin %s --in %s` first", c.Project, c.Environment)
	}
	if r := c.checkMachines(w, p); r != nil {
		return nil, r
	}
	return p, c.checkRoles(w, p)
}

// checkRoles rejects a deployment that names a machine of which two roles disagree on a variable of the release. An
// environment-wide deployment skips such a machine: an agent that chose its roles must not stop the others (law 30).
func (c Deploy) checkRoles(w World, p *Project) *Rejection {
	release := p.Releases[c.Release]
	for _, name := range c.Machines {
		if d := release.Disagreement(c.Environment, w.Machine(name).Roles); d != nil {
			return conflict("machine %s cannot get release %s: %s", name, c.Release, d).
				hint("set %s under overrides.environments.%s, or remove one of the roles", d.Name, c.Environment)
		}
	}
	return nil
}

func (c Deploy) checkMachines(w World, p *Project) *Rejection {
	switch {
	case len(c.Machines) > 0 && len(c.Exclude) > 0:
		return invalid("machines and exclude are both set").hint("use either --machine or --exclude")
	case c.OnlyBehind && len(c.Machines) > 0:
		return invalid("machines and onlyBehind are both set").hint("use either --machine or --only-behind")
	case len(c.Roles) > 0 && (len(c.Machines) > 0 || len(c.Exclude) > 0 || c.OnlyBehind):
		return invalid("roles cannot be combined with machines, exclude or onlyBehind").
			hint("use --role without --machine, --exclude and --only-behind")
	case len(c.Roles) > MaxRoles:
		return checkRoles(c.Roles)
	case len(c.Roles) > 0 && !w.HasMachines(c.Project, c.Environment, c.Roles):
		return notFound("project %s has no machine in %s with role %s", c.Project, c.Environment,
			JoinNames(SortedUnique(c.Roles))).
			hint("`drover get machines --environment %s` shows the roles", c.Environment)
	case len(c.Machines) > MaxNamedMachines || len(c.Exclude) > MaxNamedMachines:
		return invalid("more than %d machines are listed", MaxNamedMachines).
			hint("deploy to the whole environment, or split the deployment")
	case c.StopAfterFailures != nil && *c.StopAfterFailures < 0:
		return invalid("invalid stopAfterFailures %d", *c.StopAfterFailures).hint("use 1 or more, or 0 for never")
	case c.StopAfterFailures != nil && c.MaxFailures != nil:
		return invalid("stopAfterFailures and maxFailures are both set").hint("use one of them")
	case c.HealthyFor != nil && (*c.HealthyFor < 0 || *c.HealthyFor > MaxAnyDuration):
		return invalidHealthyFor(*c.HealthyFor)
	}
	if c.MaxParallel != nil {
		if r := c.MaxParallel.checkSlots(); r != nil {
			return r
		}
	}
	if r := c.MaxFailures.checkFailures(); r != nil {
		return r
	}
	if r := c.Waves.check(c.WavePause); r != nil {
		return r
	}
	for _, name := range slices.Concat(c.Machines, c.Exclude) {
		m := w.Machine(name)
		switch {
		case m == nil:
			return machineNotFound(name)
		case m.Environment != c.Environment:
			return conflict("machine %s is in environment %s, not in %s", name, m.Environment, c.Environment).
				reveals("", m.Environment, machineNotFound(name))
		case !InScope(m, c.Environment, p.Settings.Roles, nil) && len(c.Machines) > 0:
			return conflict("machine %s has none of the roles of project %s: %s", name, c.Project,
				JoinNames(p.Settings.Roles))
		}
	}
	return nil
}

// Decide queues a deployment of the previous release.
func (c Rollback) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, projectNotFound(c.Project)
	}
	if !w.Environment(c.Environment) {
		return nil, environmentNotFound(c.Environment)
	}
	if c.Release != "" && p.Releases[c.Release] == nil {
		return nil, noRelease(c.Project, c.Release)
	}
	release, reason := c.Release, "rollback"
	if release == "" {
		release = p.RollbackTo(c.Environment)
	}
	if release == "" {
		if retired := p.Environments[c.Environment].rollbackTo(nil); retired != "" {
			return nil, p.checkNotRetired(retired)
		}
		return nil, conflict("project %s has no release to roll back to in %s", c.Project, c.Environment).
			hint("a rollback needs an earlier environment-wide deployment that succeeded")
	}
	if c.Reason != "" {
		reason += ": " + c.Reason
	}
	return Deploy{Project: c.Project, Release: release, Environment: c.Environment, MaxParallel: c.MaxParallel,
		Reason: reason, Origin: c.Origin}.Decide(w)
}

// Release returns the release that the retry deploys. It is empty without one. The project must exist.
func (c Retry) Release(w World) string {
	release := w.Unfinished(c.Project, c.Machine)
	if _, retired := w.Project(c.Project).Retired[release]; release == "" || retired {
		return w.Wanted(c.Project, c.Machine)
	}
	return release
}

// Decide queues a narrowed deployment to the machine.
func (c Retry) Decide(w World) ([]Event, *Rejection) {
	if w.Project(c.Project) == nil {
		return nil, projectNotFound(c.Project)
	}
	m := w.Machine(c.Machine)
	if m == nil {
		return nil, machineNotFound(c.Machine)
	}
	release := c.Release(w)
	if release == "" {
		return nil, conflict("project %s has no release to retry on machine %s", c.Project, c.Machine).
			hint("deploy a release to %s first", m.Environment)
	}
	return Deploy{Project: c.Project, Release: release, Environment: m.Environment, Machines: []string{c.Machine},
		Reason: "retry", Origin: c.Origin}.Decide(w)
}

// noRelease rejects a release that does not exist but should: the command concerns one that was deployed before.
func noRelease(project, release string) *Rejection {
	return notFound("project %s has no release %.140q", project, release).
		hint("`drover get releases --project %s` lists them", project)
}

// Decide sets the pin, or changes it.
func (c SetPin) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, projectNotFound(c.Project)
	}
	if p.Releases[c.Release] == nil {
		return nil, noRelease(c.Project, c.Release)
	}
	if r := p.checkNotRetired(c.Release); r != nil {
		return nil, r
	}
	if !w.Environment(c.Environment) {
		return nil, environmentNotFound(c.Environment)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	pin := PinSet{Environment: c.Environment, Release: c.Release, Until: c.Until, Reason: c.Reason, Origin: c.Origin}
	if old := p.PinIn(c.Environment); old != nil && old.Release == pin.Release && old.Reason == pin.Reason &&
		sameTime(old.Until, pin.Until) {
		return nil, nil
	}
	return []Event{pin}, nil
}

// Decide lifts the pin.
func (c LiftPin) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, projectNotFound(c.Project)
	}
	if p.PinIn(c.Environment) == nil { // the environment may be deleted: its pins remain
		if !w.Environment(c.Environment) {
			return nil, environmentNotFound(c.Environment)
		}
		return nil, notFound("project %s is not pinned in %.80q", c.Project, c.Environment)
	}
	return []Event{PinLifted{Environment: c.Environment, Reason: Lifted, Origin: c.Origin}}, nil
}

// Reasons for the end of a pin or a hold.
const (
	Lifted  = "lifted"
	Expired = "expired"
)

// Decide holds the machine at its actual release.
func (c SetHold) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Machine)
	if w.Project(c.Project) == nil {
		return nil, projectNotFound(c.Project)
	}
	if m == nil {
		return nil, machineNotFound(c.Machine)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	hold := HoldSet{Machine: c.Machine, Instance: m.Instance, Release: w.Actual(c.Project, c.Machine),
		Until: c.Until, Reason: c.Reason, Origin: c.Origin}
	if c.Unproven {
		hold.Release, hold.Unproven = "", true
	}
	h := w.Hold(c.Project, c.Machine, hold.Kind())
	if c.Unproven && h != nil && h.Instance == hold.Instance && w.Actual(c.Project, c.Machine) == "" {
		return nil, nil // one agent must not fill the stream of the project with evidence
	}
	same := h != nil && h.Instance == hold.Instance && h.Release == hold.Release && h.Reason == hold.Reason &&
		sameTime(h.Until, hold.Until)
	if same && !c.Unproven && !w.HasUnclaimed(c.Project, c.Machine) {
		return nil, nil // a repeated hold only has an effect on parts that were queued since the first one
	}
	return []Event{hold}, nil
}

// Decide lifts the hold.
func (c LiftHold) Decide(w World) ([]Event, *Rejection) {
	if w.Project(c.Project) == nil {
		return nil, projectNotFound(c.Project)
	}
	if c.Kind != "" && !slices.Contains(HoldKinds, c.Kind) {
		return nil, invalid("unknown kind of hold %.40q", c.Kind).hint("use one of %s", joinKinds(HoldKinds))
	}
	if w.Hold(c.Project, c.Machine, c.Kind) == nil {
		return nil, c.notHeld(w)
	}
	return []Event{HoldLifted{Machine: c.Machine, Kind: c.Kind, Reason: Lifted, Origin: c.Origin}}, nil
}

func joinKinds(kinds []HoldKind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

func (c LiftHold) notHeld(w World) *Rejection {
	switch {
	case w.Machine(c.Machine) == nil:
		return machineNotFound(c.Machine)
	case c.Kind != "" && w.Hold(c.Project, c.Machine, "") != nil:
		return notFound("machine %.80q has no %s hold for project %s", c.Machine, c.Kind, c.Project).
			hint("`drover why %s` shows its holds", c.Machine)
	}
	return notFound("machine %.80q is not held for project %s", c.Machine, c.Project)
}

func deploymentNotFound(id ID) *Rejection {
	return notFound("deployment %s does not exist", id).hint("`drover get deployments` lists them")
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func environmentNotFound(name string) *Rejection {
	return notFound("environment %.80q does not exist", name).hint("`drover get environments` lists them")
}
