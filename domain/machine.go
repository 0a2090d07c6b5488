package domain

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Machine is the state of a registered host, folded from its stream.
type Machine struct {
	Name        string
	Environment string
	Roles       []string // sorted
	Policy      string   // never empty
	// PolicyFrom says who chose Policy. PolicyToken is the id of the token if a join token did.
	PolicyFrom  PolicyOrigin
	PolicyToken string
	Disabled    bool
	// Ephemeral means that the machine's agent may delete it.
	Ephemeral bool
	// Online means that a session is open according to the log.
	Online bool
	// Connect is the id of the event that started the newest session; zero before the first session.
	Connect  ID
	Server   ID
	Session  ID
	Instance ID
	Health   Health
	// Reported is the status of the last report. It differs from Health if the report does not count.
	Reported Health
	// CleanUpHeld means that a clean-up was held back during the current absence.
	CleanUpHeld bool
	// ReimageUntil is when the permission ends that another instance may take the name; zero: none.
	ReimageUntil time.Time
	// MemoryAccepted means that a person has accepted that the log does not have what the machine's agent remembers, and
	// that the agent has not connected since.
	MemoryAccepted bool
	// MemoryExcepted means that a person accepted the restore of the log, except for what this machine's agent remembers.
	MemoryExcepted bool
	// AcceptedMemory are the ids that the agent remembers, that the log does not have, and that are no reason for a doubt,
	// because a person has accepted them. The oldest come first.
	AcceptedMemory []ID
	// Ignored are the flags of the newest session's agent that differed from the machine when the session started.
	Ignored AgentFlags
	// CannotStop means that the agent of the newest session is too old to stop a running part.
	CannotStop bool
	// Conditions are what the agent last stated about its machine, in the order of ConditionKinds. They survive a new session
	// of the same instance until its first statement: an agent that starts again and again does not hide a full disk.
	Conditions []Condition
}

// Evolve folds one event of the machine's stream. id is the id of the event. An error means that the event cannot be
// folded.
func (m *Machine) Evolve(id ID, e Event) error {
	switch e := e.(type) {
	case MachineAdded:
		if e.Environment == "" {
			return fmt.Errorf("machine has no environment")
		}
		*m = Machine{Name: m.Name, Health: HealthUnknown}
		m.applySettings(e.Environment, e.Roles, e.Policy)
		m.Ephemeral, m.PolicyFrom, m.PolicyToken = e.Ephemeral, e.policyOrigin(), e.PolicyToken
	case MachineChanged:
		if e.Environment == "" {
			return fmt.Errorf("machine has no environment")
		}
		before := m.Policy
		m.applySettings(e.Environment, e.Roles, e.Policy)
		m.Ephemeral = e.Ephemeral
		if m.Policy != before {
			m.PolicyFrom, m.PolicyToken = PolicyByPerson, ""
		}
	case MachineEnabled:
		m.Disabled = false
	case MachineDisabled:
		m.Disabled = true
	case MachineCameOnline:
		m.connect(id, e.Server, e.Session, e.Instance)
		m.Ignored, m.CannotStop = e.Ignored, e.CannotStop
	case AgentConnected:
		m.connect(id, e.Server, e.Session, e.Instance)
		m.Ignored, m.CannotStop = e.Ignored, e.CannotStop
	case MachineWentOffline:
		if e.Connect == m.Connect {
			m.Online = false
		}
	case MachineHealthChanged:
		if _, ok := healthCategory(e.Status); !ok {
			return fmt.Errorf("unknown health status %.40q", e.Status)
		}
		m.Health, m.Reported = e.Status, e.Status
	case MachineConditionsChanged:
		m.Conditions = e.Conditions
	case MachineCleanUpHeld:
		m.CleanUpHeld = true
	case MachineReimageAllowed:
		m.ReimageUntil = e.Until
	case MachineMemoryAccepted:
		m.MemoryAccepted, m.MemoryExcepted = true, false
	case MachineMemoryCleared:
		m.clearMemory(e.Accepted)
	}
	return nil
}

// Reasons of MachineWentOffline events that a server decides.
const (
	Silent     = "silent"
	ServerGone = "server-gone"
)

