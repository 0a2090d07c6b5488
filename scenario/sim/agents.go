package sim

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// agent is the agent of a machine, with the knowledge that only the machine has.
type agent struct {
	cluster  *cluster
	machine  string
	instance domain.ID
	session  domain.ID
	connect  domain.ID
	// since is when its connection last started to work; begun is when its session at this server started.
	since, begun time.Duration
	// heard is when a server last received a heartbeat from it.
	heard time.Duration
	// server holds its connection; nil without one. silent is set while nothing passes through the connection.
	server *server
	silent bool
	// lost is the server whose crash ended the connection, or nil.
	lost *server
	dead bool
	// left is set after a graceful disconnect. The agent then does not reconnect by itself.
	left bool
	// running is the part that it executes, or nil.
	running *execution
	// unreported lists the results that it has not reported yet.
	unreported []*execution
	// offer is a deployment that it was offered in the session offered. It may claim it later than allowed.
	offer, offered domain.ID
	// disk is the content that each project has left on the current disk.
	disk map[projectIncarnation]diskContent
	// remembered lists the deployments that succeeded here, by project. unstated is set after the disk was restored, until a
	// server has compared them with the log.
	remembered map[string][]domain.ID
	unstated   bool
	saved      *diskCopy
	// permitted is set if this instance may take the name of the machine, as with a join token that is bound to it.
	permitted bool
}

// projectIncarnation distinguishes a project from a later one of the same name.
type projectIncarnation struct {
	name    string
	defined eventlog.Position
}

// diskContent is the actual state of a project on a disk.
type diskContent struct {
	release string
	// broken is set if the last part that started there did not succeed.
	broken bool
	// unreported is set while the end of that part is not in the log.
	unreported bool
}

// partKey identifies a part.
type partKey struct {
	deployment domain.ID
	machine    string
}

// execution is a part that an agent started.
type execution struct {
	partKey
	project  projectIncarnation
	release  string
	instance domain.ID
	session  domain.ID
	result   domain.PartState // running until it ends
	counted  eventlog.Position
}

func (p *cluster) machine(n int) string { return p.names[n%len(p.names)] }

// agent returns the agent of a machine, and creates it with a new disk if necessary.
func (p *cluster) agent(machine string) *agent {
	a := p.agents[machine]
	if a == nil {
		a = &agent{cluster: p, machine: machine, dead: true}
		p.agents[machine] = a
		a.wipe()
	}
	return a
}

// wipe gives the machine a new disk. A running part never ends.
func (a *agent) wipe() {
	a.instance = a.cluster.id("instance", a.machine)
	a.running, a.unreported, a.offer, a.disk = nil, nil, domain.ID{}, map[projectIncarnation]diskContent{}
	a.remembered, a.unstated, a.saved, a.permitted = map[string][]domain.ID{}, false, nil, true
}

// reachable reports whether the messages of the agent reach a server.
func (a *agent) reachable() bool {
	return !a.dead && !a.silent && a.server != nil && a.server.running()
}

func (a *agent) heartbeat() {
	if a.reachable() {
		a.heard = a.cluster.now
		a.server.engine.Heartbeat(a.machine, a.connect)
		shown := start.Add(a.cluster.now)
		if a.machine == a.cluster.names[0] { // one agent, whatever it says, changes no verdict (law 29)
			shown = shown.Add(26 * time.Hour)
		}
		a.server.engine.AgentClock(a.machine, shown)
		if a.unstated {
			a.state()
		}
	}
}

// send sends a report to the agent's server. It returns whether the report was accepted, and whether that is known.
func (a *agent) send(c domain.Command) (accepted, known bool) {
	p, s := a.cluster, a.server
	for range maxAttempts {
		_, err := s.engine.Handle(p.ctx, domain.ID{}, c)
		var rejection *domain.Rejection
		switch {
		case err == nil:
			p.kick(s)
			return true, true
		case errors.As(err, &rejection):
			return false, true
		case errors.Is(err, errDead):
			p.succeeded(s, "report", err)
			return false, false
		case errors.Is(err, engine.ErrFenced):
			return false, true
		case !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrUnknownOutcome):
			p.violate("every report has an outcome", "%T of %s: %v", c, a.machine, err)
			return false, false
		}
	}
	p.violate("every report has an outcome", "%T of %s: none after %d attempts", c, a.machine, maxAttempts)
	return false, false
}

// log writes a report of the agent to the transcript.
func (a *agent) log(words ...string) {
	on := a.server
	if on != nil && !on.running() { // the report does not arrive, but it still happens
		on = a.cluster.serving(0)
	}
	if on == nil {
		return
	}
	a.cluster.transcript.report(a.cluster.now, a.cluster.beginRequest(on), a.machine+" "+strings.Join(words, " "))
}

