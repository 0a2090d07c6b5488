package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// server is one drover server, and the clock of the machine it runs on.
type server struct {
	name   string
	plant  *plant
	engine *engine.Engine
	wire   *wire
	// offset is how wrong its wall clock is.
	offset time.Duration
	down   bool
	// pass is the tick in whose middle it is, nil for none; done says after which step.
	pass *engine.Pass
	done string
	// from is where its view stood when the pass began.
	from eventlog.Position
	// frozen says that the whole process stands still since then, not only its tick.
	frozen bool
	since  time.Duration
}

// Now is the server's wall clock.
func (s *server) Now() time.Time { return day.Add(s.plant.now + s.offset) }

// Elapsed is its monotonic clock.
func (s *server) Elapsed() time.Duration { return s.plant.now + time.Duration(s.name[0])*time.Hour }

// live says whether the process does anything now.
func (s *server) live() bool { return !s.down && !s.frozen }

func (s *server) faulty() bool {
	w := s.wire
	return len(w.cuts) > 0 || w.deaf > 0 || w.last >= 0 || w.dead
}

// view is the server's own fold.
func (s *server) view() (view *projections.View) {
	s.engine.Read(func(v *projections.View) { view = v })
	return view
}

// open starts a server that is down.
func (p *plant) open(s *server) {
	p.story.add("start %s server=%s", clockText(p.now), s.name)
	p.reopen(s)
}

// reopen starts a server under a new id; it folds the whole log.
func (p *plant) reopen(s *server) {
	s.wire = newWire(p.log)
	e, err := engine.Open(p.ctx, engine.Config{Log: s.wire, Clock: s, Server: p.id("server", s.name), Version: "sim"})
	if err == nil {
		err = e.Lease(p.ctx, p.log)
	}
	if err == nil {
		err = e.Start(p.ctx)
	}
	if err != nil {
		p.breaks("the simulation itself", "start server %s: %v", s.name, err)
	}
	s.engine, s.down, s.frozen, s.pass = e, false, false, nil
}

// serving picks a server that takes requests; if there is none, one comes back.
func (p *plant) serving(n int) *server {
	var live []*server
	for _, s := range p.servers {
		if s.live() {
			live = append(live, s)
		}
	}
	if len(live) > 0 {
		return live[n%len(live)]
	}
	s := p.servers[n%len(p.servers)]
	if s.down {
		p.open(s)
	} else {
		p.finish(s)
	}
	if s.down {
		p.open(s)
	}
	return s
}

// bury takes note that a server's process is gone, and with it its agents' connections.
func (p *plant) bury(s *server) {
	if s.down {
		return
	}
	s.down, s.frozen, s.pass, s.wire.dead = true, false, nil, true
	for _, a := range p.agents {
		if a.server == s {
			a.server = nil
		}
	}
}

// survived says whether a server's work ended well. A log that could not be read is tried again later.
func (p *plant) survived(s *server, what string, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, errDead):
		p.story.add("kill %s server=%s", clockText(p.now), s.name)
		p.bury(s)
	case !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrUnknownOutcome):
		p.breaks("a server goes on", "%s of server %s: %v", what, s.name, err)
	}
	return false
}

// react does at once what follows; a server in the middle of a tick does it when that ends.
func (p *plant) react(s *server) {
	if !s.live() || s.pass != nil {
		return
	}
	_, err := s.engine.React(p.ctx)
	p.survived(s, "reaction", err)
}

// kick asks a server to react to what it was told. Every fourth time others come first.
func (p *plant) kick(s *server) {
	if p.kicks++; p.kicks%4 > 0 {
		p.react(s)
		return
	}
	p.story.comment("server %s does not react at once", s.name)
}

func (p *plant) tick(st step) {
	s := p.serving(st.a)
	if s.pass != nil {
		p.finish(s)
		return
	}
	p.story.add("tick %s server=%s", clockText(p.now), s.name)
	p.ledger.from = s.engine.Position()
	_, err := s.engine.Tick(p.ctx)
	p.survived(s, "tick", err)
}

// begin takes a tick as far as a step.
func (p *plant) begin(s *server, done string) {
	s.from, s.since, s.done = s.engine.Position(), p.now, done
	p.ledger.from = s.from
	pass, err := s.engine.Begin(p.ctx)
	if !p.survived(s, "tick", err) {
		return
	}
	s.pass = pass
	if done == "read" {
		return
	}
	pass.Decide()
	if done == "append" {
		p.survived(s, "tick", pass.Append(p.ctx))
	}
}

var passSteps = []string{"read", "decide", "append"}

func (p *plant) pause(st step) {
	s := p.serving(st.a)
	if s.pass != nil {
		return
	}
	done := passSteps[st.b%3]
	p.story.add("pause after=%s server=%s", done, s.name)
	p.story.add("tick %s server=%s", clockText(p.now), s.name)
	p.begin(s, done)
	s.frozen = s.pass != nil && st.b/3%2 == 1
}

