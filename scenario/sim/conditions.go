package sim

import "github.com/droverhq/drover/domain"

// reportCondition makes an agent report a problem of its machine, or its end. An agent that reports a problem that blocks it
// claims nothing.
func (p *cluster) reportCondition(st step) {
	a := p.reachableAgent(st.b)
	if a == nil {
		return
	}
	all := [][]domain.Condition{nil, {{Kind: domain.DiskFull}}, {{Kind: domain.Leftovers}},
		{{Kind: domain.JournalNotWritable}, {Kind: domain.Leftovers}}}
	a.reportConditions(all[st.a%len(all)])
}

func (a *agent) reportConditions(conditions []domain.Condition) {
	kind := "nothing"
	if len(conditions) > 0 {
		kind = string(conditions[0].Kind)
	}
	a.log("reports", kind)
	a.send(domain.ReportConditions{Name: a.machine, Session: a.session, Conditions: conditions})
}

// blocked reports whether the machine's agent has reported a problem that keeps it from starting parts.
func (a *agent) blocked() bool {
	h := a.cluster.ledger.machines[a.machine]
	return h != nil && h.blocked
}

// recordConditions records whether the agent can start parts.
func (m *machineFacts) recordConditions(e domain.MachineConditionsChanged) {
	m.reports, m.blocked = len(e.Conditions) > 0, false
	for _, c := range e.Conditions {
		m.blocked = m.blocked || c.Kind != domain.Leftovers
	}
}
