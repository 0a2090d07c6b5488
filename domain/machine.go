package domain

import (
	"fmt"
	"slices"
)

// Machine is a registered host, as its own stream tells it. The zero value is no machine.
type Machine struct {
	Name        string
	Environment string
	Roles       []string // sorted
	Policy      string   // never empty
	Disabled    bool
	// Online says that a session is open as far as the log knows.
	Online bool
	// Connect is the event that began the newest session; zero before the first.
	Connect  ID
	Server   ID
	Session  ID
	Instance ID
	Health   Health
	// CleanUpHeld says that the present absence was held back from clean-up once.
	CleanUpHeld bool
}

// Evolve folds one fact of the machine's stream, whose event id is id. An error means content that cannot be folded.
func (m *Machine) Evolve(id ID, e Event) error {
	switch e := e.(type) {
	case MachineAdded:
		if e.Environment == "" {
			return fmt.Errorf("machine has no environment")
		}
		*m = Machine{Name: m.Name, Health: HealthUnknown}
		m.settle(e.Environment, e.Roles, e.Policy)
	case MachineChanged:
		if e.Environment == "" {
			return fmt.Errorf("machine has no environment")
		}
		m.settle(e.Environment, e.Roles, e.Policy)
	case MachineEnabled:
		m.Disabled = false
	case MachineDisabled:
		m.Disabled = true
	case MachineCameOnline:
		m.connect(id, e.Server, e.Session, e.Instance)
	case AgentConnected:
		m.connect(id, e.Server, e.Session, e.Instance)
	case MachineWentOffline:
		if e.Connect == m.Connect {
			m.Online = false
		}
	case MachineHealthChanged:
		if _, ok := healthCategory(e.Status); !ok {
			return fmt.Errorf("unknown health %.40q", e.Status)
		}
		m.Health = e.Status
	case MachineCleanUpHeld:
		m.CleanUpHeld = true
	}
	return nil
}

func (m *Machine) settle(environment string, roles []string, policy string) {
	m.Environment, m.Roles, m.Policy = environment, Names(roles), policy
	if m.Policy == "" {
		m.Policy = DefaultPolicy
	}
}

// connect begins a session. Another instance is another life of the disk: what was known of its health is gone.
func (m *Machine) connect(event, server, session, instance ID) {
	if instance != m.Instance {
		m.Health = HealthUnknown
	}
	m.Online, m.Connect, m.CleanUpHeld = true, event, false
	m.Server, m.Session, m.Instance = server, session, instance
}

// Deployable says whether a part can run here now, and why not. Health is known where checked
// says that the machine's policy has a check. An unhealthy machine is deployable: it may get its cure.
func (m *Machine) Deployable(checked bool) (bool, PartReason) {
	switch {
	case m.Disabled:
		return false, MachineIsDisabled
	case !m.Online:
		return false, MachineIsOffline
	case checked && m.Health == HealthUnknown:
		return false, HealthNotKnown
	}
	return true, ""
}

// Commands of a machine.
type (
	// ApplyMachine adds a machine or brings it to these settings.
	ApplyMachine struct {
		Name        string   `json:"name"`
		Environment string   `json:"environment"`
		Roles       []string `json:"roles"`
		Policy      string   `json:"policy"`
		Disabled    bool     `json:"disabled"`
		Origin
	}
	// SetMachineEnabled enables or disables a machine.
	SetMachineEnabled struct {
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
		Origin
	}
	// DeleteMachine ends a machine.
	DeleteMachine struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
		Origin
		// Session, if set, must be the newest: an agent that leaves does not delete what a later one has joined.
		Session ID `json:"session"`
	}
	// ConnectMachine begins a session, or moves it to another server.
	ConnectMachine struct {
		Name     string `json:"name"`
		Server   ID     `json:"server"`
		Session  ID     `json:"session"`
		Instance ID     `json:"instance"`
	}
	// DisconnectMachine ends the session that began with Connect; the zero id ends the newest one.
	DisconnectMachine struct {
		Name    string `json:"name"`
		Connect ID     `json:"connect"`
		Reason  string `json:"reason"`
	}
	// ReportHealth says what the machine's own check found.
	ReportHealth struct {
		Name    string `json:"name"`
		Session ID     `json:"session"` // zero: the newest
		Status  Health `json:"status"`
		Detail  string `json:"detail"`
	}
)