func (p *plant) resume(st step) {
	var paused []*server
	for _, s := range p.servers {
		if s.pass != nil {
			paused = append(paused, s)
		}
	}
	if len(paused) > 0 {
		p.finish(paused[st.a%len(paused)])
	}
}

// watchdog is how long a process can stand still before it takes itself for one that was stopped.
const watchdog = 5 * time.Second

// finish takes a paused tick to its end. A process that stood still puts its clocks right first.
func (p *plant) finish(s *server) {
	pass := s.pass
	if pass == nil {
		return
	}
	p.story.add("resume %s server=%s", clockText(p.now), s.name)
	if s.frozen && p.now-s.since > watchdog {
		s.engine.RestartSilence()
	}
	s.pass, s.frozen = nil, false
	p.ledger.from = s.from
	if s.done == "read" {
		pass.Decide()
	}
	if s.done != "append" && !p.survived(s, "tick", pass.Append(p.ctx)) {
		return
	}
	_, err := pass.Finish(p.ctx)
	p.survived(s, "tick", err)
}

func (p *plant) crash(st step) {
	s := p.serving(st.a)
	if s.pass == nil {
		done := passSteps[st.b%3]
		p.story.add("crash after=%s server=%s", done, s.name)
		p.story.add("tick %s server=%s", clockText(p.now), s.name)
		p.begin(s, done)
		p.bury(s)
		p.reopen(s)
		for _, name := range p.names {
			p.agent(name).comesBack(s)
		}
		return
	}
	p.story.add("kill %s server=%s", clockText(p.now), s.name)
	p.bury(s)
}

func (p *plant) kill(st step) {
	s := p.servers[st.a%len(p.servers)]
	if !s.down {
		p.story.add("kill %s server=%s", clockText(p.now), s.name)
		p.bury(s)
	}
}

func (p *plant) start(st step) {
	for i := range p.servers {
		if s := p.servers[(st.a+i)%len(p.servers)]; s.down {
			p.open(s)
			return
		}
	}
}

var spans = []time.Duration{15 * time.Second, time.Second, 5 * time.Second, 40 * time.Second, 15 * time.Second,
	2 * time.Minute, 15 * time.Second, 5 * time.Second, 15 * time.Second, 5 * time.Minute}

func (p *plant) pass(st step) { p.elapse(spans[st.a%len(spans)], st.b%2 == 0) }

// elapse moves the clock. Live servers renew their leases, connected agents send heartbeats, and servers
// notice what time has brought, unless the step says that their reaction is late.
func (p *plant) elapse(d time.Duration, reacts bool) {
	p.now += d
	for range 2 { // so that each sees the newest lease of all others
		for _, s := range p.servers {
			if s.live() {
				p.survived(s, "lease", s.engine.Lease(p.ctx, p.log))
			}
		}
	}
	for i, name := range p.names {
		if a := p.agents[name]; a != nil {
			a.comesBack(p.serving(i))
			a.heartbeat()
		}
	}
	if !reacts {
		return
	}
	p.story.comment("%s: every running server reacts", clockText(p.now))
	for _, s := range p.servers {
		p.react(s)
	}
}

// lag makes the next reads of a server end early.
func (p *plant) lag(st step) {
	s := p.serving(st.a)
	for n := st.b; n > 0 && len(s.wire.cuts) < 6; n /= 6 {
		s.wire.cuts = append(s.wire.cuts, 1+n%6) // never 0: a reader that waits for its own write must get on
	}
	s.wire.breaks = st.b%5 == 0
	p.story.comment("server %s reads pages of %v events next", s.name, s.wire.cuts)
}

func (p *plant) deliverTwice(st step) {
	s := p.serving(st.a)
	s.wire.again = 1 + st.b%50
	p.story.comment("server %s gets its last %d events again", s.name, s.wire.again)
}

func (p *plant) deafen(st step) {
	s := p.serving(st.a)
	s.wire.deaf = 1 + st.b%7
	p.story.comment("server %s loses the answers to its next %d appends", s.name, s.wire.deaf)
}

// doom makes a server die of one of its next appends: after it was committed, before it was answered.
func (p *plant) doom(st step) {
	s := p.serving(st.a)
	s.wire.last = st.b % 4
	p.story.comment("server %s dies of append %d from here", s.name, s.wire.last+1)
}

// skew puts a server's wall clock wrong.
func (p *plant) skew(st step) {
	s := p.serving(st.a)
	s.offset = []time.Duration{0, 90 * time.Second, -90 * time.Second, time.Hour}[st.b%4]
	p.story.comment("the wall clock of server %s is wrong by %s", s.name, s.offset)
}

func clockText(at time.Duration) string {
	n := int(at / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
}
