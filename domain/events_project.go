package domain

import "time"

// Facts of a project; stream project/NAME, the boundary of consistency.
type (
	// ProjectDefined begins a project or replaces its settings.
	ProjectDefined struct {
		Settings ProjectSettings `json:"settings"`
		Origin
	}
	// ProjectEnabled lets a project act again.
	ProjectEnabled struct {
		Origin
	}
	// ProjectDisabled stops all claims and automatic decisions of a project.
	ProjectDisabled struct {
		Origin
	}
	// ProjectDeleted ends a project and cancels its deployments; its name starts empty again.
	ProjectDeleted struct {
		Origin
	}
	// TriggerDefined begins a trigger or replaces its settings.
	TriggerDefined struct {
		Trigger  string          `json:"trigger"`
		Settings TriggerSettings `json:"settings"`
		Origin
	}
	// TriggerEnabled lets a trigger act again.
	TriggerEnabled struct {
		Trigger string `json:"trigger"`
		Origin
	}
	// TriggerDisabled stops a trigger; what it had made due waits.
	TriggerDisabled struct {
		Trigger string `json:"trigger"`
		Origin
	}
	// TriggerDeleted ends a trigger and closes its candidates.
	TriggerDeleted struct {
		Trigger string `json:"trigger"`
		Origin
	}
	// ReleaseCreated makes an immutable version with its own copy of steps and variables; stream
	// release/PROJECT/INCARNATION/VERSION. Until decision version 2 it was written to the project's stream.
	ReleaseCreated struct {
		// Incarnation is that of the project that the release belongs to, and of no later one by its name; zero in
		// the project's own stream.
		Incarnation ID                `json:"incarnation,omitzero"`
		Version     string            `json:"version"`
		Steps       []Step            `json:"steps,omitempty"`
		Variables   map[string]string `json:"variables,omitempty"`
		Secrets     []string          `json:"secrets,omitempty"`
		Origin
	}
	// DeploymentQueued begins a deployment; its event id is the deployment's id. The parts of
	// an environment-wide one are the machines in scope at its own position, less Exclude. A person's
	// ends every part of the project that nobody has claimed at its position on the machines it covers.
	DeploymentQueued struct {
		Kind        DeploymentKind `json:"kind"`
		Environment string         `json:"environment"`
		Release     string         `json:"release"`
		// Machines is empty for an environment-wide deployment; sorted by name.
		Machines []DeploymentMachine `json:"machines,omitempty"`
		// Exclude names machines that stay at what they have; environment-wide only.
		Exclude []string `json:"exclude,omitempty"`
		// MaxParallel, StopAfterFailures and Unavailable are as the project had them, or as a person asked.
		MaxParallel       int         `json:"maxParallel,omitempty"`
		StopAfterFailures int         `json:"stopAfterFailures,omitempty"`
		Unavailable       Unavailable `json:"unavailableMachines,omitempty"`
		Reason            string      `json:"reason,omitempty"` // rollback, retry; of an automatic one: the verdicts' reasons
		Origin                        // empty for an automatic one
	}
	// PartsReleased lets more parts of a deployment be claimed.
	PartsReleased struct {
		Deployment ID       `json:"deployment"`
		Machines   []string `json:"machines"`
	}
	// PartsWithdrawn ends parts that nobody had claimed at this position.
	PartsWithdrawn struct {
		Deployment ID         `json:"deployment"`
		Machines   []string   `json:"machines,omitempty"` // empty: every unclaimed part
		Reason     PartReason `json:"reason"`
	}
	// DeploymentCancelled is a person's wish to stop a deployment; claimed parts finish.
	DeploymentCancelled struct {
		Deployment ID `json:"deployment"`
		Origin
	}
	// DeploymentEnded says that all parts have ended, and how.
	DeploymentEnded struct {
		Deployment ID              `json:"deployment"`
		State      DeploymentState `json:"state"`
		Reason     string          `json:"reason,omitempty"`
	}
	// PinSet makes a release the wanted one of an environment, whatever succeeds there.
	PinSet struct {
		Environment string     `json:"environment"`
		Release     string     `json:"release"`
		Until       *time.Time `json:"until,omitempty"`
		Reason      string     `json:"reason,omitempty"`
		Origin
	}
	// PinLifted ends a pin.
	PinLifted struct {
		Environment string `json:"environment"`
		Reason      string `json:"reason"` // lifted, expired
		Origin
	}
	// HoldSet keeps automation from one machine.
	HoldSet struct {
		Machine  string `json:"machine"`
		Instance ID     `json:"instance"`          // zero: none had connected yet
		Release  string `json:"release,omitempty"` // empty: as it is
		// Unproven says that the log has lost the machine's own last success, so that nobody knows what it has.
		Unproven bool       `json:"unproven,omitempty"`
		Until    *time.Time `json:"until,omitempty"`
		Reason   string     `json:"reason,omitempty"`
		Origin
	}
	// HoldLifted ends a hold.
	HoldLifted struct {
		Machine string `json:"machine"`
		Reason  string `json:"reason"` // lifted, expired
		Origin
	}
)

