package projections

import (
	"iter"
	"maps"
	"time"

	"github.com/droverhq/drover/domain"
)

// Machines is a set of machines, by name. Only the fold changes it.
type Machines map[string]*Machine

// shelves are the machines by what a tick asks for, so that it looks only at those that may concern it. Misfiled says what
// each of them holds.
type shelves struct {
	standing map[string]Machines    // all, by environment
	sessions map[domain.ID]Machines // those online, by the server that holds the session
	away     map[string]Machines    // those that went offline and are not back, by the name of their policy
	deadline map[term]struct{}      // pins and holds with a wall-clock deadline
	asking   map[string]*Project    // projects with an open candidate or something to sweep
	begun    map[string]struct{}    // machines whose session is another one since the last call of Begun
}

func newShelves() shelves {
	return shelves{standing: map[string]Machines{}, sessions: map[domain.ID]Machines{}, away: map[string]Machines{},
		deadline: map[term]struct{}{}, asking: map[string]*Project{}, begun: map[string]struct{}{}}
}

// label is what a machine is filed under.
type label struct {
	environment  string
	server       domain.ID
	policy       string
	online, away bool
}

func labelOf(m *Machine) label {
	return label{m.Environment, m.Server, m.Policy, m.Online, !m.Online && m.Offline > 0}
}

// file puts a machine where it belongs now.
func (s *shelves) file(m *Machine) {
	now := labelOf(m)
	if now == m.filed {
		return
	}
	was, filed := m.filed, m.filed != label{}
	m.filed = now
	reshelve(s.standing, m, was.environment, filed, now.environment, true)
	reshelve(s.sessions, m, was.server, was.online, now.server, now.online)
	reshelve(s.away, m, was.policy, was.away, now.policy, now.away)
}

// unfile takes a machine out from wherever it is.
func (s *shelves) unfile(m *Machine) {
	unshelve(s.standing, m.filed.environment, m)
	unshelve(s.sessions, m.filed.server, m)
	unshelve(s.away, m.filed.policy, m)
}

// reshelve moves a machine from where it was to where it is now. Most that happens to a machine leaves it where it is on
// most shelves, and to take it out and put it back is what a replay would spend its time on.
func reshelve[K comparable](shelf map[K]Machines, m *Machine, was K, there bool, now K, belongs bool) {
	if was == now && there == belongs {
		return
	}
	if there {
		unshelve(shelf, was, m)
	}
	shelve(shelf, now, m, belongs)
}

func shelve[K comparable](shelf map[K]Machines, key K, m *Machine, belongs bool) {
	if !belongs {
		return
	}
	if shelf[key] == nil {
		shelf[key] = Machines{}
	}
	shelf[key][m.Name] = m
}

// unshelve drops a set with its last machine: servers and environments come and go.
func unshelve[K comparable](shelf map[K]Machines, key K, m *Machine) {
	delete(shelf[key], m.Name)
	if len(shelf[key]) == 0 {
		delete(shelf, key)
	}
}

// Standing are the machines of an environment.
func (v *View) Standing(environment string) Machines { return v.shelves.standing[environment] }

// Sessions yields each server that holds sessions, with the machines they are on.
func (v *View) Sessions() iter.Seq2[domain.ID, Machines] { return maps.All(v.shelves.sessions) }

// Away yields the policies of the machines that went offline and are not back, with these machines.
func (v *View) Away() iter.Seq2[domain.PolicySettings, Machines] {
	return func(yield func(domain.PolicySettings, Machines) bool) {
		for policy, machines := range v.shelves.away {
			if !yield(v.policy(policy), machines) {
				return
			}
		}
	}
}

// Begun returns the machines that began another session since the last call, and forgets them. Like Touched it is no
// part of the view's value.
func (v *View) Begun() map[string]struct{} {
	begun := v.shelves.begun
	v.shelves.begun = make(map[string]struct{}, len(begun)) // in a burst the next page begins as many
	return begun
}

// term is a pin or a hold that has a deadline; a pin has no machine, a hold no environment.
type term struct{ project, environment, machine string }

func (s *shelves) due(t term, until *time.Time) {
	if until == nil {
		delete(s.deadline, t)
	} else {
		s.deadline[t] = struct{}{}
	}
}

// Deadline is a pin or a hold of a project that ends by itself.
type Deadline struct {
	Project string
	// Environment is where a pin is; Machine, where a hold is. One of them is empty.
	Environment, Machine string
	Until                time.Time
}

// Deadlines yields the pins and holds that end by themselves, in no order.
func (v *View) Deadlines() iter.Seq[Deadline] {
	return func(yield func(Deadline) bool) {
		for t := range v.shelves.deadline {
			if until := v.until(t); until != nil && !yield(Deadline{t.project, t.environment, t.machine, *until}) {
				return
			}
		}
	}
}

// until is when a pin or hold ends by itself; nil: it is gone, or does not.
func (v *View) until(t term) *time.Time {
	if p := v.Projects[t.project]; p != nil && t.machine == "" {
		if s := p.Environments[t.environment]; s != nil && s.Pin != nil {
			return s.Pin.Until
		}
	} else if m := v.Machines[t.machine]; p != nil && m != nil {
		if h := m.hold(t.project); h != nil {
			return h.Until
		}
	}
	return nil
}

// Asking are the projects with an open candidate or something to sweep, by name.
func (v *View) Asking() []*Project {
	projects := make([]*Project, 0, len(v.shelves.asking))
	for _, name := range sortedKeys(v.shelves.asking) {
		projects = append(projects, v.shelves.asking[name])
	}
	return projects
}

// asks files a project by whether a tick has to look at it. Whatever opens or closes a candidate settles after it, which calls this.
func (s *shelves) asks(p *Project) {
	switch {
	case len(p.candidates)+len(p.sweep) > 0 && !p.Gone:
		s.asking[p.Name] = p
	case s.asking[p.Name] == p: // another one may go by the name by now
		delete(s.asking, p.Name)
	}
}
