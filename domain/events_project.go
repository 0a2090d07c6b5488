package domain

import "time"

// Events of a project, in stream project/NAME. All decisions about a project are appended to this one stream, which
// keeps them consistent.
type (
	// ProjectDefined creates a project or replaces its settings.
	ProjectDefined struct {
		Settings ProjectSettings `json:"settings"`
		Origin
	}
	// ProjectEnabled allows claims and automatic decisions of a project again.
	ProjectEnabled struct {
		Origin
	}
	// ProjectDisabled stops all claims and automatic decisions of a project.
	ProjectDisabled struct {
		Origin
	}
	// ProjectDeleted deletes a project and cancels its deployments. A new project with the same name starts empty.
	ProjectDeleted struct {
		Origin
	}
	// TriggerDefined creates a trigger or replaces its settings.
	TriggerDefined struct {
		Trigger  string          `json:"trigger"`
		Settings TriggerSettings `json:"settings"`
		Origin
	}
	// TriggerEnabled enables a trigger.
	TriggerEnabled struct {
		Trigger string `json:"trigger"`
		Origin
	}
	// TriggerDisabled disables a trigger. Its candidates wait.
	TriggerDisabled struct {
		Trigger string `json:"trigger"`
		Origin
	}
	// TriggerDeleted deletes a trigger and closes its candidates.
	TriggerDeleted struct {
		Trigger string `json:"trigger"`
		Origin
	}
	// ReleaseCreated creates an immutable version with its own copy of steps and variables. It is in stream
	// release/PROJECT/INCARNATION/VERSION. Up to decision version 2 it was in the stream of the project.
	ReleaseCreated struct {
		// Incarnation identifies the project among successive projects with the same name. It is zero in the stream of a
		// project.
		Incarnation ID                `json:"incarnation,omitzero"`
		Version     string            `json:"version"`
		Steps       []Step            `json:"steps,omitempty"`
		Variables   map[string]string `json:"variables,omitempty"`
		Secrets     []string          `json:"secrets,omitempty"`
		// Environments and Roles override variables and secrets for one environment, or for machines with a role.
		Environments map[string]Values `json:"environments,omitempty"`
		Roles        map[string]Values `json:"roles,omitempty"`
		// Overridden are the variables that a person set for this release alone.
		Overridden map[string]string `json:"overridden,omitempty"`
		Notes      string            `json:"notes,omitempty"`  // what has changed, for people
		Commit     string            `json:"commit,omitempty"` // of the source
		URL        string            `json:"url,omitempty"`    // where to read more
		Origin
	}
	// ReleaseRetired makes a release undeployable. It is in the stream of the project, like the deployments that it
	// forbids.
	ReleaseRetired struct {
		Release string `json:"release"`
		Reason  string `json:"reason"`
		Origin
	}
	// ReleaseRestored makes a retired release deployable again.
	ReleaseRestored struct {
		Release string `json:"release"`
		Reason  string `json:"reason,omitempty"`
		Origin
	}
	// DeploymentQueued creates a deployment, whose id is the event id. An environment-wide deployment has a part for
	// each machine in scope at the position of the event, except the machines in Exclude. A deployment of a person ends
	// all unclaimed parts of the project on the same machines.
	DeploymentQueued struct {
		Kind        DeploymentKind `json:"kind"`
		Environment string         `json:"environment"`
		Release     string         `json:"release"`
		// Machines is sorted by name; empty for an environment-wide deployment.
		Machines []DeploymentMachine `json:"machines,omitempty"`
		// Exclude lists machines that are left out of an environment-wide deployment.
		Exclude []string `json:"exclude,omitempty"`
		// Roles selects the machines of a narrowed deployment that lists none: those in scope that have one of these roles at
		// the position of the event.
		Roles []string `json:"roles,omitempty"`
		// OnlyBehind leaves out the machines of an environment-wide deployment that have the release already.
		OnlyBehind bool `json:"onlyBehind,omitempty"`
		// RetryOf is the deployment that a narrowed one repairs. A repair leaves no holds itself: where it succeeds, the
		// machine is as if it had succeeded in the deployment that is repaired.
		RetryOf ID `json:"retryOf,omitzero"`
		// MaxParallel, StopAfterFailures, Unavailable and HealthyFor are the settings of the project, or the overrides of a
		// person.
		MaxParallel       Amount      `json:"maxParallel,omitzero"`
		StopAfterFailures int         `json:"stopAfterFailures,omitempty"`
		Unavailable       Unavailable `json:"unavailableMachines,omitempty"`
		// MaxFailures is how many parts may fail. If it is set, the deployment succeeds with up to that many failures. Nil:
		// any failure fails the deployment.
		MaxFailures *Amount `json:"maxFailures,omitempty"`
		// HealthyFor is how long each machine must stay healthy before its part succeeds; 0 means no verification.
		HealthyFor Duration `json:"healthyFor,omitempty"`
		// RoleSlots is how many parts on machines with a role may run at once, beside MaxParallel.
		RoleSlots map[string]int `json:"roleSlots,omitempty"`
		// Waves are the waves in which the deployment proceeds; the last one has all machines. WavePause is the time from
		// the end of the last part of a wave to the next wave.
		Waves     Waves    `json:"waves,omitempty"`
		WavePause Duration `json:"wavePause,omitempty"`
		Reason    string   `json:"reason,omitempty"` // rollback, retry, or the reasons of the verdicts
		Origin             // empty for an automatic deployment
	}
	// PartsReleased allows machines to claim their parts of a deployment.
	PartsReleased struct {
		Deployment ID       `json:"deployment"`
		Machines   []string `json:"machines"`
		// Wave is the wave that starts with these parts, from 2; 0 if the current wave continues, and without waves.
		Wave int `json:"wave,omitempty"`
	}
	// PartsWithdrawn ends parts that are unclaimed at the position of the event.
	PartsWithdrawn struct {
		Deployment ID         `json:"deployment"`
		Machines   []string   `json:"machines,omitempty"` // empty: every unclaimed part
		Reason     PartReason `json:"reason"`
	}
	// DeploymentCancelled cancels a deployment for a person. Claimed parts finish, unless Kill is set.
	DeploymentCancelled struct {
		Deployment ID `json:"deployment"`
		// Kill asks the agents to stop the parts that are claimed at the position of the event.
		Kill bool `json:"kill,omitempty"`
		// Machine limits Kill to the part of one machine; empty: the parts of all machines.
		Machine string `json:"machine,omitempty"`
		Reason  string `json:"reason,omitempty"`
		Origin
	}
	// DeploymentEnded records the result of a deployment after all its parts have ended.
	DeploymentEnded struct {
		Deployment ID              `json:"deployment"`
		State      DeploymentState `json:"state"`
		Reason     string          `json:"reason,omitempty"`
		// SupersededBy is the deployment that replaced this one. Older drovers did not record it.
		SupersededBy ID `json:"supersededBy,omitzero"`
	}
	// DeploymentAccepted makes the release of an environment-wide deployment that did not succeed the wanted one.
	DeploymentAccepted struct {
		Deployment ID     `json:"deployment"`
		Reason     string `json:"reason,omitempty"`
		Origin
	}
	// PinSet makes a release the wanted release of an environment, regardless of which deployments succeed there.
	PinSet struct {
		Environment string     `json:"environment"`
		Release     string     `json:"release"`
		Until       *time.Time `json:"until,omitempty"`
		Reason      string     `json:"reason,omitempty"`
		Origin
	}
	// PinLifted removes a pin.
	PinLifted struct {
		Environment string `json:"environment"`
		Reason      string `json:"reason"` // lifted, expired
		Origin
	}
	// HoldSet keeps automation off one machine.
	HoldSet struct {
		Machine  string `json:"machine"`
		Instance ID     `json:"instance"`          // zero: no agent had connected yet
		Release  string `json:"release,omitempty"` // empty: its current state, with no particular release
		// Unproven means that the log has lost the machine's last success, so that its actual release is unknown.
		Unproven bool       `json:"unproven,omitempty"`
		Until    *time.Time `json:"until,omitempty"`
		Reason   string     `json:"reason,omitempty"`
		Origin
	}
	// HoldLifted removes the holds of a machine, or one of them.
	HoldLifted struct {
		Machine string   `json:"machine"`
		Kind    HoldKind `json:"kind,omitempty"` // empty: all that a person can lift, or the one that expired
		Reason  string   `json:"reason"`         // lifted, expired
		Origin
	}
)

