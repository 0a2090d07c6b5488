package agents

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// sessions are those of agents that are connected to this server. doc.go says in which order its locks are taken.
type sessions struct {
	mu sync.Mutex // guards open and plain
	// open are the sessions over a WebSocket, by machine.
	open map[string]*session
	// plain are the sessions by plain HTTP, which nobody can ping.
	plain map[string]domain.ID
	// admitting is held while an agent of a machine's name is let in.
	admitting [64]sync.Mutex
	// using is held while an agent uses a join token.
	using [16]sync.Mutex
	seed  maphash.Seed
}

func (s *sessions) begin() {
	s.open, s.plain, s.seed = map[string]*session{}, map[string]domain.ID{}, maphash.MakeSeed()
}

// admission is the lock under which agents of a machine's name are let in.
func (s *sessions) admission(machine string) *sync.Mutex {
	return &s.admitting[maphash.String(s.seed, machine)%uint64(len(s.admitting))]
}

// turn returns the lock that serializes uses of a join token. Each use appends to the token's stream, so concurrent uses
// would conflict again and again.
func (s *sessions) turn(token string) *sync.Mutex {
	return &s.using[maphash.String(s.seed, token)%uint64(len(s.using))]
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

func (s *sessions) of(machine string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[machine]
}

func (s *sessions) put(each *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[each.machine] = each
	delete(s.plain, each.machine)
}

// drop removes a session, unless another has replaced it.
func (s *sessions) drop(each *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[each.machine] == each {
		delete(s.open, each.machine)
	}
}

func (s *sessions) setPlain(machine string, session domain.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain[machine] = session
}

func (s *sessions) isPlain(machine string, session domain.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plain[machine] == session
}

// forgetPlain drops the sessions by plain HTTP that have ended: machines come and go for as long as the server runs.
func (s *sessions) forgetPlain(e *engine.Engine, machines map[string]struct{}) {
	ended := map[string]domain.ID{}
	s.mu.Lock()
	for machine := range machines {
		if session, ok := s.plain[machine]; ok {
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
		if s.plain[machine] == session {
			delete(s.plain, machine)
		}
	}
}

// touched makes the sessions of these machines look for news, each of them for its own machine.
func (s *sessions) touched(machines map[string]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(machines) > len(s.open) {
		for machine, each := range s.open {
			if _, ok := machines[machine]; ok {
				each.look()
			}
		}
		return
	}
	for machine := range machines {
		if each := s.open[machine]; each != nil {
			each.look()
		}
	}
}

// closeAll ends every connection, so that the agents go to another server, or come back when this one has restarted.
func (s *sessions) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, each := range s.open {
		go each.conn.Close(websocket.StatusGoingAway, "the server stops")
	}
}

// versions counts the connected agents by the version that they report.
func (s *sessions) versions() map[string]int {
	count := map[string]int{}
	for _, each := range s.all() {
		count[each.version]++
	}
	return count
}
