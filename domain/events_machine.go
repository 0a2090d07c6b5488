package domain

import "time"

// Event is something that happened. The set of event types is closed: codec.go lists each type with its name and
// version in the log.
type Event interface{ event() }

// Events of a machine, in stream machine/NAME.
type (
	// MachineAdded creates a machine.
	MachineAdded struct {
		Environment string   `json:"environment"`
		Roles       []string `json:"roles,omitempty"`  // sorted
		Policy      string   `json:"policy,omitempty"` // empty: default
		// PolicyToken is the id of the join token that gives the policy; empty: no token does.
		PolicyToken string `json:"policyToken,omitempty"`
		// Ephemeral means that the machine's agent may delete it.
		Ephemeral bool `json:"ephemeral,omitempty"`
		// Keeps means that the agent of the former machine of this name deleted that machine. What a person set for it
		// stays: whether it is disabled, and its manual holds.
		Keeps  bool `json:"keeps,omitempty"`
		Origin      // "agent" for a join
	}
	// MachineChanged replaces a machine's settings.
	MachineChanged struct {
		Environment string   `json:"environment"`
		Roles       []string `json:"roles,omitempty"`
		Policy      string   `json:"policy,omitempty"`
		Ephemeral   bool     `json:"ephemeral,omitempty"`
		Origin
	}
	// MachineEnabled allows deployments to a machine again.
	MachineEnabled struct {
		Origin
	}
	// MachineDisabled prevents deployments to a machine.
	MachineDisabled struct {
		Origin
	}
	// MachineCameOnline starts a session of a machine that was not online.
	MachineCameOnline struct {
		Server   ID `json:"server"`
		Session  ID `json:"session"`
		Instance ID `json:"instance"`
		// Ignored are the flags of the agent that differ from the machine in the log.
		Ignored AgentFlags `json:"ignored,omitzero"`
		// CannotStop means that the version of the agent is too old to stop a running part.
		CannotStop bool `json:"cannotStop,omitempty"`
	}
	// AgentConnected means that the agent of an online machine moved to this server, or that a new session replaced the
	// old one. It never causes a deployment.
	AgentConnected struct {
		Server   ID `json:"server"`
		Session  ID `json:"session"`
		Instance ID `json:"instance"`
		// Ignored are the flags of the agent that differ from the machine in the log.
		Ignored AgentFlags `json:"ignored,omitzero"`
		// CannotStop means that the version of the agent is too old to stop a running part.
		CannotStop bool `json:"cannotStop,omitempty"`
	}
	// MachineWentOffline ends a session. It has no effect if a later event started another session.
	MachineWentOffline struct {
		Connect  ID     `json:"connect"` // the MachineCameOnline or AgentConnected that started the session
		Session  ID     `json:"session"`
		Instance ID     `json:"instance"`
		Reason   string `json:"reason"` // silent, said-goodbye, reported, server-gone
	}
	// MachineHealthChanged records a new result of the policy's health check.
	MachineHealthChanged struct {
		Status  Health `json:"status"`
		Detail  string `json:"detail,omitempty"`
		Session ID     `json:"session"`
	}
	// MachineConditionsChanged records what the machine's agent reports about its own machine, such as a full disk. While a
	// condition that blocks is reported, the agent starts no parts. Another instance starts without conditions.
	MachineConditionsChanged struct {
		Conditions []Condition `json:"conditions,omitempty"` // all of them; none: nothing is wrong any more
		Session    ID          `json:"session"`
	}
	// MachineDeleted deletes a machine. A new machine with the same name starts empty, see Keeps of MachineAdded for the
	// exception. It also ends what is retained of a machine that was deleted earlier.
	MachineDeleted struct {
		Reason string `json:"reason,omitempty"` // clean-up, ephemeral, or a reason that the caller gave
		Origin
	}
	// MachineCleanUpUndone returns a machine that a clean-up or its own agent deleted, with the state that it had: its agent
	// has returned as the same instance.
	MachineCleanUpUndone struct {
		Instance ID     `json:"instance"`
		Reason   string `json:"reason,omitempty"` // of the deletion; empty: clean-up
	}
	// MachineCleanUpHeld means that a machine was due for clean-up but was not deleted, because too many machines of
	// its environment are absent.
	MachineCleanUpHeld struct {
		// Absent counts the machines of the environment that are unknown, or absent for as long as this policy requires.
		Absent   int `json:"absent"`
		Machines int `json:"machines"` // machines of the environment
	}
	// MachineReimageAllowed lets another instance take the name of a machine while the machine is offline. The first instance
	// that comes online under the name uses the permission up.
	MachineReimageAllowed struct {
		Until time.Time `json:"until"` // by the clock of the server that the instance connects to
		Origin
	}
	// MachineLostState means that the agent of a machine does not remember successes that the log recorded: its disk was
	// restored from a snapshot, or its data was lost. The machine is dirty for these projects. It has no effect on a
	// project with a later success.
	MachineLostState struct {
		Session ID            `json:"session"` // of the agent that reported it
		Lost    []LostSuccess `json:"lost"`    // sorted by project
	}
	// MachineMemoryAccepted accepts that the log does not have what the machine's agent remembers. It takes effect when the
	// agent connects again: drover then holds the machine for each project whose last success is missing.
	MachineMemoryAccepted struct {
		Origin
	}
	// MachineMemoryCleared means that the agent has connected after MachineMemoryAccepted, and that the machine is held
	// where that was necessary.
	MachineMemoryCleared struct {
		Session ID `json:"session"` // of the agent
		// Accepted are the missing ids, of events and logs, that the agent remembers. They raise no doubt again.
		Accepted []ID `json:"accepted,omitempty"`
	}
)

