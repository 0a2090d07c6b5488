package sim

import (
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// share is a machine's share of a deployment, from its queueing to its end. Once its claim counts, partState has the
// rest.
type share struct {
	created                  eventlog.Position // of the machine that was meant; 0 if the name had none
	released, claimed, ended bool
	// roles are those of the machine when the part was released.
	roles []string
}

func (s *share) unclaimed() bool { return !s.claimed && !s.ended }

// shareOut records the parts of a deployment that was just queued. A person's part ends the unclaimed parts of older
// deployments on its machine.
func (l *ledger) shareOut(w *deploymentState) {
	for name := range w.covers {
		l.addShare(w, name, !w.covers[name])
	}
	for _, named := range w.Machines {
		if w.shares[named.Name] == nil && (l.machines[named.Name] == nil || !w.person()) {
			l.addShare(w, named.Name, false)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.shares)) {
		if s := w.shares[name]; s.unclaimed() && w.freeSlot() && !w.firstWaveFull() && w.rolesAllow(l.rolesOf(name)) {
			s.released, s.roles = true, l.rolesOf(name)
		}
	}
}

// addShare adds a part. A part on a machine that a person holds ends at once.
func (l *ledger) addShare(w *deploymentState, machine string, held bool) {
	s := &share{ended: held}
	if h := l.machines[machine]; h != nil {
		s.created = h.created
	}
	w.shares[machine] = s
	if !w.person() || held {
		return
	}
	for _, older := range w.project.deployments {
		if o := older.shares[machine]; older != w && o != nil && o.unclaimed() {
			o.ended = true
		}
	}
}

// supersede ends the unclaimed parts of the environment-wide deployments that an environment-wide one replaces.
func (l *ledger) supersede(w *deploymentState) {
	for _, older := range w.project.deployments {
		if older != w && w.Kind == domain.EnvironmentWide && older.Kind == domain.EnvironmentWide &&
			older.Environment == w.Environment {
			older.withdraw(nil)
		}
	}
}

// freeSlot reports whether another part of the deployment may be released without exceeding maxParallel.
func (w *deploymentState) freeSlot() bool {
	slots := w.MaxParallel.Number
	if w.MaxParallel.Percent {
		slots = max(1, len(w.shares)*slots/100)
	}
	if slots == 0 {
		return true
	}
	taken := 0
	for _, o := range w.project.deployments {
		for _, s := range o.shares {
			if o.Environment == w.Environment && s.released && !s.ended {
				taken++
			}
		}
	}
	return taken < slots
}

// rolesOf returns the present roles of a machine.
func (l *ledger) rolesOf(machine string) []string {
	if h := l.machines[machine]; h != nil {
		return h.Roles
	}
	return nil
}

// rolesAllow reports whether another part on a machine with these roles may be released without exceeding the limit of a
// role.
func (w *deploymentState) rolesAllow(roles []string) bool {
	for _, role := range roles {
		if limit := w.RoleSlots[role]; limit > 0 && w.takenBy(role) >= limit {
			return false
		}
	}
	return true
}

// takenBy counts the released parts of the project on machines with a role.
func (w *deploymentState) takenBy(role string) (taken int) {
	for _, o := range w.project.deployments {
		for _, s := range o.shares {
			if o.Environment == w.Environment && s.released && !s.ended && slices.Contains(s.roles, role) {
				taken++
			}
		}
	}
	return taken
}

// applyShares records which parts a server released or withdrew, and which ones a person cancelled.
func (l *ledger) applyShares(fact domain.Event) {
	switch e := fact.(type) {
	case domain.PartsReleased:
		if w := l.deployments[e.Deployment]; w != nil {
			l.release(w, e.Machines)
		}
	case domain.PartsWithdrawn:
		if w := l.deployments[e.Deployment]; w != nil {
			w.withdraw(e.Machines)
		}
	case domain.DeploymentCancelled:
		if w := l.deployments[e.Deployment]; w != nil {
			w.withdraw(nil)
		}
	}
}

// release records that a server released parts.
func (l *ledger) release(w *deploymentState, machines []string) {
	for _, name := range machines {
		if s := w.shares[name]; s != nil && s.unclaimed() {
			if !s.released {
				s.roles = l.rolesOf(name)
			}
			s.released = true
		}
	}
}

// withdraw ends the parts of these machines that are unclaimed, or of all machines without a list.
func (w *deploymentState) withdraw(machines []string) {
	for name, s := range w.shares {
		if s.unclaimed() && (machines == nil || slices.Contains(machines, name)) {
			s.ended = true
		}
	}
}

// openShares returns the deployments of the project with an open part on the machine.
func (a *projectState) openShares(machine string) (open []*deploymentState) {
	for _, w := range a.deployments {
		if s := w.shares[machine]; s != nil && !s.ended {
			open = append(open, w)
		}
	}
	return open
}
