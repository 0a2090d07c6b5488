package agents

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// sessions contains the sessions of this server's agents. doc.go lists the order of its locks.
type sessions struct {
	mu sync.Mutex // guards the fields below
	// open contains the sessions over a WebSocket, by machine.
	open map[string]*session
	// overHTTP contains the sessions over plain HTTP, by machine. They cannot be pinged.
	overHTTP map[string]domain.ID
	// admissions contains the machines whose agents are being admitted, each with a channel that is closed at the end.
	admissions map[string]chan struct{}
}

func (s *sessions) init() {
	s.open, s.overHTTP, s.admissions = map[string]*session{}, map[string]domain.ID{}, map[string]chan struct{}{}
}

// lockAdmission waits until no other agent with this machine name is being admitted. The caller must call unlock. Agents
// of other machines do not wait for each other (law 30).
func (s *sessions) lockAdmission(ctx context.Context, machine string) (unlock func(), err error) {
	for {
		s.mu.Lock()
		ends, taken := s.admissions[machine]
		if !taken {
			ends = make(chan struct{})
			s.admissions[machine] = ends
		}
		s.mu.Unlock()
		if !taken {
			return func() {
				s.mu.Lock()
				delete(s.admissions, machine)
				s.mu.Unlock()
				close(ends)
			}, nil
		}
		select {
		case <-ends:
		case <-ctx.Done():
			return nil, problem.Unavailable("another agent of machine %.80s is being admitted", machine)
		}
	}
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *sessions) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.open))
}

func (s *sessions) get(machine string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[machine]
}

func (s *sessions) add(each *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[each.machine] = each
	delete(s.overHTTP, each.machine)
}

// drop removes a session, unless another has replaced it.
func (s *sessions) drop(each *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[each.machine] == each {
		delete(s.open, each.machine)
	}
}

func (s *sessions) setOverHTTP(machine string, session domain.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overHTTP[machine] = session
}

func (s *sessions) isOverHTTP(machine string, session domain.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overHTTP[machine] == session
}

// removeEnded removes the ended HTTP sessions of these machines. Without it, the map would grow for as long as the
// server runs.
func (s *sessions) removeEnded(e *engine.Engine, machines map[string]struct{}) {
	ended := map[string]domain.ID{}
	s.mu.Lock()
	for machine := range machines {
		if session, ok := s.overHTTP[machine]; ok {
			ended[machine] = session
		}
	}
	s.mu.Unlock()
	if len(ended) == 0 {
		return
	}
	e.Read(func(v *projections.View) {
		maps.DeleteFunc(ended, func(machine string, session domain.ID) bool {
			m := v.Machines[machine]
			return m != nil && m.Online && m.Session == session
		})
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for machine, session := range ended {
		if s.overHTTP[machine] == session {
			delete(s.overHTTP, machine)
		}
	}
}

// touched notifies the sessions of these machines.
func (s *sessions) touched(machines map[string]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(machines) > len(s.open) {
		for machine, each := range s.open {
			if _, ok := machines[machine]; ok {
				each.notify()
			}
		}
		return
	}
	for machine := range machines {
		if each := s.open[machine]; each != nil {
			each.notify()
		}
	}
}

// closeAll closes every connection, so that the agents connect to another server, or to this one later.
func (s *sessions) closeAll(code websocket.StatusCode, reason string) {
	for _, each := range s.all() {
		each.end(code, reason)
	}
}

// countBy counts the connected agents by a property that never changes.
func (s *sessions) countBy(property func(*session) string) map[string]int {
	count := map[string]int{}
	for _, each := range s.all() {
		count[property(each)]++
	}
	return count
}
