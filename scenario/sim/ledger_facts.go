package sim

import (
	"cmp"
	"time"

	"github.com/droverhq/drover/domain"
)

// machineFacts is what the stream of a machine records about it. It does not use domain.Machine, so that a defect there
// cannot hide itself.
type machineFacts struct {
	Name, Environment, Policy  string
	Roles                      []string
	Disabled, Online           bool
	Ephemeral                  bool
	Connect, Session, Instance domain.ID
	Health                     domain.Health
	// reimageUntil is when the permission ends that another instance takes the name; zero: none.
	reimageUntil time.Time
	// reports means that its agent reports a problem, and blocked that it therefore claims nothing.
	reports, blocked bool
}

// record applies one event of the stream. id is the id of the event.
func (m *machineFacts) record(id domain.ID, fact domain.Event) {
	switch e := fact.(type) {
	case domain.MachineAdded:
		*m = machineFacts{Name: m.Name, Health: domain.HealthUnknown}
		m.configure(e.Environment, e.Roles, e.Policy)
		m.Ephemeral = e.Ephemeral
	case domain.MachineChanged:
		m.configure(e.Environment, e.Roles, e.Policy)
		m.Ephemeral = e.Ephemeral
	case domain.MachineReimageAllowed:
		m.reimageUntil = e.Until
	case domain.MachineEnabled:
		m.Disabled = false
	case domain.MachineDisabled:
		m.Disabled = true
	case domain.MachineCameOnline:
		m.connect(id, e.Session, e.Instance)
	case domain.AgentConnected:
		m.connect(id, e.Session, e.Instance)
	case domain.MachineWentOffline:
		m.Online = m.Online && e.Connect != m.Connect
	case domain.MachineHealthChanged:
		m.Health = e.Status
	case domain.MachineConditionsChanged:
		m.recordConditions(e)
	}
}

func (m *machineFacts) configure(environment string, roles []string, policy string) {
	m.Environment, m.Roles, m.Policy = environment, roles, cmp.Or(policy, domain.DefaultPolicy)
}

// connect records a session. A new disk has no health yet.
func (m *machineFacts) connect(event, session, instance domain.ID) {
	if m.Instance != instance {
		m.Health, m.reimageUntil = domain.HealthUnknown, time.Time{}
		m.reports, m.blocked = false, false
	}
	m.Online, m.Connect, m.Session, m.Instance = true, event, session, instance
}