// AgentFlags are flags of an agent. They count when its machine first joins. Later the log takes precedence.
type AgentFlags struct {
	Environment string   `json:"environment,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	Ephemeral   bool     `json:"ephemeral,omitempty"`
	Policy      string   `json:"policy,omitempty"`
}

// LostSuccess is the last success of a project on a machine, which the machine's agent does not remember.
type LostSuccess struct {
	Project    string `json:"project"`
	Deployment ID     `json:"deployment"`
	Release    string `json:"release,omitempty"` // of that deployment, according to the log
	// Proven is the release of the last success that the agent remembers; empty if it remembers none.
	Proven string `json:"proven,omitempty"`
}

// CleanUpReason is the reason of MachineDeleted when a server deletes a machine because of its absence.
const CleanUpReason = "clean-up"

// EphemeralReason is the reason of MachineDeleted when the machine's own agent asks for it.
const EphemeralReason = "ephemeral"

// ByItsAgent reports whether the machine's own agent asked for the deletion.
func (e MachineDeleted) ByItsAgent() bool { return e.Reason == EphemeralReason && e.By == "agent" }

// Health is the result of a machine's health check.
type Health string

// The values of Health.
const (
	HealthUnknown Health = "unknown"
	Healthy       Health = "healthy"
	Warning       Health = "warning"
	Unhealthy     Health = "unhealthy"
)

func (MachineAdded) event()          {}
func (MachineChanged) event()        {}
func (MachineEnabled) event()        {}
func (MachineDisabled) event()       {}
func (MachineCameOnline) event()     {}
func (AgentConnected) event()        {}
func (MachineWentOffline) event()    {}
func (MachineHealthChanged) event()  {}
func (MachineDeleted) event()        {}
func (MachineCleanUpHeld) event()    {}
func (MachineLostState) event()      {}
func (MachineCleanUpUndone) event()  {}
func (MachineReimageAllowed) event() {}
func (MachineMemoryAccepted) event() {}
func (MachineMemoryCleared) event()  {}

func (MachineConditionsChanged) event() {}
