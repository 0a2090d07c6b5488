package sim

import (
	"github.com/droverhq/drover/domain"
)

const natureLaw = "law 31: a machine cannot change what it is"

// checkAdded checks that an agent whose machine was retained gets no new one.
func (l *ledger) checkAdded(name string, e domain.MachineAdded) {
	kept := l.cleanedUp[name]
	if kept == nil || e.By != "agent" {
		return
	}
	if l.cluster.isInstance(name, kept.Instance) {
		l.cluster.violate(natureLaw, "%s was added again by the instance that deleted it", name)
	}
	if kept.byAgent && !e.Keeps {
		l.cluster.violate(natureLaw, "%s was added without what a person set for it", name)
	}
}

// keepChoices gives a new machine what a person set for the former one, and ends what was retained of that.
func (l *ledger) keepChoices(h *machineState, e domain.MachineAdded) {
	if kept := l.cleanedUp[h.Name]; kept != nil && kept.byAgent && e.Keeps {
		h.Disabled = kept.Disabled
		for _, a := range l.projects {
			if manual := l.installation(a, kept.machineState).holds[domain.ManualHold]; manual != nil {
				l.installation(a, h).holds[domain.ManualHold] = manual
			}
		}
	}
	delete(l.cleanedUp, h.Name)
}

// checkNature checks who changes a machine, and that another instance was permitted to take its name.
func (l *ledger) checkNature(before machineFacts, fact domain.Event) {
	violate, by := l.cluster.violate, ""
	switch e := fact.(type) {
	case domain.MachineChanged:
		by = e.By
	case domain.MachineEnabled:
		by = e.By
	case domain.MachineDisabled:
		by = e.By
	case domain.MachineReimageAllowed:
		by = e.By
	case domain.MachineDeleted:
		if e.By == "agent" && !before.Ephemeral {
			violate(natureLaw, "the agent of %s deleted it, and it is not ephemeral", before.Name)
		}
	case domain.MachineCameOnline:
		l.checkInstance(before, e.Instance)
	case domain.AgentConnected:
		l.checkInstance(before, e.Instance)
	}
	if by == "agent" {
		violate(natureLaw, "the agent of %s wrote %s", before.Name, domain.Name(fact))
	}
}

func (l *ledger) checkInstance(before machineFacts, instance domain.ID) {
	if !before.Instance.IsZero() && before.Instance != instance && before.reimageUntil.IsZero() &&
		!l.cluster.isPermitted(before.Name, instance) {
		l.cluster.violate(natureLaw, "another instance took the name of %s without a permission", before.Name)
	}
}
