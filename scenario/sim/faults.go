package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// count counts an injected fault for the report of a long run.
func (p *cluster) count(fault string) { p.faults[fault]++ }

// stopProcess freezes a whole process. It wakes after 40 seconds, longer than a lease and a grace period, or by a step.
func (p *cluster) stopProcess(s *server, n int) {
	p.transcript.add("stop %s server=%s", clockText(p.now), s.name)
	p.count("process stopped")
	s.frozen, s.since, s.wakes = true, p.now, 0
	if n%2 == 0 {
		s.wakes = p.now + 40*time.Second
	}
}

func (p *cluster) stop(st step) {
	if s := p.serving(st.a); s.pass == nil {
		p.stopProcess(s, st.b)
	}
}

// lag limits the pages of a server's next reads.
func (p *cluster) lag(st step) {
	s := p.serving(st.a)
	for n := st.b; n > 0 && len(s.log.pageSizes) < 6; n /= 6 {
		// at least 2: the first event is a repeated one, and a reader that waits for its own write must progress
		s.log.pageSizes = append(s.log.pageSizes, 2+n%6)
	}
	s.log.failReads = st.b%5 == 0
	p.count("page cut")
	p.transcript.comment("server %s reads pages of %v events next", s.name, s.log.pageSizes)
}

// unlag removes the page limits of all servers.
func (p *cluster) unlag(step) {
	for _, s := range p.servers {
		s.log.pageSizes, s.log.failReads = nil, false
	}
}

func (p *cluster) deliverTwice(st step) {
	s := p.serving(st.a)
	s.log.redeliver = 1 + st.b%50
	p.count("page delivered twice")
	p.transcript.comment("server %s receives its last %d events again", s.name, s.log.redeliver)
}

func (p *cluster) deafen(st step) {
	s := p.serving(st.a)
	s.log.lostReplies = 1 + st.b%7
	p.count("reply lost")
	p.transcript.comment("server %s loses the replies to its next %d appends", s.name, s.log.lostReplies)
}

// cutOff makes the log unavailable for the next calls of one server, or of all.
func (p *cluster) cutOff(st step) {
	hit := []*server{p.serving(st.a)}
	if st.a%3 == 0 {
		hit = p.servers
	}
	for _, s := range hit {
		s.log.unavailable = 1 + st.b%12
		p.count("log unavailable")
		p.transcript.comment("the log is unavailable for the next %[2]d calls of server %[1]s", s.name, s.log.unavailable)
	}
}

// blind prevents a server from renewing its lease and from reading the leases of the others.
func (p *cluster) blind(st step) {
	s := p.serving(st.a)
	s.log.noLeases = 2 * (1 + st.b%4)
	p.count("leases unavailable")
	p.transcript.comment("the leases are unavailable for the next %[2]d calls of server %[1]s", s.name, s.log.noLeases)
}

// doom makes a server crash in one of its next appends, after the commit and before the reply.
func (p *cluster) doom(st step) {
	s := p.serving(st.a)
	s.log.diesAfter = st.b % 4
	p.count("crash in an append")
	p.transcript.comment("server %s crashes in its append number %d from here", s.name, s.log.diesAfter+1)
}

// faultLines lists the injected faults by kind.
func faultLines(faults map[string]int) string {
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(faults)) {
		lines = append(lines, fmt.Sprintf("%s %d", kind, faults[kind]))
	}
	return strings.Join(lines, ", ")
}
