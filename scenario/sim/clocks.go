package sim

import (
	"slices"
	"time"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/domain"
)

// reputation is what can have confirmed the wrong clock of a server. It is an independent and more generous version of
// package clocks.
type reputation struct {
	// since is when the clock was last set, or when the server started.
	since time.Duration
	// before is the error of the clock before since.
	before time.Duration
	// accepted are the errors with which the server's clock may have been confirmed since the server started.
	accepted []time.Duration
}

// stale is how long the lease of a server can show the clock that it had before.
const stale = 6 * time.Minute

// wrong returns the error of the server's wall clock.
func (s *server) wrong() time.Duration { return s.Now().Sub(start.Add(s.cluster.now)) }

// changeClock changes a server's clock.
func (p *cluster) changeClock(s *server, change func()) {
	p.noteClocks()
	s.clock.before, s.clock.since = s.wrong(), p.now
	change()
	p.noteClocks()
}

// noteClocks records which wrong clocks have a reason to be confirmed: another server shows the same time, or the clock
// has been unchanged for long enough.
func (p *cluster) noteClocks() {
	for _, s := range p.servers {
		settled := s.standing == nil && p.now-s.clock.since >= clocks.Settle
		if slices.Contains(s.clock.accepted, s.wrong()) {
			continue
		}
		if settled || slices.ContainsFunc(p.servers, func(o *server) bool { return o != s && s.confirmedBy(o) }) {
			s.clock.accepted = append(s.clock.accepted, s.wrong())
		}
	}
}

// confirmedBy reports whether the server may take the clock of another one for a confirmation.
func (s *server) confirmedBy(o *server) bool {
	return near(o.wrong(), s.wrong(), s, o) || o.cluster.now-o.clock.since <= stale && near(o.clock.before, s.wrong(), s, o)
}

// near reports whether two clocks may agree, now or until the simulation looks again. Clocks that stand still change
// their error.
func near(a, b time.Duration, servers ...*server) bool {
	bound := clocks.Bound + time.Minute
	for _, s := range servers {
		if s.standing != nil {
			bound += clocks.Bound
		}
	}
	return (a - b).Abs() <= bound
}

// checkExpiry checks a pin or hold that a server has lifted because it expired. A wrong clock counts only if another
// server has it too, or if it has been unchanged for long. The clocks of the agents, except that of one, are right.
func (p *cluster) checkExpiry(by origin, what, reason string) {
	s := by.server
	if reason != domain.Expired || s == nil || s.clock.since > by.decided {
		return
	}
	p.noteClocks()
	wrong := s.wrong()
	if near(wrong, 0, s) || slices.ContainsFunc(s.clock.accepted, func(a time.Duration) bool { return near(a, wrong, s) }) {
		return
	}
	p.violate("law 29: one wrong clock does no lasting harm",
		"server %s, whose clock is wrong by %s since %s, lifted %s", s.name, wrong, clockText(s.clock.since), what)
}

// skews contains the errors of wall clocks; the last entry stops the clock.
var skews = []time.Duration{0, 90 * time.Second, -90 * time.Second, time.Hour, -10 * time.Minute,
	26 * time.Hour, -26 * time.Hour, 0}

// skew sets the error of a server's wall clock.
func (p *cluster) skew(st step) {
	s, n := p.serving(st.a), st.b%len(skews)
	p.setClock(s, skews[n], n == len(skews)-1)
}

func (p *cluster) setClock(s *server, by time.Duration, stands bool) {
	if stands {
		now := s.Now()
		p.changeClock(s, func() { s.standing = &now })
		p.count("clock stands")
		p.transcript.add("clock %s stands server=%s", clockText(p.now), s.name)
		return
	}
	p.changeClock(s, func() { s.offset, s.standing = by, nil })
	p.count("clock jumps")
	p.transcript.add("clock %s by=%s server=%s", clockText(p.now), by, s.name)
}
