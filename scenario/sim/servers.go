package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
	shelf  shelf
	// offset is how wrong its wall clock is, standing when it stands still; nil while it goes.
	offset   time.Duration
	standing *time.Time
	down     bool
	// rules is the version of the rules that it decides by. They are counted from 1, those of this drover; 0 is 1.
	rules int
	// pass is the tick in whose middle it is, nil for none; done says after which step.
	pass *engine.Pass
	done string
	// from is where its view stood when the pass began.
	from eventlog.Position
	// frozen says that the whole process stands still since then, not only its tick; wakes is when it goes on by
	// itself, 0 for when it is told to.
	frozen       bool
	since, wakes time.Duration
	// steady is since when it renews its lease without a break, looked when it last saw those of the others.
	steady, looked time.Duration
	// woke is when its process last went on after it had stood still.
	woke  time.Duration
	doing origin
}

// origin is where an event came from: who wrote it, where its view stood when its tick began, and when it decided and
// had last seen the leases of the others.
type origin struct {
	server          *server
	from            eventlog.Position
	decided, looked time.Duration
	rules           int // by which it decided
}

// Now is the server's wall clock.
func (s *server) Now() time.Time {
	if s.standing != nil {
		return *s.standing
	}
	return day.Add(s.plant.now + s.offset)
}

// Elapsed is its monotonic clock.
func (s *server) Elapsed() time.Duration { return s.plant.now + time.Duration(s.name[0])*time.Hour }

// live says whether the process does anything now.
func (s *server) live() bool { return !s.down && !s.frozen }

func (s *server) faulty() bool {
	w := s.wire
	return len(w.cuts) > 0 || w.out > 0 || w.deaf > 0 || w.last >= 0 || w.dead
}

// view is the server's own fold.
func (s *server) view() (view *projections.View) {
	s.engine.Read(func(v *projections.View) { view = v })
	return view
}

// open starts a server that is down.
func (p *plant) open(s *server) {
	rules := ""
	if s.rules > 0 {
		rules = fmt.Sprintf(" rules=%d", s.rules)
	}
	p.story.add("start %s server=%s%s", clockText(p.now), s.name, rules)
	p.reopen(s)
	p.comeHome(s)
}

// reopen starts a server under a new id; it folds the whole log.
func (p *plant) reopen(s *server) {
	s.doing = origin{server: s, rules: s.rules}
	s.wire = newWire(p.log, func(e eventlog.Event) { p.origins[e.ID] = s.doing })
	e, err := engine.Open(p.ctx, engine.Config{Log: s.wire, Clock: s, Server: p.id("server", s.name), Rules: p.rulesOf(s), Version: "sim",
		Snapshots: &s.shelf})
	if err == nil {
		err = e.RenewLease(p.ctx, p.log)
	}
	if err == nil {
		err = e.Start(p.ctx)
	}
	if err != nil {
		p.breaks("the simulation itself", "start server %s: %v", s.name, err)
	}
	s.engine, s.down, s.frozen, s.pass, s.steady, s.looked = e, false, false, nil, p.now, p.now
}

// serving picks a server that takes requests; if there is none, one comes back. A load balancer passes over those that a
// newer drover has fenced off.
func (p *plant) serving(n int) *server {
	var live []*server
	for _, s := range p.servers {
		if s.live() && s.rules == p.rules {
			live = append(live, s)
		}
	}
	if len(live) > 0 {
		return live[n%len(live)]
	}
	s := p.servers[n%len(p.servers)]
	if !s.down {
		p.wake(s)
	}
	if s.rules != p.rules {
		p.renewRules(s)
	}
	if s.down {
		p.open(s)
	}
	return s
}

// upgrade starts a server again as a drover with newer rules, or one that the upgrade of another has fenced off.
func (p *plant) upgrade(st step) {
	s := p.servers[st.a%len(p.servers)]
	if st.b%4 == 0 && p.rules < maxRules {
		p.rules = max(1, p.rules) + 1
	}
	if s.rules != p.rules {
		p.count("server upgraded")
		p.renewRules(s)
		p.open(s)
	}
}

// maxRules bounds the upgrades of a day.
const maxRules = 4

// renewRules ends a server that is to start again with the newest rules.
func (p *plant) renewRules(s *server) {
	if !s.down {
		p.story.add("kill %s server=%s", clockText(p.now), s.name)
		p.bury(s)
	}
	s.rules = p.rules
}

// bury takes note that a server's process is gone, and with it its agents' connections.
func (p *plant) bury(s *server) {
	if s.down {
		return
	}
	s.down, s.frozen, s.pass, s.wire.dead = true, false, nil, true
	for _, a := range p.agents {
		if a.server == s {
			a.server, a.lost = nil, s
		}
	}
}

// survived says whether a server's work ended well. A log that could not be read is tried again later.
func (p *plant) survived(s *server, what string, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, errDead):
		if !s.down {
			p.story.add("kill %s server=%s", clockText(p.now), s.name)
		}
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
	p.acts(s, p.now)
	_, err := s.engine.React(p.ctx)
	p.survived(s, "reaction", err)
}

// kick asks a server to react to what it was told, unless others come first.
func (p *plant) kick(s *server) {
	if !p.tardy {
		p.react(s)
	}
}

// hears begins a request to a server: every fourth time its reaction comes late. It returns how the story calls the server.
func (p *plant) hears(s *server) string {
	p.kicks++
	if p.tardy = p.kicks%4 == 0; p.tardy {
		return s.name + " reacts=no"
	}
	return s.name
}

