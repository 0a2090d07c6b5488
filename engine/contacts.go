package engine

import (
	"container/list"
	"time"

	"github.com/droverhq/drover/domain"
)

// contacts records when each session was last heard from, and keeps the sessions in that order. Recording a heartbeat
// and finding that no session is silent take the same time for any number of sessions. A machine may have two sessions
// for a moment: a late heartbeat of the replaced session must not count for the new one.
type contacts struct {
	of    map[domain.ID]*list.Element // by Connect of the machine
	order *list.List                  // of *contact, longest silent first
	// overHTTP counts the sessions over plain HTTP.
	overHTTP int
}

// contact is the last contact with a session.
type contact struct {
	machine string
	connect domain.ID
	at      time.Duration
	// overHTTP is set for a session over plain HTTP, whose heartbeats may reach other servers.
	overHTTP bool
}

func newContacts() contacts { return contacts{of: map[domain.ID]*list.Element{}, order: list.New()} }

// record sets the last contact with a session to now. now must not be earlier than that of any other contact.
func (s *contacts) record(machine string, connect domain.ID, now time.Duration) {
	e := s.of[connect]
	if e == nil {
		s.add(machine, connect, now)
		return
	}
	e.Value.(*contact).at = now
	s.order.MoveToBack(e)
}

// add records a contact for a session that has none.
func (s *contacts) add(machine string, connect domain.ID, now time.Duration) {
	if s.of[connect] == nil {
		s.of[connect] = s.order.PushBack(&contact{machine: machine, connect: connect, at: now})
	}
}

// markOverHTTP records that a session uses plain HTTP.
func (s *contacts) markOverHTTP(connect domain.ID) {
	if c, ok := s.get(connect); ok && !c.overHTTP {
		c.overHTTP = true
		s.overHTTP++
	}
}

// heardElsewhere records that another server heard from a session at a time. It counts as a contact now, because that
// keeps the order, unless an earlier contact is newer.
func (s *contacts) heardElsewhere(connect domain.ID, at, now time.Duration) {
	if c, ok := s.get(connect); ok && at > c.at {
		s.record(c.machine, connect, now)
		s.markOverHTTP(connect)
	}
}

func (s *contacts) get(connect domain.ID) (*contact, bool) {
	e := s.of[connect]
	if e == nil {
		return nil, false
	}
	return e.Value.(*contact), true
}

// last returns the time of the last contact with a session.
func (s *contacts) last(connect domain.ID) (at time.Duration, known bool) {
	if e := s.of[connect]; e != nil {
		return e.Value.(*contact).at, true
	}
	return 0, false
}

// shift changes the time of all contacts. It must keep their order.
func (s *contacts) shift(later func(time.Duration) time.Duration) {
	for e := s.order.Front(); e != nil; e = e.Next() {
		c := e.Value.(*contact)
		c.at = later(c.at)
	}
}

// silentSince returns the contacts before a time, longest silent first. It drops those for which live returns false.
func (s *contacts) silentSince(before time.Duration, live func(contact) bool) (silent []contact) {
	for e := s.order.Front(); e != nil; {
		c, next := *e.Value.(*contact), e.Next()
		if c.at >= before {
			break
		}
		if live(c) {
			silent = append(silent, c)
		} else {
			s.order.Remove(e)
			delete(s.of, c.connect)
			if c.overHTTP {
				s.overHTTP--
			}
		}
		e = next
	}
	return silent
}
