package projections

import (
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Moment is the position of an event and its time. The time is only shown.
type Moment struct {
	Position eventlog.Position
	Time     time.Time
}

// noteConditions records since when the agent has reported each condition.
func (m *Machine) noteConditions(f Fact) {
	since := m.ConditionsSince
	m.ConditionsSince = nil
	for _, c := range m.Conditions {
		moment, known := since[c.Kind]
		if !known {
			moment = Moment{f.Position, f.Time}
		}
		if m.ConditionsSince == nil {
			m.ConditionsSince = map[domain.ConditionKind]Moment{}
		}
		m.ConditionsSince[c.Kind] = moment
	}
}

// BlockedSince returns the position since which the machine's agent has reported that it cannot start parts, and false if
// it does not report that.
func (m *Machine) BlockedSince() (since eventlog.Position, blocked bool) {
	for _, c := range m.Conditions {
		if at := m.ConditionsSince[c.Kind].Position; c.Kind.Blocks() && (!blocked || at < since) {
			since, blocked = at, true
		}
	}
	return since, blocked
}