func (p *plant) tick(st step) {
	s := p.serving(st.a)
	if s.pass != nil {
		p.finish(s)
		return
	}
	p.story.add("tick %s server=%s", clockText(p.now), s.name)
	p.acts(s, p.now)
	p.ticks++
	_, err := s.engine.Tick(p.ctx)
	if p.survived(s, "tick", err) {
		p.picture(s)
	}
}

// begin takes a tick as far as a step.
func (p *plant) begin(s *server, done string) {
	s.from, s.since, s.done = s.engine.Position(), p.now, done
	p.acts(s, p.now)
	p.ticks++
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
	p.begin(s, done)
	if s.pass == nil {
		p.story.comment("%s: a tick of server %s does not come to its end", clockText(p.now), s.name)
		return
	}
	p.count("tick paused after " + done)
	p.story.add("pause after=%s server=%s", done, s.name)
	p.story.add("tick %s server=%s", clockText(p.now), s.name)
	if st.b/3%2 == 1 {
		p.stopProcess(s, st.b/6)
	}
}

func (p *plant) resume(st step) {
	var paused []*server
	for _, s := range p.servers {
		if s.pass != nil || s.frozen {
			paused = append(paused, s)
		}
	}
	if len(paused) > 0 {
		p.wake(paused[st.a%len(paused)])
	}
}

// watchdog is how long a process can stand still before it takes itself for one that was stopped.
const watchdog = 5 * time.Second

// wake lets a process that stood still go on, and a paused tick run to its end. What stood still puts its clocks right first.
func (p *plant) wake(s *server) {
	if s.frozen {
		p.story.add("wake %s server=%s", clockText(p.now), s.name)
		if p.now-s.since > watchdog {
			s.engine.RestartTimeouts()
		}
		if s.frozen, s.steady = false, p.now; p.now-s.since > watchdog {
			s.woke = p.now
		}
		p.survived(s, "lease", s.engine.RenewLease(p.ctx, s.wire))
	}
	p.finish(s)
}

// finish takes a paused tick to its end.
func (p *plant) finish(s *server) {
	pass := s.pass
	if pass == nil {
		return
	}
	p.story.add("resume %s server=%s", clockText(p.now), s.name)
	s.pass = nil
	decided := p.now
	if s.done != "read" {
		decided = s.since
	}
	p.acts(s, decided)
	s.doing.from = s.from
	if s.done == "read" {
		pass.Decide()
	}
	if s.done != "append" && !p.survived(s, "tick", pass.Append(p.ctx)) {
		return
	}
	_, err := pass.Finish(p.ctx)
	if p.survived(s, "tick", err) {
		p.picture(s)
	}
}

func (p *plant) crash(st step) {
	s := p.serving(st.a)
	if s.pass == nil {
		done := passSteps[st.b%3]
		p.story.add("crash after=%s server=%s", done, s.name)
		p.story.add("tick %s server=%s", clockText(p.now), s.name)
		p.count("crash after " + done)
		p.begin(s, done)
		p.bury(s)
		p.reopen(s)
		p.comeHome(s)
		return
	}
	p.story.add("kill %s server=%s", clockText(p.now), s.name)
	p.count("kill in the middle of a tick")
	p.bury(s)
}

func (p *plant) kill(st step) {
	s := p.servers[st.a%len(p.servers)]
	if !s.down {
		p.count("kill")
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

// elapse moves the clock. Live servers renew their leases, connected agents send heartbeats, stopped processes wake, and
// servers notice what time has brought, unless the step says that their reaction is late.
func (p *plant) elapse(d time.Duration, reacts bool) {
	p.now += d
	if d <= watchdog || slices.ContainsFunc(p.servers, (*server).live) {
		p.watched += d
	}
	p.renew()
	for _, a := range p.agents {
		a.heartbeat()
	}
	for i, name := range p.names {
		if a := p.agents[name]; a != nil {
			a.comesBack(p.serving(i))
			a.isHeard()
		}
	}
	for _, s := range p.servers {
		if s.frozen && s.wakes > 0 && p.now >= s.wakes {
			p.wake(s)
		}
	}
	if !reacts {
		p.count("late reaction")
		return
	}
	p.reactAll()
}

// renew lets every live server renew its lease, and look at those of the others.
func (p *plant) renew() {
	for range 2 { // so that each sees the newest lease of all others
		for _, s := range p.servers {
			switch {
			case !s.live():
			case p.survived(s, "lease", s.engine.RenewLease(p.ctx, s.wire)):
				s.looked = p.now
			default:
				s.steady = p.now
			}
		}
	}
}

func (p *plant) reactAll() {
	var names []string
	for _, s := range p.servers {
		if s.live() && s.pass == nil {
			names = append(names, s.name)
		}
	}
	if len(names) == 0 {
		return
	}
	p.story.add("react %s servers=(%s)", clockText(p.now), strings.Join(names, ","))
	for _, s := range p.servers {
		p.react(s)
	}
}

// acts notes what a server is about to do, on what it had read and when it decided.
func (p *plant) acts(s *server, decided time.Duration) {
	s.doing = origin{server: s, from: s.engine.Position(), decided: decided, looked: s.looked, rules: s.rules}
}

func clockText(at time.Duration) string {
	n := int(at / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
}
