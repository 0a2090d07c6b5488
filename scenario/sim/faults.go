package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// count notes a fault, for the report of a long run.
func (p *plant) count(fault string) { p.faults[fault]++ }

// stopProcess lets a whole process stand still. It wakes after 40 seconds, longer than a lease and a grace, or when it is told to.
func (p *plant) stopProcess(s *server, n int) {
	p.story.add("stop %s server=%s", clockText(p.now), s.name)
	p.count("process stopped")
	s.frozen, s.since, s.wakes = true, p.now, 0
	if n%2 == 0 {
		s.wakes = p.now + 40*time.Second
	}
}

func (p *plant) stop(st step) {
	if s := p.serving(st.a); s.pass == nil {
		p.stopProcess(s, st.b)
	}
}

// lag makes the next reads of a server end early.
func (p *plant) lag(st step) {
	s := p.serving(st.a)
	for n := st.b; n > 0 && len(s.wire.cuts) < 6; n /= 6 {
		s.wire.cuts = append(s.wire.cuts, 2+n%6) // the first is the newest one read before, and a reader that waits for its own write must get on
	}
	s.wire.breaks = st.b%5 == 0
	p.count("page cut")
	p.story.comment("server %s reads pages of %v events next", s.name, s.wire.cuts)
}

// unlag lets all servers read whole pages again.
func (p *plant) unlag(step) {
	for _, s := range p.servers {
		s.wire.cuts, s.wire.breaks = nil, false
	}
}

func (p *plant) deliverTwice(st step) {
	s := p.serving(st.a)
	s.wire.again = 1 + st.b%50
	p.count("page delivered twice")
	p.story.comment("server %s gets its last %d events again", s.name, s.wire.again)
}

func (p *plant) deafen(st step) {
	s := p.serving(st.a)
	s.wire.deaf = 1 + st.b%7
	p.count("reply lost")
	p.story.comment("server %s loses the answers to its next %d appends", s.name, s.wire.deaf)
}

// cutOff makes the log unavailable for the next calls of one server, or of all.
func (p *plant) cutOff(st step) {
	hit := []*server{p.serving(st.a)}
	if st.a%3 == 0 {
		hit = p.servers
	}
	for _, s := range hit {
		s.wire.out = 1 + st.b%12
		p.count("log unavailable")
		p.story.comment("server %s does not reach the log with its next %d calls", s.name, s.wire.out)
	}
}

// blind keeps a server from renewing its lease and from seeing those of the others.
func (p *plant) blind(st step) {
	s := p.serving(st.a)
	s.wire.blind = 2 * (1 + st.b%4)
	p.count("late look at leases")
	p.story.comment("server %s does not see the leases for its next %d looks", s.name, s.wire.blind)
}

// doom makes a server die of one of its next appends: after it was committed, before it was answered.
func (p *plant) doom(st step) {
	s := p.serving(st.a)
	s.wire.last = st.b % 4
	p.count("crash in an append")
	p.story.comment("server %s dies of append %d from here", s.name, s.wire.last+1)
}

// skews are by how much a wall clock jumps away from the right time; the last one makes it stand still.
var skews = []time.Duration{0, 90 * time.Second, -90 * time.Second, time.Hour, -10 * time.Minute, 26 * time.Hour, -26 * time.Hour, 0}

// skew puts a server's wall clock wrong.
func (p *plant) skew(st step) {
	s, n := p.serving(st.a), st.b%len(skews)
	p.setClock(s, skews[n], n == len(skews)-1)
}

func (p *plant) setClock(s *server, by time.Duration, stands bool) {
	if stands {
		now := s.Now()
		s.standing = &now
		p.count("clock stands")
		p.story.add("clock %s stands server=%s", clockText(p.now), s.name)
		return
	}
	s.offset, s.standing = by, nil
	p.count("clock jumps")
	p.story.add("clock %s by=%s server=%s", clockText(p.now), by, s.name)
}

// faultLines lists the faults of a run by kind.
func faultLines(faults map[string]int) string {
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(faults)) {
		lines = append(lines, fmt.Sprintf("%s %d", kind, faults[kind]))
	}
	return strings.Join(lines, ", ")
}
