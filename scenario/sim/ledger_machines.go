package sim

import (
	"iter"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// machineState is a machine according to its own stream.
type machineState struct {
	machineFacts
	created eventlog.Position
	// running is the claimed part that has not ended, or nil.
	running *partState
	// away is the position since which it has been offline; busy is set if a claimed part was open during that time.
	away eventlog.Position
	busy bool
	// absence is its watched absence; absentAt is the position at which that was long enough; watchedAt is how long at
	// least one server had been running when it went offline.
	absence, watchedAt time.Duration
	absentAt           eventlog.Position
	// serverGone is set while it is offline because its server was gone. unknown is set until servers have watched it for
	// its policy's offlineAfter since; unheard is how long they have.
	serverGone, unknown bool
	unheard             time.Duration
	// moved is the position of the newest event of its stream; healthSince is that of the last change of its health.
	moved, healthSince eventlog.Position
	// checkLost is set while the machine has no health check, but had one before.
	checkLost bool
}

// applyEnvironment records that an environment was defined or deleted. A name that is used again starts empty.
func (l *ledger) applyEnvironment(name string, fact domain.Event) {
	if _, ok := fact.(domain.EnvironmentDefined); ok {
		l.environments[name] = true
		return
	}
	delete(l.environments, name)
	for _, a := range l.projects {
		delete(a.pins, name)
		for _, w := range a.deployments {
			if w.Environment == name {
				w.environmentGone, w.cancelled = true, true
				w.withdraw(nil)
				l.endVerifications(w)
			}
		}
	}
}

func (l *ledger) applyMachine(name string, rec eventlog.Recorded, fact domain.Event) {
	h := l.machines[name]
	switch e := fact.(type) {
	case domain.MachineAdded:
		l.checkAdded(name, e)
		h = &machineState{machineFacts: machineFacts{Name: name}, created: rec.Position}
		l.machines[name] = h
	case domain.MachineCleanUpUndone:
		l.undoCleanUp(name, e)
		return
	}
	if h == nil {
		if _, deleted := fact.(domain.MachineDeleted); deleted {
			delete(l.cleanedUp, name)
		}
		return
	}
	before := h.machineFacts
	l.checkNature(before, fact)
	switch fact.(type) {
	case domain.MachineAdded, domain.MachineChanged, domain.MachineDeleted:
		l.checkCleanUp(h, fact)
	}
	h.record(domain.ID(rec.ID), fact)
	if e, ok := fact.(domain.MachineAdded); ok {
		l.keepChoices(h, e)
	}
	fresh := false
	switch fact.(type) {
	case domain.MachineAdded, domain.MachineChanged:
		fresh = true
	case domain.MachineEnabled:
		fresh = true
		l.forgiveHost(h)
	case domain.MachineCameOnline:
		fresh = before.Instance != h.Instance || h.away > 0 && !h.busy && !h.resumed(before)
	case domain.MachineDeleted:
		l.retain(h, fact)
		delete(l.machines, name)
	}
	resumed := h.resumed(before)
	off, ok := fact.(domain.MachineWentOffline)
	if ok && before.Online && !h.Online {
		l.cluster.checkOffline(name, off)
	}
	l.applyAway(h, before, off.Reason)
	l.noteCheck(h, l.checked[before.Policy])
	_, report := fact.(domain.MachineHealthChanged)
	void := report && h.checkLost
	if void {
		h.Health = domain.HealthUnknown
	}
	if h.moved = rec.Position; h.Health != before.Health {
		h.healthSince = rec.Position
	}
	l.observe(h, fact)
	if l.machines[name] == h && !void {
		l.ask(h, fact, resumed)
	}
	if e, ok := fact.(domain.MachineLostState); ok {
		l.applyLostState(h, e)
	}
	l.causes[domain.ID(rec.ID)] = cause{name, fresh, rec.Position}
}

// noteCheck records that the machine lost its health check, or has one again. Reports without the check do not count.
func (l *ledger) noteCheck(h *machineState, had bool) {
	switch has := l.checked[h.Policy]; {
	case has:
		h.checkLost = false
	case had:
		h.checkLost, h.Health, h.healthSince = true, domain.HealthUnknown, l.at
	}
}

// resumed reports whether a machine that has just come online had only lost its server. It was absent only if servers
// then watched it for long enough and its agent was restarted.
func (h *machineState) resumed(before machineFacts) bool {
	return !before.Online && h.Online && h.serverGone && h.Instance == before.Instance &&
		(h.unknown || h.Session == before.Session)
}

// cleanedUpState is a machine that a clean-up or its agent deleted, with the requests that it had.
type cleanedUpState struct {
	*machineState
	byAgent  bool
	requests map[request]asked
}

// retain keeps a deleted machine for its return if a server deleted it because of its absence, or if its agent did.
func (l *ledger) retain(h *machineState, fact domain.Event) {
	e, ok := fact.(domain.MachineDeleted)
	byAgent := ok && e.Reason == "ephemeral" && e.By == "agent"
	if !byAgent && (!ok || e.Reason != "clean-up" || e.By != "") {
		return
	}
	kept := &cleanedUpState{h, byAgent, map[request]asked{}}
	for q, when := range l.requests {
		if q.key.machine == h.Name && q.key.machineCreated == h.created {
			kept.requests[q] = when
		}
	}
	l.cleanedUp[h.Name] = kept
}

// undoCleanUp returns a machine with its state.
func (l *ledger) undoCleanUp(name string, e domain.MachineCleanUpUndone) {
	kept := l.cleanedUp[name]
	l.watch.moved = l.at
	if kept == nil || kept.Instance != e.Instance || l.machines[name] != nil {
		l.cluster.violate("law 8: only the same instance undoes a clean-up", "%s was returned to %s", name, e.Instance)
		return
	}
	delete(l.cleanedUp, name)
	h := kept.machineState
	l.machines[name] = h
	h.absence, h.absentAt, h.moved = 0, 0, l.at
	for q, when := range kept.requests {
		if a := l.projects[q.key.project]; a != nil && a.triggers[q.trigger] != nil &&
			a.triggers[q.trigger].since < when.at {
			l.requests[q] = when
		}
	}
}

// known returns the machine of a name, or the one that a clean-up or its agent deleted, or nil.
func (l *ledger) known(name string) *machineState {
	if h := l.machines[name]; h != nil {
		return h
	}
	if kept := l.cleanedUp[name]; kept != nil {
		return kept.machineState
	}
	return nil
}

// everyMachine yields the machines, and the machines that a clean-up or their agents deleted.
func (l *ledger) everyMachine() iter.Seq[*machineState] {
	return func(yield func(*machineState) bool) {
		for _, h := range l.machines {
			if !yield(h) {
				return
			}
		}
		for _, kept := range l.cleanedUp {
			if !yield(kept.machineState) {
				return
			}
		}
	}
}

func (l *ledger) forgiveHost(h *machineState) {
	for _, a := range l.projects {
		l.installation(a, h).failures = 0
	}
}

// applyLostState records that a machine has lost what the log recorded, and checks that its agent forgot it.
func (l *ledger) applyLostState(h *machineState, e domain.MachineLostState) {
	for _, lost := range e.Lost {
		a := l.projects[lost.Project]
		if a == nil {
			continue
		}
		r := l.installation(a, h)
		if r.from != lost.Deployment || r.instance != h.Instance || r.release == "" {
			continue // a later success counts
		}
		r.release, r.instance, r.from, r.dirty = "", domain.ID{}, domain.ID{}, true
		l.cluster.checkForgotten(h.Name, a.name, lost.Deployment)
		l.askFor(a, h, domain.CameOnline)
	}
}
