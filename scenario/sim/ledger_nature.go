package sim

import (
	"github.com/droverhq/drover/domain"
)

const natureLaw = "law 31: a machine cannot change what it is"

// joinedAs is an instance that joined under a name.
type joinedAs struct {
	machine  string
	instance domain.ID
}

// applyToken records which policy an instance has to get: that of the first token that it joined with under the name.
func (l *ledger) applyToken(id string, fact domain.Event) {
	switch e := fact.(type) {
	case domain.TokenCreated:
		l.tokenPolicies[id] = e.Settings.Policy
	case domain.TokenUsed:
		if key := (joinedAs{e.Machine, e.Instance}); l.given[key] == "" {
			l.given[key] = l.tokenPolicies[id]
		}
	}
}

// checkAdded checks that an agent whose machine was retained gets no new one, and that a new one has the policy of its
// join token.
func (l *ledger) checkAdded(name string, e domain.MachineAdded) {
	for joined, given := range l.given {
		if e.By == "agent" && joined.machine == name && l.cluster.isInstance(name, joined.instance) && given != "" &&
			e.Policy != given {
			l.cluster.violate(natureLaw, "%s has policy %s, and its join token gives %s", name, e.Policy, given)
		}
	}
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