// BeyondGrace reports whether nothing was heard from the machine for longer than its policy's offlineAfter. An agent that
// disconnected, or whose server is gone, may still return within that time.
func (e MachineWentOffline) BeyondGrace() bool { return e.Reason == Silent }

func (m *Machine) applySettings(environment string, roles []string, policy string) {
	m.Environment, m.Roles, m.Policy = environment, SortedUnique(roles), policy
	if m.Policy == "" {
		m.Policy = DefaultPolicy
	}
}

// connect starts a session. The health and the conditions of another instance are unknown, and its first session uses up
// the permission to take the name.
func (m *Machine) connect(event, server, session, instance ID) {
	if instance != m.Instance {
		m.Health, m.Reported = HealthUnknown, HealthUnknown
		m.ReimageUntil = time.Time{}
		m.MemoryAccepted, m.MemoryExcepted, m.AcceptedMemory = false, false, nil
		m.Conditions = nil
	}
	m.Online, m.Connect, m.CleanUpHeld = true, event, false
	m.Server, m.Session, m.Instance = server, session, instance
}

// Deployable reports whether a part can run on the machine now, and if not, why. checked means that the machine's
// policy has a health check, so that the health must be known. An unhealthy machine is deployable because a deployment
// may repair it.
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

// Commands for machines.
type (
	// ApplyMachine creates a machine or changes its settings.
	ApplyMachine struct {
		Name        string   `json:"name"`
		Environment string   `json:"environment"`
		Roles       []string `json:"roles"`
		Policy      string   `json:"policy"` // an agent's is ignored if its join token gives one
		Disabled    bool     `json:"disabled"`
		Ephemeral   bool     `json:"ephemeral"`
		// Instance is the instance of an agent that joins; zero: a person or program asks.
		Instance ID `json:"instance"`
		Origin
	}
	// SetMachineEnabled enables or disables a machine.
	SetMachineEnabled struct {
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
		Origin
	}
	// DeleteMachine deletes a machine.
	DeleteMachine struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
		Origin
		// Session is the session of an agent that asks for the deletion. It is zero if another caller asks. Unless it is
		// the newest session, nothing is deleted: a later agent may have joined under this name.
		Session ID `json:"session"`
	}
	// ReturnMachine undoes the deletion of a machine by a clean-up or its agent, because an agent of the same instance has
	// returned.
	// It changes nothing if the machine exists.
	ReturnMachine struct {
		Name     string `json:"name"`
		Instance ID     `json:"instance"`
	}
	// ConnectMachine starts a session or moves it to another server.
	ConnectMachine struct {
		Name     string `json:"name"`
		Server   ID     `json:"server"`
		Session  ID     `json:"session"`
		Instance ID     `json:"instance"`
		// Admin means that a person or program with all permissions asks. It may replace the instance.
		Admin bool `json:"admin"`
		// Flags are what the agent asks for. They change nothing; the event shows the flags that differ from the machine.
		Flags AgentFlags `json:"flags"`
		// CannotStop means that the agent is too old to stop a running part.
		CannotStop bool `json:"cannotStop,omitempty"`
		// Now is the time by which a permission to replace the instance ends.
		Now time.Time `json:"-"`
	}
	// ReimageMachine lets another instance take the name of a machine until a time.
	ReimageMachine struct {
		Name  string    `json:"name"`
		Until time.Time `json:"-"` // left out of the content, so that a repeated command is the same command
		Origin
	}
	// DisconnectMachine ends the session that was started by the event Connect. The zero id ends the newest session.
	DisconnectMachine struct {
		Name    string `json:"name"`
		Connect ID     `json:"connect"`
		Reason  string `json:"reason"`
	}
	// ReportHealth reports the result of the machine's health check.
	ReportHealth struct {
		Name    string `json:"name"`
		Session ID     `json:"session"` // zero: the newest
		Status  Health `json:"status"`
		Detail  string `json:"detail"`
	}
)

// Stream returns the stream of the machine.
func (c ApplyMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c SetMachineEnabled) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c DeleteMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c ReturnMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c ConnectMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c ReimageMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c DisconnectMachine) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c ReportHealth) Stream(World) string { return MachineStream(c.Name) }