// Stream is the machine's.
func (c ApplyMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream is the machine's.
func (c SetMachineEnabled) Stream(World) string { return MachineStream(c.Name) }

// Stream is the machine's.
func (c DeleteMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream is the machine's.
func (c ConnectMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream is the machine's.
func (c DisconnectMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream is the machine's.
func (c ReportHealth) Stream(World) string { return MachineStream(c.Name) }

// Decide adds or changes what differs.
func (c ApplyMachine) Decide(w World) ([]Event, *Rejection) {
	if r := c.check(w); r != nil {
		return nil, r
	}
	roles, policy, m := Names(c.Roles), c.Policy, w.Machine(c.Name)
	if policy == "" {
		policy = DefaultPolicy
	}
	var events []Event
	switch {
	case m == nil:
		events = append(events, MachineAdded{Environment: c.Environment, Roles: roles, Policy: policy, Origin: c.Origin})
		m = &Machine{}
	case m.Environment != c.Environment || m.Policy != policy || !slices.Equal(m.Roles, roles):
		events = append(events, MachineChanged{Environment: c.Environment, Roles: roles, Policy: policy, Origin: c.Origin})
	}
	if c.Disabled != m.Disabled {
		events = append(events, enabling(!c.Disabled, c.Origin))
	}
	return events, nil
}

func (c ApplyMachine) check(w World) *Rejection {
	if r := CheckName("machine", c.Name); r != nil {
		return r
	}
	if r := checkRoles(c.Roles); r != nil {
		return r
	}
	if !w.Environment(c.Environment) {
		return notFound("machine %s: environment %.80q does not exist", c.Name, c.Environment).hint("apply the environment first")
	}
	if c.Policy != "" && w.Policy(c.Policy) == nil {
		return notFound("machine %s: policy %.80q does not exist", c.Name, c.Policy).hint("apply the machine policy first")
	}
	return nil
}

func enabling(enabled bool, origin Origin) Event {
	if enabled {
		return MachineEnabled{Origin: origin}
	}
	return MachineDisabled{Origin: origin}
}

// Decide changes nothing where nothing differs.
func (c SetMachineEnabled) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, noMachine(c.Name)
	}
	if m.Disabled == !c.Enabled {
		return nil, nil
	}
	return []Event{enabling(c.Enabled, c.Origin)}, nil
}

// Decide deletes what is there.
func (c DeleteMachine) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, noMachine(c.Name)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	if !c.Session.IsZero() && c.Session != m.Session {
		return nil, nil
	}
	return []Event{MachineDeleted{Reason: c.Reason, Origin: c.Origin}}, nil
}

// Decide lets the first session of an absent machine come online, and lets a known instance move.
func (c ConnectMachine) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	switch {
	case m == nil:
		return nil, noMachine(c.Name)
	case !m.Online:
		return []Event{MachineCameOnline{Server: c.Server, Session: c.Session, Instance: c.Instance}}, nil
	case m.Instance != c.Instance:
		return nil, conflict("machine %s is online as another instance", c.Name).
			hint("its name is free once it has been silent beyond its policy's offlineAfter")
	case m.Server == c.Server && m.Session == c.Session:
		return nil, nil
	}
	return []Event{AgentConnected{Server: c.Server, Session: c.Session, Instance: c.Instance}}, nil
}

// Decide ends the session only if it is the newest.
func (c DisconnectMachine) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, noMachine(c.Name)
	}
	if !m.Online || !c.Connect.IsZero() && c.Connect != m.Connect {
		return nil, nil
	}
	return []Event{MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance, Reason: c.Reason}}, nil
}

// Decide writes changes alone, and only those of the newest session.
func (c ReportHealth) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, noMachine(c.Name)
	}
	if _, ok := healthCategory(c.Status); !ok {
		return nil, invalid("unknown health %.40q", c.Status).hint("use healthy, warning or unhealthy")
	}
	session := c.Session
	if session.IsZero() {
		session = m.Session
	}
	if session != m.Session || !m.Online {
		return nil, conflict("machine %s: the reporting session is not its newest", c.Name).hint("report online first")
	}
	if m.Health == c.Status {
		return nil, nil
	}
	return []Event{MachineHealthChanged{Status: c.Status, Detail: brief(c.Detail, MaxDetailBytes), Session: session}}, nil
}

func noMachine(name string) *Rejection {
	return notFound("machine %.80q does not exist", name).hint("`drover get machines` lists them")
}
