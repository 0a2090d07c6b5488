package sim

import (
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
	if _, ok := fact.(domain.MachineAdded); ok {
		h = &machineState{machineFacts: machineFacts{Name: name}, created: rec.Position}
		l.machines[name] = h
	}
	if h == nil {
		return
	}
	before := h.machineFacts
	switch fact.(type) {
	case domain.MachineAdded, domain.MachineChanged, domain.MachineDeleted:
		l.checkCleanUp(h, fact)
	}
	h.record(domain.ID(rec.ID), fact)
	fresh := false
	switch fact.(type) {
	case domain.MachineAdded, domain.MachineChanged:
		fresh = true
	case domain.MachineEnabled:
		fresh = true
		l.forgiveHost(h)
	case domain.MachineCameOnline:
		fresh = before.Instance != h.Instance || h.away > 0 && !h.busy
	case domain.MachineDeleted:
		delete(l.machines, name)
	}
	if e, ok := fact.(domain.MachineWentOffline); ok && before.Online && !h.Online {
		l.cluster.checkOffline(name, e)
	}
	l.applyAway(h, before)
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
		l.ask(h, fact)
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

func (l *ledger) forgiveHost(h *machineState) {
	for _, a := range l.projects {
		l.installation(a, h).failures = 0
	}
}