// answer reports the result of a part that is unfinished in the log.
func (a *agent) answer(part *projections.Part) {
	id := part.Deployment.ID
	if a.running != nil && a.running.deployment == id {
		return
	}
	for _, e := range a.unreported {
		if e.deployment == id {
			a.report(e)
			return
		}
	}
	// It was claimed and never started, or it hung: the result is unknown.
	e := a.cluster.ran[partKey{id, a.machine}]
	if e == nil {
		e = &execution{partKey: partKey{id, a.machine}, instance: a.instance, session: a.session}
	}
	e.result = domain.PartFailed
	a.report(e)
}

// reported reports whether the log has a result of a part. A repeated report may then be rejected, because the view may
// no longer retain the part.
func (p *cluster) reported(stream string) bool {
	for rec := range p.log.ReadStream(p.ctx, stream, 0, 0) {
		if fact, err := domain.Decode(rec.Type, rec.Data); err == nil {
			if e, ok := fact.(domain.PartEnded); ok && e.ByAgent() {
				return true
			}
		}
	}
	return false
}

// report reports the result of an execution that has ended.
func (a *agent) report(e *execution) {
	words := map[domain.PartState]string{domain.PartSucceeded: "succeeds", domain.PartFailed: "fails"}
	a.log(words[e.result], a.cluster.transcript.deployment(e.deployment))
	s := a.server
	accepted, known := a.send(domain.EndPart{Deployment: e.deployment, Machine: a.machine, Session: a.session,
		Instance: e.instance, State: e.result})
	stream := domain.PartStream(e.deployment, e.machine)
	if !known || !accepted && s.view().SetAside(stream) {
		if !slices.Contains(a.unreported, e) {
			a.unreported = append(a.unreported, e)
		}
		return
	}
	if !accepted && !a.cluster.reported(stream) {
		a.cluster.violate("nothing is lost", "the result of %s on %s was rejected", e.deployment, a.machine)
	}
	a.unreported = slices.DeleteFunc(a.unreported, func(o *execution) bool { return o == e })
	if c := a.disk[e.project]; c.unreported && !a.busyWith(e.project) {
		c.unreported = false
		a.disk[e.project] = c
	}
}

// busyWith reports whether a part of the project runs here or is not reported yet.
func (a *agent) busyWith(project projectIncarnation) bool {
	return a.running != nil && a.running.project == project ||
		slices.ContainsFunc(a.unreported, func(e *execution) bool { return e.project == project })
}

// offeredPart returns the part that the agent's server offers it, or nil. The ledger checks the offer if the server has
// read the whole log.
func (a *agent) offeredPart() *projections.Part {
	view := a.server.view()
	part := rollout.Work(view, a.machine)
	if l := a.cluster.ledger; view.Position == l.at {
		offer := domain.ID{}
		if part != nil {
			offer = part.Deployment.ID
		}
		l.checkOffer(a.machine, offer)
	}
	return part
}

// claim claims a part in a session, and starts it if the claim counts according to the server's fold.
func (a *agent) claim(deployment, session domain.ID) {
	if e := a.cluster.ran[partKey{deployment, a.machine}]; !a.reachable() || a.running != nil || e != nil &&
		e.instance == a.instance {
		return // according to its journal, it has started this part before
	}
	a.log("claims", a.cluster.transcript.deployment(deployment))
	accepted, _ := a.send(domain.ClaimPart{Deployment: deployment, Machine: a.machine,
		Session: session, Instance: a.instance})
	if !accepted || a.server == nil {
		return
	}
	d := a.server.view().Deployments[deployment]
	if d == nil {
		return
	}
	part := d.Parts[a.machine]
	if part != nil && part.State == domain.PartRunning && part.Session == session {
		a.start(d, part)
	}
}

func (a *agent) start(d *projections.Deployment, part *projections.Part) {
	p, at := a.cluster, partKey{d.ID, a.machine}
	if p.ran[at] != nil {
		p.violate("no part runs twice", "%s started the part of %s again", a.machine, p.transcript.deployment(d.ID))
	}
	if w := p.ledger.deployments[d.ID]; w != nil && (d.Content == nil || !reflect.DeepEqual(d.Content.Steps,
		w.project.releases[d.Release])) {
		p.violate("law 15: a role filter selects machines and never removes steps",
			"%s starts other steps than those of %s", a.machine, d.Release)
	}
	e := &execution{partKey: at, project: projectIncarnation{d.Project.Name, d.Project.Defined}, release: d.Release,
		instance: a.instance, session: a.session, result: domain.PartRunning, counted: part.Claimed}
	p.ran[at], a.running = e, e
	a.disk[e.project] = diskContent{release: a.disk[e.project].release, broken: true, unreported: true}
}

