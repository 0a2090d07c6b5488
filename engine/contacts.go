package engine

import (
	"container/list"
	"time"

	"github.com/droverhq/drover/domain"
)

// silence knows when each session was last heard of, and which ones have been silent for longest. Noting a heartbeat
// and finding that nobody is silent cost the same however many sessions there are. A machine may have two for a moment: a
// late word of the one that was replaced must not stand for the other.
type contacts struct {
	of    map[domain.ID]*list.Element // by the event that began the session
	order *list.List                  // of contacts, the longest silent first
}

// contact is when a session was last heard of.
type contact struct {
	machine string
	connect domain.ID
	at      time.Duration
}

func newContacts() contacts { return contacts{of: map[domain.ID]*list.Element{}, order: list.New()} }

// heard notes that a session was heard of; no contact was noted later than now.
func (s *contacts) heard(machine string, connect domain.ID, now time.Duration) {
	e := s.of[connect]
	if e == nil {
		s.add(machine, connect, now)
		return
	}
	e.Value.(*contact).at = now
	s.order.MoveToBack(e)
}

// begin notes that a session was heard of, if it never was.
func (s *contacts) add(machine string, connect domain.ID, now time.Duration) {
	if s.of[connect] == nil {
		s.of[connect] = s.order.PushBack(&contact{machine, connect, now})
	}
}

// last is the newest contact with a session.
func (s *contacts) last(connect domain.ID) (at time.Duration, known bool) {
	if e := s.of[connect]; e != nil {
		return e.Value.(*contact).at, true
	}
	return 0, false
}

// move puts all contacts later; it must keep their order.
func (s *contacts) shift(later func(time.Duration) time.Duration) {
	for e := s.order.Front(); e != nil; e = e.Next() {
		c := e.Value.(*contact)
		c.at = later(c.at)
	}
}

// since are the contacts before a moment, longest silent first. Those that live does not want any more are forgotten.
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
		}
		e = next
	}
	return silent
}