// Events of a part, in stream part/DEPLOYMENT/MACHINE.
type (
	// PartClaimed claims a part for a session. The fold applies the claim check at the position of the event. If the
	// check fails, the claim is void.
	PartClaimed struct {
		Project  string `json:"project"`
		Session  ID     `json:"session"`
		Instance ID     `json:"instance"`
	}
	// PartEnded ends a part. Agents report succeeded and failed; servers decide skipped and lost. If the deployment has
	// HealthyFor, a success does not end the part: the part is verified next.
	PartEnded struct {
		Project  string     `json:"project"`
		State    PartState  `json:"state"`
		Reason   PartReason `json:"reason,omitempty"`
		Step     string     `json:"step,omitempty"`
		ExitCode int        `json:"exitCode,omitempty"`
		Detail   string     `json:"detail,omitempty"`
		Session  ID         `json:"session"` // of the reporting agent; zero if a server decided
	}
	// PartVerified ends the verification of a part whose agent reported a success. A success is void if the
	// machine became unhealthy, went offline or lost its state before the event.
	PartVerified struct {
		Project string     `json:"project"`
		State   PartState  `json:"state"` // succeeded, failed or lost
		Reason  PartReason `json:"reason,omitempty"`
		// Steady is the event since which the machine has been healthy, as the server that decided a success saw it. The
		// success is void if the machine was not healthy in between. Zero: an older drover decided.
		Steady ID `json:"steady,omitzero"`
	}
)