// Facts of one machine's share of a deployment; stream part/DEPLOYMENT/MACHINE.
type (
	// PartClaimed asks to start a part. It counts only if the gate lets it through in the
	// fold at its own position; otherwise it is void.
	PartClaimed struct {
		Project  string `json:"project"`
		Session  ID     `json:"session"`
		Instance ID     `json:"instance"`
	}
	// PartEnded ends a part: by its agent (succeeded, failed) or by a server (skipped, lost).
	PartEnded struct {
		Project  string     `json:"project"`
		State    PartState  `json:"state"`
		Reason   PartReason `json:"reason,omitempty"`
		Step     string     `json:"step,omitempty"`
		ExitCode int        `json:"exitCode,omitempty"`
		Detail   string     `json:"detail,omitempty"`
		Session  ID         `json:"session"` // of the reporting agent; zero when a server wrote it
	}
)

// DeploymentMachine is one machine that a narrowed or automatic deployment names.
type DeploymentMachine struct {
	Name string `json:"name"`
	// Triggers are those that asked for it; automatic only.
	Triggers []string `json:"triggers,omitempty"`
	// Causes are the events that made it due, the newest ones if there were many.
	Causes []ID `json:"causes,omitempty"`
	// Reason is the verdict's; automatic only.
	Reason string `json:"reason,omitempty"`
}

// DeploymentKind says who named the machines of a deployment.
type DeploymentKind string

// The kinds of deployments.
const (
	EnvironmentWide DeploymentKind = "environment" // nobody: all in scope
	Narrowed        DeploymentKind = "narrowed"    // a person
	Automatic       DeploymentKind = "automatic"   // the engine
)

// DeploymentState is where a deployment stands; the log holds only the last three.
type DeploymentState string

// The states of a deployment.
const (
	DeploymentQueuedState DeploymentState = "queued"
	DeploymentRunning     DeploymentState = "running"
	DeploymentSucceeded   DeploymentState = "succeeded"
	DeploymentFailed      DeploymentState = "failed"
	DeploymentCancelledAs DeploymentState = "cancelled"
)

// PartState is where a part stands; queued, released and running are never written.
type PartState string

// The states of a part.
const (
	PartQueued    PartState = "queued"
	PartReleased  PartState = "released"
	PartRunning   PartState = "running"
	PartSucceeded PartState = "succeeded"
	PartFailed    PartState = "failed"
	PartSkipped   PartState = "skipped"
	PartCancelled PartState = "cancelled"
	PartLost      PartState = "lost"
)

// PartReason says why a part ended other than by success, or why a claim is void.
type PartReason string

// Unavailable says what a skipped or lost machine does to a deployment.
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
func (DeploymentQueued) event()    {}
func (PartsReleased) event()       {}
func (PartsWithdrawn) event()      {}
func (DeploymentCancelled) event() {}
func (DeploymentEnded) event()     {}
func (PinSet) event()              {}
func (PinLifted) event()           {}
func (HoldSet) event()             {}
func (HoldLifted) event()          {}
func (PartClaimed) event()         {}
func (PartEnded) event()           {}