// end ends the running part on the machine. The result is not in the log yet.
func (a *agent) end(ok bool) *execution {
	e := a.running
	a.running = nil
	e.result = domain.PartFailed
	if s := a.cluster.config; (ok || s.alwaysSucceed) && !s.failing[a.machine] {
		e.result = domain.PartSucceeded
		a.disk[e.project] = diskContent{release: e.release, unreported: true}
		a.remembered[e.project.name] = append(a.remembered[e.project.name], e.deployment)
	}
	a.unreported = append(a.unreported, e)
	return e
}

// busy returns the agents that execute a part.
func (p *cluster) busy() []*agent {
	var all []*agent
	for _, name := range p.names {
		if a := p.agents[name]; a != nil && a.running != nil && !a.dead {
			all = append(all, a)
		}
	}
	return all
}

func (p *cluster) claimOne(st step) {
	for i := range p.names {
		a := p.agents[p.machine(st.b+i)]
		if a == nil || !a.reachable() || a.running != nil || a.blocked() {
			continue
		}
		if part := a.offeredPart(); part != nil {
			a.claim(part.Deployment.ID, a.session)
			return
		}
	}
}

func (p *cluster) endOne(st step) {
	busy := p.busy()
	if len(busy) == 0 {
		return
	}
	a := busy[st.b%len(busy)]
	if e := a.end(st.a%4 > 0); a.reachable() {
		a.report(e)
	}
}

// workAll makes every agent do its next step.
func (p *cluster) workAll(st step) {
	for i, name := range p.names {
		a := p.agents[name]
		switch {
		case a == nil || !a.reachable():
		case len(a.unreported) > 0:
			a.report(a.unreported[0])
		case a.running != nil:
			a.report(a.end(p.healing || (st.b>>(i%10))%4 > 0))
		case a.blocked():
		default:
			if part := a.offeredPart(); part != nil {
				a.claim(part.Deployment.ID, a.session)
			}
		}
	}
}

// join registers a machine if necessary, and starts a session.
func (p *cluster) join(st step) {
	s, name := p.serving(st.a), p.machine(st.b)
	for i := 0; i < len(p.names) && p.agent(name).reachable(); i++ {
		name = p.machine(st.b + i)
	}
	a := p.agent(name)
	if a.reachable() {
		return
	}
	if p.audit.Machines[name] == nil && !a.returns(p.audit) {
		c := p.machineSettings(name, st.b/len(p.names))
		if st.a/16%2 == 0 {
			a.joinTo(s, c, p.tokenPolicy(st.a/32))
			return
		}
		p.apply(s, c)
		s = p.serving(st.a)
	}
	a.connectTo(s)
}

// tokenPolicy returns the policy of the join token of an agent; empty: its token gives none.
func (p *cluster) tokenPolicy(n int) string {
	if p.config.cleanUp {
		return ""
	}
	return []string{"", fleeting, "", "checked"}[n%4]
}

// joinTo registers the machine of an agent with its flags and the policy of its join token, and starts a session.
func (a *agent) joinTo(s *server, c domain.ApplyMachine, given string) {
	words := []string{"joins", "--environment", c.Environment, "--policy", cmp.Or(c.Policy, domain.DefaultPolicy)}
	for _, role := range c.Roles {
		words = append(words, "--role", role)
	}
	if c.Ephemeral {
		words = append(words, "--ephemeral")
	}
	if given != "" {
		words = append(words, "--token-policy", given)
	}
	a.startOn(s)
	a.log(words...)
	if given != "" && !a.useToken(given, c.Environment) {
		return
	}
	c.Instance, c.Origin = a.instance, domain.By("agent")
	if a.send(c); s.down {
		a.server = nil
		return
	}
	a.hello()
}

// useToken uses the join token that gives a policy, and creates the token first. It returns false if the server died.
func (a *agent) useToken(policy, environment string) bool {
	s := a.server
	id, now := "join-"+policy, s.Now()
	for _, c := range []domain.Command{
		domain.CreateToken{ID: id, Now: now, Origin: domain.By(by),
			Settings: domain.TokenSettings{Join: true, AnyEnvironment: true, Policy: policy}},
		domain.UseToken{ID: id, Instance: a.instance, Machine: a.machine, Environment: environment, Now: now},
	} {
		if a.send(c); s.down {
			a.server = nil
			return false
		}
	}
	return true
}