// DeploymentMachine is one machine of a narrowed or automatic deployment.
type DeploymentMachine struct {
	Name string `json:"name"`
	// Triggers lists the triggers that selected the machine; automatic deployments only.
	Triggers []string `json:"triggers,omitempty"`
	// Causes lists the events that made the machine a candidate, or the newest of them if there were many.
	Causes []ID `json:"causes,omitempty"`
	// Reason is the reason of the verdict; automatic deployments only.
	Reason string `json:"reason,omitempty"`
}

// DeploymentKind specifies how the machines of a deployment were chosen.
type DeploymentKind string

// The kinds of deployments.
const (
	EnvironmentWide DeploymentKind = "environment" // all machines in scope
	Narrowed        DeploymentKind = "narrowed"    // listed by a person
	Automatic       DeploymentKind = "automatic"   // chosen by the engine
)

// DeploymentState is the state of a deployment. Only the terminal states succeeded, failed and cancelled are in the
// log.
type DeploymentState string

// The states of a deployment.
const (
	DeploymentQueuedState    DeploymentState = "queued"
	DeploymentRunning        DeploymentState = "running"
	DeploymentSucceeded      DeploymentState = "succeeded"
	DeploymentFailed         DeploymentState = "failed"
	DeploymentCancelledState DeploymentState = "cancelled"
)

// PartState is the state of a part. The states queued, released, running and verifying are never in the log.
type PartState string

// The states of a part.
const (
	PartQueued    PartState = "queued"
	PartReleased  PartState = "released"
	PartRunning   PartState = "running"
	PartVerifying PartState = "verifying" // its agent reported a success; the machine must stay healthy
	PartSucceeded PartState = "succeeded"
	PartFailed    PartState = "failed"
	PartSkipped   PartState = "skipped"
	PartCancelled PartState = "cancelled"
	PartLost      PartState = "lost"
)

// Ended reports whether a part in this state has ended.
func (s PartState) Ended() bool {
	switch s {
	case PartQueued, PartReleased, PartRunning, PartVerifying:
		return false
	}
	return true
}

// PartReason is the reason why a part ended without success, or why a claim is void.
type PartReason string

// Unavailable specifies whether a skipped or lost machine makes a deployment fail.
type Unavailable string

// The values of Unavailable.
const (
	SkipUnavailable Unavailable = "skip"
	FailUnavailable Unavailable = "fail"
)

func (ProjectDefined) event()      {}
func (ProjectEnabled) event()      {}
func (ProjectDisabled) event()     {}
func (ProjectDeleted) event()      {}
func (TriggerDefined) event()      {}
func (TriggerEnabled) event()      {}
func (TriggerDisabled) event()     {}
func (TriggerDeleted) event()      {}
func (ReleaseCreated) event()      {}
func (ReleaseRetired) event()      {}
func (ReleaseRestored) event()     {}
func (DeploymentQueued) event()    {}
func (PartsReleased) event()       {}
func (PartsWithdrawn) event()      {}
func (DeploymentCancelled) event() {}
func (DeploymentAccepted) event()  {}
func (DeploymentEnded) event()     {}
func (PinSet) event()              {}
func (PinLifted) event()           {}
func (HoldSet) event()             {}
func (HoldLifted) event()          {}
func (PartClaimed) event()         {}
func (PartEnded) event()           {}
func (PartVerified) event()        {}