// Decide creates the machine, or writes the settings that differ. An agent changes nothing of a machine that exists, and
// one whose machine a clean-up or the agent itself deleted gets that machine back. A new machine of an agent has the policy
// of its join token, even one that was deleted since: then the default policy applies.
func (c ApplyMachine) Decide(w World) ([]Event, *Rejection) {
	if !c.Instance.IsZero() { // an agent joins
		if w.Machine(c.Name) != nil {
			return nil, nil
		}
		if kept := w.CleanedUp(c.Name); kept != nil && kept.Instance == c.Instance {
			return ReturnMachine{Name: c.Name, Instance: c.Instance}.Decide(w)
		}
	}
	given, token := TokenPolicy(w, c.Instance, c.Name)
	if given != "" {
		c.Policy = "" // whether or not it exists
	}
	if r := c.check(w); r != nil {
		return nil, r
	}
	roles, m := SortedUnique(c.Roles), w.Machine(c.Name)
	policy := cmp.Or(given, c.Policy, DefaultPolicy)
	var events []Event
	switch {
	case m == nil:
		events = append(events, MachineAdded{Environment: c.Environment, Roles: roles, Policy: policy, PolicyToken: token,
			Ephemeral: c.Ephemeral, Keeps: !c.Instance.IsZero() && w.DeletedByItsAgent(c.Name), Origin: c.Origin})
		m = &Machine{}
	case m.Environment != c.Environment || m.Policy != policy || !slices.Equal(m.Roles, roles) ||
		m.Ephemeral != c.Ephemeral:
		events = append(events, MachineChanged{Environment: c.Environment, Roles: roles, Policy: policy,
			Ephemeral: c.Ephemeral, Origin: c.Origin})
	}
	if c.Disabled != m.Disabled {
		events = append(events, machineSwitched(!c.Disabled, c.Origin))
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
	if c.Environment == "" {
		return notFound("machine %s has no environment", c.Name).hint("start its agent with --environment ENVIRONMENT")
	}
	if !w.Environment(c.Environment) {
		return notFound("machine %s: environment %.80q does not exist", c.Name, c.Environment).
			hint("apply the environment first")
	}
	if c.Policy != "" && w.Policy(c.Policy) == nil {
		return notFound("machine %s: policy %.80q does not exist", c.Name, c.Policy).hint("apply the machine policy first, or omit the policy")
	}
	return nil
}

func machineSwitched(enabled bool, origin Origin) Event {
	if enabled {
		return MachineEnabled{Origin: origin}
	}
	return MachineDisabled{Origin: origin}
}

// Decide enables or disables the machine.
func (c SetMachineEnabled) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, machineNotFound(c.Name)
	}
	if m.Disabled == !c.Enabled {
		return nil, nil
	}
	return []Event{machineSwitched(c.Enabled, c.Origin)}, nil
}