func (p *cluster) machineSettings(name string, n int) domain.ApplyMachine {
	c := domain.ApplyMachine{Name: name, Environment: environments[max(0, n/3%6-3)],
		Roles: [][]string{{"web"}, {"db", "web"}, {"db"}}[n%3], Ephemeral: n%4 < 2, Origin: domain.By(by)}
	if c.Policy = map[int]string{3: fleeting, 7: "checked"}[n%8]; p.config.cleanUp {
		c.Policy = fleeting
	}
	return c
}

// reachableAgent returns a reachable agent, starting with the machine of that number.
func (p *cluster) reachableAgent(n int) *agent {
	for i := range p.names {
		if a := p.agents[p.machine(n+i)]; a != nil && a.reachable() {
			return a
		}
	}
	return nil
}

func (a *agent) leave() {
	a.log("offline")
	a.send(domain.DisconnectMachine{Name: a.machine, Connect: a.connect, Reason: "said-goodbye"})
	a.server, a.left = nil, true
}

func (p *cluster) leave(st step) {
	if a := p.reachableAgent(st.b); a != nil {
		a.leave()
	}
}

// flap takes a machine offline and online again between two ticks.
func (p *cluster) flap(st step) {
	if a := p.reachableAgent(st.b); a != nil {
		s := a.server
		a.leave()
		if s.running() {
			a.connectTo(s)
		}
	}
}

// reconnect starts a new session. Sometimes a claim of the old session arrives afterwards.
func (p *cluster) reconnect(st step) {
	a := p.reachableAgent(st.b)
	if a == nil {
		return
	}
	part, session := a.offeredPart(), a.session
	a.connectTo(p.serving(st.a))
	if part != nil && st.b/8%2 == 0 {
		a.claim(part.Deployment.ID, session)
	}
}

// silence cuts an agent off, or lets its messages pass again.
func (p *cluster) silence(st step) {
	a := p.agents[p.machine(st.b)]
	if a == nil || a.dead || a.server == nil && !a.silent {
		return
	}
	if !a.silent {
		a.log("silent")
		a.silent = true
		return
	}
	a.silent, a.since = false, p.now
	if a.reachable() {
		a.log("reconnects")
		a.hello()
	}
}

func (p *cluster) health(st step) {
	a := p.reachableAgent(st.b)
	if a == nil {
		return
	}
	status := []domain.Health{domain.Healthy, domain.Healthy, domain.Warning, domain.Unhealthy}[st.a%4]
	a.log(string(status))
	a.send(domain.ReportHealth{Name: a.machine, Session: a.session, Status: status})
}

// die kills an agent, possibly during a part.
func (p *cluster) die(st step) {
	a := p.reachableAgent(st.b)
	if busy := p.busy(); len(busy) > 0 && st.a%3 > 0 {
		a = busy[st.b%len(busy)]
	}
	if a != nil {
		a.log("silent")
		a.server, a.dead = nil, true
	}
}

// hang makes a running part never end, although its agent is alive.
func (p *cluster) hang(st step) {
	if busy := p.busy(); len(busy) > 0 {
		a := busy[st.b%len(busy)]
		p.transcript.comment("%s: the part that %s runs never ends", clockText(p.now), a.machine)
		a.running = nil
	}
}

// endUnreported ends a running part without sending the report.
func (p *cluster) endUnreported(st step) {
	if busy := p.busy(); len(busy) > 0 {
		a := busy[st.b%len(busy)]
		e := a.end(st.a%4 > 0)
		p.transcript.comment("%s: %s ends its part as %s and cannot report it", clockText(p.now), a.machine, e.result)
	}
}

func (p *cluster) reportLate(st step) {
	for i := range p.names {
		if a := p.agents[p.machine(st.b+i)]; a != nil && len(a.unreported) > 0 && a.reachable() {
			a.report(a.unreported[0])
			return
		}
	}
}

func (p *cluster) takeOffer(st step) {
	for i := range p.names {
		a := p.agents[p.machine(st.b+i)]
		if a == nil || !a.reachable() {
			continue
		}
		if part := a.offeredPart(); part != nil {
			a.offer, a.offered = part.Deployment.ID, a.session
			return
		}
	}
}

// claimOffer claims a part that was offered earlier, whatever has happened to it since.
func (p *cluster) claimOffer(st step) {
	for i := range p.names {
		if a := p.agents[p.machine(st.b+i)]; a != nil && !a.offer.IsZero() && a.reachable() && a.running == nil {
			offer := a.offer
			a.offer = domain.ID{}
			a.claim(offer, a.offered)
			return
		}
	}
}
