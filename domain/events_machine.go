package domain

// Event is a past-tense fact. The set is closed: each type is in the codec's table with a
// hand-written name and version.
type Event interface{ event() }

// Facts of a machine; stream machine/NAME.
type (
	// MachineAdded begins a machine.
	MachineAdded struct {
		Environment string   `json:"environment"`
		Roles       []string `json:"roles,omitempty"`  // sorted
		Policy      string   `json:"policy,omitempty"` // empty: default
		Origin               // who asked, "agent" for a join
	}
	// MachineChanged replaces a machine's settings.
	MachineChanged struct {
		Environment string   `json:"environment"`
		Roles       []string `json:"roles,omitempty"`
		Policy      string   `json:"policy,omitempty"`
		Origin
	}
	// MachineEnabled lets a machine be deployed to again.
	MachineEnabled struct {
		Origin
	}
	// MachineDisabled keeps a machine from being deployed to.
	MachineDisabled struct {
		Origin
	}
	// MachineCameOnline says that a session began on a machine that was not online.
	MachineCameOnline struct {
		Server   ID `json:"server"`
		Session  ID `json:"session"`
		Instance ID `json:"instance"`
	}
	// AgentConnected says that an online machine's agent is now held by this server, or that
	// a new session took the place of the old. It is no cause of anything.
	AgentConnected struct {
		Server   ID `json:"server"`
		Session  ID `json:"session"`
		Instance ID `json:"instance"`
	}
	// MachineWentOffline ends a session. It is void if a newer connect event exists.
	MachineWentOffline struct {
		Connect  ID     `json:"connect"` // the MachineCameOnline or AgentConnected that it ends
		Session  ID     `json:"session"`
		Instance ID     `json:"instance"`
		Reason   string `json:"reason"` // silent, said-goodbye, reported, server-gone
	}
	// MachineHealthChanged is a change in the result of the policy's health check.
	MachineHealthChanged struct {
		Status  Health `json:"status"`
		Detail  string `json:"detail,omitempty"`
		Session ID     `json:"session"`
	}
	// MachineDeleted ends a machine; its name added again starts empty.
	MachineDeleted struct {
		Reason string `json:"reason,omitempty"` // clean-up, ephemeral, or a person's words
		Origin
	}
	// MachineCleanUpHeld says that a machine's clean-up was due and was not done,
	// because too much of its environment is absent at once.
	MachineCleanUpHeld struct {
		Absent   int `json:"absent"`   // machines of the environment absent beyond their policy
		Machines int `json:"machines"` // machines of the environment
	}
)

// Health is what a machine's own check says of it.
type Health string

// The values of Health.
const (
	HealthUnknown Health = "unknown"
	Healthy       Health = "healthy"
	Warning       Health = "warning"
	Unhealthy     Health = "unhealthy"
)

func (MachineAdded) event()         {}
func (MachineChanged) event()       {}
func (MachineEnabled) event()       {}
func (MachineDisabled) event()      {}
func (MachineCameOnline) event()    {}
func (AgentConnected) event()       {}
func (MachineWentOffline) event()   {}
func (MachineHealthChanged) event() {}
func (MachineDeleted) event()       {}
func (MachineCleanUpHeld) event()   {}