// Decide deletes the machine. A person can also end what is retained of a machine that was deleted before. An agent can
// delete only a machine that is ephemeral.
func (c DeleteMachine) Decide(w World) ([]Event, *Rejection) {
	m, agent := w.Machine(c.Name), !c.Session.IsZero()
	if m == nil && (agent || c.Reason == CleanUpReason || w.CleanedUp(c.Name) == nil) {
		return nil, machineNotFound(c.Name)
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	switch {
	case !agent:
	case c.Session != m.Session:
		return nil, nil
	case !m.Ephemeral:
		return nil, reject(Forbidden, "machine %s stays: its agent did not declare --ephemeral when it joined", c.Name).
			hint("delete it with `drover delete machine %s`", c.Name)
	}
	return []Event{MachineDeleted{Reason: c.Reason, Origin: c.Origin}}, nil
}

// Decide undoes the deletion if a clean-up or its own agent deleted the machine, and the instance is the same.
func (c ReturnMachine) Decide(w World) ([]Event, *Rejection) {
	if w.Machine(c.Name) != nil {
		return nil, nil
	}
	if m := w.CleanedUp(c.Name); m == nil || m.Instance != c.Instance {
		return nil, notFound("no clean-up has deleted machine %.80q of this instance", c.Name).hint("join with a join token")
	}
	undone := MachineCleanUpUndone{Instance: c.Instance}
	if w.DeletedByItsAgent(c.Name) {
		undone.Reason = EphemeralReason
	}
	return []Event{undone}, nil
}

// Decide starts a session if the machine is offline. Another instance needs a permission to take the name, which ends
// when an instance has used it. If the machine is online, only the same instance can connect again.
func (c ConnectMachine) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	switch {
	case m == nil:
		return nil, machineNotFound(c.Name)
	case !m.Online && !c.mayReplace(w, m):
		return nil, conflict("machine %s is offline and belongs to another instance", c.Name).
			hint("let a new instance take the name with `drover machine reimage %s`, or join with a token of "+
				"`drover token create --join --machine %s`", c.Name, c.Name)
	case !m.Online:
		return []Event{MachineCameOnline{Server: c.Server, Session: c.Session, Instance: c.Instance,
			Ignored: c.ignored(m), CannotStop: c.CannotStop}}, nil
	case m.Instance != c.Instance:
		return nil, conflict("machine %s is online with another instance", c.Name).
			hint("its name becomes free once that instance has been silent for longer than its policy's offlineAfter")
	case m.Server == c.Server && m.Session == c.Session:
		return nil, nil
	}
	return []Event{AgentConnected{Server: c.Server, Session: c.Session, Instance: c.Instance,
		Ignored: c.ignored(m), CannotStop: c.CannotStop}}, nil
}

// ignored returns the flags of the agent that have no effect. A server that only continues a session does not know them.
func (c ConnectMachine) ignored(m *Machine) AgentFlags {
	if c.Flags.IsZero() && c.Session == m.Session {
		return m.IgnoredFlags()
	}
	return c.Flags.ignoredBy(m)
}

// mayReplace reports whether the connecting instance is that of the machine or may take its place.
func (c ConnectMachine) mayReplace(w World, m *Machine) bool {
	return m.Instance.IsZero() || m.Instance == c.Instance || c.Admin || m.ReimageUntil.After(c.Now) ||
		w.JoinedAs(c.Name, c.Instance)
}

// DefaultReimageFor is how long another instance may take the name of a machine, if nothing else is asked for.
const DefaultReimageFor = time.Hour

// Decide allows another instance to take the name, or extends the permission.
func (c ReimageMachine) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	switch {
	case m == nil:
		return nil, machineNotFound(c.Name)
	case c.Until.IsZero():
		return nil, invalid("machine %s: the permission to take its name needs an end", c.Name).hint("set until to a time")
	case m.Instance.IsZero():
		return nil, conflict("machine %s has not been online yet, so any instance with a join token can take its name", c.Name)
	case m.ReimageUntil.Equal(c.Until):
		return nil, nil
	}
	return []Event{MachineReimageAllowed{Until: c.Until.UTC(), Origin: c.Origin}}, nil
}

// Decide ends the session if it is the newest.
func (c DisconnectMachine) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, machineNotFound(c.Name)
	}
	if !m.Online || !c.Connect.IsZero() && c.Connect != m.Connect {
		return nil, nil
	}
	return []Event{MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance, Reason: c.Reason}}, nil
}

// Decide writes a change of the health that the newest session reported.
func (c ReportHealth) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, machineNotFound(c.Name)
	}
	if _, ok := healthCategory(c.Status); !ok {
		return nil, invalid("unknown health status %.40q", c.Status).hint("use healthy, warning or unhealthy")
	}
	session := c.Session
	if session.IsZero() {
		session = m.Session
	}
	if session != m.Session || !m.Online {
		return nil, olderSession(c.Name)
	}
	if m.Health == c.Status || m.Reported == c.Status {
		return nil, nil
	}
	detail := truncate(c.Detail, MaxDetailBytes)
	return []Event{MachineHealthChanged{Status: c.Status, Detail: detail, Session: session}}, nil
}

func machineNotFound(name string) *Rejection {
	return notFound("machine %.80q does not exist", name).hint("`drover get machines` lists them")
}

// olderSession rejects a report of a session that is not the newest one of its machine.
func olderSession(name string) *Rejection {
	return conflict("machine %s: the reporting session is not the newest one", name).hint("report online first")
}
