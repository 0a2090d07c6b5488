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

// server is one drover server with the clock of its machine.
type server struct {
	name      string
	cluster   *cluster
	engine    *engine.Engine
	log       *faultyLog
	snapshots snapshotStore
	// offset is the error of its wall clock; standing is the time at which the clock has stopped, or nil.
	offset   time.Duration
	standing *time.Time
	down     bool
	// rules is the version of its rules; 1, the default, stands for the rules of this program.
	rules int
	clock reputation
	// pass is the paused tick, or nil; done is its last completed step.
	pass *engine.Pass
	done string
	// from is the position of its view at the start of the pass.
	from eventlog.Position
	// frozen is set while the whole process is frozen, not only its tick; since is the start. wakes is when it continues
	// by itself; 0 means by a step.
	frozen       bool
	since, wakes time.Duration
	// steady is since when it has renewed its lease without interruption; looked is when it last read the other leases.
	steady, looked time.Duration
	// woke is when its process last continued after it was frozen.
	woke    time.Duration
	current origin
}

// origin describes the writer of an event: the server, the position of its view at the start of the tick, and when it
// decided and had last read the leases of the others.
type origin struct {
	server          *server
	from            eventlog.Position
	decided, looked time.Duration
	rules           int // the version of the rules of the decision
}

// Now returns the time of the server's wall clock.
func (s *server) Now() time.Time {
	if s.standing != nil {
		return *s.standing
	}
	return start.Add(s.cluster.now + s.offset)
}

// Elapsed returns the time of its monotonic clock.
func (s *server) Elapsed() time.Duration { return s.cluster.now + time.Duration(s.name[0])*time.Hour }

// running reports whether the process is running and not frozen.
func (s *server) running() bool { return !s.down && !s.frozen }

func (s *server) faulty() bool {
	w := s.log
	return len(w.pageSizes) > 0 || w.unavailable > 0 || w.lostReplies > 0 || w.diesAfter >= 0 || w.dead
}

// view returns the server's view.
func (s *server) view() (view *projections.View) {
	s.engine.Read(func(v *projections.View) { view = v })
	return view
}

// open starts a server that is down.
func (p *cluster) open(s *server) {
	rules := ""
	if s.rules > 0 {
		rules = fmt.Sprintf(" rules=%d", s.rules)
	}
	p.transcript.add("start %s server=%s%s", clockText(p.now), s.name, rules)
	p.reopen(s)
	p.reconnectAgents(s)
}

// reopen starts a server with a new id. It folds the log.
func (p *cluster) reopen(s *server) {
	s.current = origin{server: s, rules: s.rules}
	s.log = newFaultyLog(p.log, func(e eventlog.Event) { p.origins[e.ID] = s.current })
	e, err := engine.Open(p.ctx, engine.Config{Log: s.log, Clock: s, Server: p.id("server", s.name),
		Rules: p.rulesOf(s), Version: "sim", Snapshots: &s.snapshots})
	if err == nil {
		err = e.RenewLease(p.ctx, p.log)
	}
	if err == nil {
		err = e.Start(p.ctx)
	}
	if err != nil {
		p.violate("the simulation itself", "start server %s: %v", s.name, err)
	}
	s.engine, s.down, s.frozen, s.pass, s.steady, s.looked = e, false, false, nil, p.now, p.now
	s.clock = reputation{since: p.now, before: s.clock.before}
	p.noteClocks()
}

