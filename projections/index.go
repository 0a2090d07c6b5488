package projections

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
)

// index finds the machines, deadlines and projects that a tick has to look at. Inconsistencies compares it with a walk
// over the whole view.
type index struct {
	byEnvironment machineIndex[string]      // all machines
	byServer      machineIndex[domain.ID]   // online machines, by the server that holds the session
	offline       machineIndex[string]      // machines that went offline and have not returned, by policy name
	deadlines     map[deadlineKey]time.Time // of pins and holds
	toEvaluate    map[string]*Project       // projects with an open candidate or a machine to sweep
}

func newIndex() index {
	return index{byEnvironment: newMachineIndex[string](0), byServer: newMachineIndex[domain.ID](1),
		offline: newMachineIndex[string](2), deadlines: map[deadlineKey]time.Time{}, toEvaluate: map[string]*Project{}}
}

// machineIndexes is the number of machine indexes.
const machineIndexes = 3

// machineIndex lists machines by a key. Each machine stores its place in the list, so adding and removing take constant
// time. The order has no meaning, but equal logs give equal orders.
type machineIndex[K comparable] struct {
	number int // index in Machine.places
	lists  map[K][]*Machine
}

func newMachineIndex[K comparable](number int) machineIndex[K] {
	return machineIndex[K]{number, map[K][]*Machine{}}
}

func (x machineIndex[K]) add(key K, m *Machine) {
	m.places[x.number] = len(x.lists[key])
	x.lists[key] = append(x.lists[key], m)
}

// remove also deletes an empty list: servers and environments come and go.
func (x machineIndex[K]) remove(key K, m *Machine) {
	list := x.lists[key]
	place, end := m.places[x.number], len(list)-1
	moved := list[end]
	list[place], moved.places[x.number] = moved, place
	list[end], m.places[x.number] = nil, 0
	if x.lists[key] = list[:end]; end == 0 {
		delete(x.lists, key)
	}
}

// move transfers a machine from its former list, if listed, to its new one, if it belongs to any. Most events move no
// machine.
func (x machineIndex[K]) move(m *Machine, was K, listed bool, now K, belongs bool) {
	if was == now && listed == belongs {
		return
	}
	if listed {
		x.remove(was, m)
	}
	if belongs {
		x.add(now, m)
	}
}

// sort orders the lists by the places that the machines store.
func (x machineIndex[K]) sort() {
	for _, list := range x.lists {
		slices.SortFunc(list, func(a, b *Machine) int { return cmp.Compare(a.places[x.number], b.places[x.number]) })
	}
}

// indexKeys are the values by which a machine is indexed.
type indexKeys struct {
	environment  string
	server       domain.ID
	policy       string
	online, away bool
}

func indexKeysOf(m *Machine) indexKeys {
	return indexKeys{m.Environment, m.Server, m.Policy, m.Online, !m.Online && m.Offline > 0}
}

// update moves a machine to the lists of its current keys.
func (x *index) update(m *Machine) {
	was, now, added := m.indexed, indexKeysOf(m), m.indexed != indexKeys{}
	if was == now {
		return
	}
	m.indexed = now
	x.byEnvironment.move(m, was.environment, added, now.environment, true)
	x.byServer.move(m, was.server, was.online, now.server, now.online)
	x.offline.move(m, was.policy, was.away, now.policy, now.away)
}

// remove removes a machine from all lists.
func (x *index) remove(m *Machine) {
	x.byEnvironment.remove(m.indexed.environment, m)
	x.byServer.move(m, m.indexed.server, m.indexed.online, m.indexed.server, false)
	x.offline.move(m, m.indexed.policy, m.indexed.away, m.indexed.policy, false)
}

// MachinesIn returns the machines of an environment, in no particular order.
func (v *View) MachinesIn(environment string) []*Machine {
	return v.index.byEnvironment.lists[environment]
}

// everyMachine yields all machines in an order that depends on the log alone.
func (v *View) everyMachine() iter.Seq[*Machine] {
	return func(yield func(*Machine) bool) {
		for _, environment := range sortedKeys(v.index.byEnvironment.lists) {
			for _, m := range v.MachinesIn(environment) {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// Sessions yields each server that holds sessions, with the machines of these sessions.
func (v *View) Sessions() iter.Seq2[domain.ID, []*Machine] { return maps.All(v.index.byServer.lists) }

// OfflineByPolicy yields each policy with the machines that went offline under it and have not returned.
func (v *View) OfflineByPolicy() iter.Seq2[domain.PolicySettings, []*Machine] {
	return func(yield func(domain.PolicySettings, []*Machine) bool) {
		for policy, machines := range v.index.offline.lists {
			if !yield(v.policy(policy), machines) {
				return
			}
		}
	}
}

// deadlineKey identifies a pin or a hold with a deadline. A pin has no machine, and a hold has no environment.
type deadlineKey struct{ project, environment, machine string }

func (x *index) setDeadline(t deadlineKey, until *time.Time) {
	if until == nil {
		delete(x.deadlines, t)
	} else {
		x.deadlines[t] = *until
	}
}

// Deadline is the deadline of a pin or a hold of a project.
type Deadline struct {
	Project string
	// Environment is set for a pin, and Machine for a hold. The other one is empty.
	Environment, Machine string
	Until                time.Time
}

// Deadlines yields the deadlines of all pins and holds, in no particular order.
func (v *View) Deadlines() iter.Seq[Deadline] {
	return func(yield func(Deadline) bool) {
		for t, until := range v.index.deadlines {
			if !yield(Deadline{t.project, t.environment, t.machine, until}) {
				return
			}
		}
	}
}

// ProjectsToEvaluate returns the projects with an open candidate or a machine to sweep, by name.
func (v *View) ProjectsToEvaluate() []*Project {
	projects := make([]*Project, 0, len(v.index.toEvaluate))
	for _, name := range sortedKeys(v.index.toEvaluate) {
		projects = append(projects, v.index.toEvaluate[name])
	}
	return projects
}

// updateProject lists a project if a tick has to look at it. settle calls it after any candidate was opened or closed.
func (x *index) updateProject(p *Project) {
	switch {
	case len(p.waiting)+len(p.sweep) > 0:
		x.toEvaluate[p.Name] = p
	case x.toEvaluate[p.Name] == p: // another project may have the name by now
		delete(x.toEvaluate, p.Name)
	}
}