// serving selects a server that accepts requests, and starts one if necessary. Like a load balancer, it skips servers
// that are fenced off by newer rules.
func (p *cluster) serving(n int) *server {
	var live []*server
	for _, s := range p.servers {
		if s.running() && s.rules == p.rules {
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

// upgrade restarts a server with newer rules, or a server that the upgrade of another one has fenced off.
func (p *cluster) upgrade(st step) {
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

// maxRules bounds the upgrades of a run.
const maxRules = 4

// renewRules ends a server, so that it starts again with the newest rules.
func (p *cluster) renewRules(s *server) {
	if !s.down {
		p.transcript.add("kill %s server=%s", clockText(p.now), s.name)
		p.markDead(s)
	}
	s.rules = p.rules
}

// markDead records that a server's process has ended, and with it the connections of its agents.
func (p *cluster) markDead(s *server) {
	if s.down {
		return
	}
	s.down, s.frozen, s.pass, s.log.dead = true, false, nil, true
	for _, a := range p.agents {
		if a.server == s {
			a.server, a.lost = nil, s
		}
	}
}

// succeeded reports whether a call of a server succeeded. A crash is recorded; an unavailable log is retried later.
func (p *cluster) succeeded(s *server, what string, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, errDead):
		if !s.down {
			p.transcript.add("kill %s server=%s", clockText(p.now), s.name)
		}
		p.markDead(s)
	case !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrUnknownOutcome):
		p.violate("a server continues", "%s of server %s: %v", what, s.name, err)
	}
	return false
}

// react runs a reaction. A paused tick ends with its own reaction.
func (p *cluster) react(s *server) {
	if !s.running() || s.pass != nil {
		return
	}
	p.setOrigin(s, p.now)
	_, err := s.engine.React(p.ctx)
	p.succeeded(s, "reaction", err)
}

// kick makes a server react to a request, unless the reaction is delayed.
func (p *cluster) kick(s *server) {
	if !p.lateReaction {
		p.react(s)
	}
}

// beginRequest starts a request to a server and returns the server's name for the transcript. Every fourth reaction is
// delayed.
func (p *cluster) beginRequest(s *server) string {
	p.kicks++
	if p.lateReaction = p.kicks%4 == 0; p.lateReaction {
		return s.name + " reacts=no"
	}
	return s.name
}

func (p *cluster) tick(st step) {
	s := p.serving(st.a)
	if s.pass != nil {
		p.finish(s)
		return
	}
	p.transcript.add("tick %s server=%s", clockText(p.now), s.name)
	p.setOrigin(s, p.now)
	p.ticks++
	_, err := s.engine.Tick(p.ctx)
	if p.succeeded(s, "tick", err) {
		p.checkSnapshot(s)
	}
}

// begin runs a tick up to a step.
func (p *cluster) begin(s *server, done string) {
	s.from, s.since, s.done = s.engine.Position(), p.now, done
	p.setOrigin(s, p.now)
	p.ticks++
	pass, err := s.engine.Begin(p.ctx)
	if !p.succeeded(s, "tick", err) {
		return
	}
	s.pass = pass
	if done == "read" {
		return
	}
	pass.Decide()
	if done == "append" {
		p.succeeded(s, "tick", pass.Append(p.ctx))
	}
}

var passSteps = []string{"read", "decide", "append"}

func (p *cluster) pause(st step) {
	s := p.serving(st.a)
	if s.pass != nil {
		return
	}
	done := passSteps[st.b%3]
	p.begin(s, done)
	if s.pass == nil {
		p.transcript.comment("%s: a tick of server %s does not end", clockText(p.now), s.name)
		return
	}
	p.count("tick paused after " + done)
	p.transcript.add("pause after=%s server=%s", done, s.name)
	p.transcript.add("tick %s server=%s", clockText(p.now), s.name)
	if st.b/3%2 == 1 {
		p.stopProcess(s, st.b/6)
	}
}

func (p *cluster) resume(st step) {
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

// watchdog is how long a process can be frozen before it restarts its timeouts.
const watchdog = 5 * time.Second

// wake continues a frozen process, which first restarts its timeouts, and finishes a paused tick.
func (p *cluster) wake(s *server) {
	if s.frozen {
		p.transcript.add("wake %s server=%s", clockText(p.now), s.name)
		if p.now-s.since > watchdog {
			s.engine.RestartTimeouts()
		}
		if s.frozen, s.steady = false, p.now; p.now-s.since > watchdog {
			s.woke = p.now
		}
		p.succeeded(s, "lease", s.engine.RenewLease(p.ctx, s.log))
	}
	p.finish(s)
}

// finish finishes a paused tick.
func (p *cluster) finish(s *server) {
	pass := s.pass
	if pass == nil {
		return
	}
	p.transcript.add("resume %s server=%s", clockText(p.now), s.name)
	s.pass = nil
	decided := p.now
	if s.done != "read" {
		decided = s.since
	}
	p.setOrigin(s, decided)
	s.current.from = s.from
	if s.done == "read" {
		pass.Decide()
	}
	if s.done != "append" && !p.succeeded(s, "tick", pass.Append(p.ctx)) {
		return
	}
	p.setOrigin(s, p.now) // the passes that follow read and decide again
	_, err := pass.Finish(p.ctx)
	if p.succeeded(s, "tick", err) {
		p.checkSnapshot(s)
	}
}

func (p *cluster) crash(st step) {
	s := p.serving(st.a)
	if s.pass == nil {
		done := passSteps[st.b%3]
		p.transcript.add("crash after=%s server=%s", done, s.name)
		p.transcript.add("tick %s server=%s", clockText(p.now), s.name)
		p.count("crash after " + done)
		p.begin(s, done)
		p.markDead(s)
		p.reopen(s)
		p.reconnectAgents(s)
		return
	}
	p.transcript.add("kill %s server=%s", clockText(p.now), s.name)
	p.count("kill within a tick")
	p.markDead(s)
}

func (p *cluster) kill(st step) {
	s := p.servers[st.a%len(p.servers)]
	if !s.down {
		p.count("kill")
		p.transcript.add("kill %s server=%s", clockText(p.now), s.name)
		p.markDead(s)
	}
}

func (p *cluster) start(st step) {
	for i := range p.servers {
		if s := p.servers[(st.a+i)%len(p.servers)]; s.down {
			p.open(s)
			return
		}
	}
}

var spans = []time.Duration{15 * time.Second, time.Second, 5 * time.Second, 40 * time.Second, 15 * time.Second,
	2 * time.Minute, 15 * time.Second, 5 * time.Second, 15 * time.Second, 5 * time.Minute}

func (p *cluster) pass(st step) { p.elapse(spans[st.a%len(spans)], st.b%2 == 0) }

// elapse moves the clock. Running servers renew their leases, connected agents send heartbeats, and frozen processes
// wake. Servers then react, unless the step delays their reactions.
func (p *cluster) elapse(d time.Duration, reacts bool) {
	p.now += d
	p.noteClocks()
	if d <= watchdog || slices.ContainsFunc(p.servers, (*server).running) {
		p.watched += d
	}
	p.renew()
	for _, a := range p.agents {
		a.heartbeat()
	}
	for i, name := range p.names {
		if a := p.agents[name]; a != nil {
			a.reconnect(p.serving(i))
			a.restoreSession()
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

// renew makes every running server renew its lease and read those of the others.
func (p *cluster) renew() {
	for range 2 { // so that each server reads the newest leases of all others
		for _, s := range p.servers {
			switch {
			case !s.running():
			case p.succeeded(s, "lease", s.engine.RenewLease(p.ctx, s.log)):
				s.looked = p.now
			default:
				s.steady = p.now
			}
		}
	}
}

func (p *cluster) reactAll() {
	var names []string
	for _, s := range p.servers {
		if s.running() && s.pass == nil {
			names = append(names, s.name)
		}
	}
	if len(names) == 0 {
		return
	}
	p.transcript.add("react %s servers=(%s)", clockText(p.now), strings.Join(names, ","))
	for _, s := range p.servers {
		p.react(s)
	}
}

// setOrigin records the origin of the events that a server is about to write.
func (p *cluster) setOrigin(s *server, decided time.Duration) {
	s.current = origin{server: s, from: s.engine.Position(), decided: decided, looked: s.looked, rules: s.rules}
}

func clockText(at time.Duration) string {
	n := int(at / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
}
