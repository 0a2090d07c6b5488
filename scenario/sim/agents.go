package sim

import (
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

// agent is the program on a machine, with what only the machine itself knows.
type agent struct {
	plant    *plant
	machine  string
	instance domain.ID
	session  domain.ID
	connect  domain.ID
	// since is when it was last let through, begun when its session began at this server.
	since, begun time.Duration
	// server holds its connection, nil for none; silent says that nothing comes through it.
	server *server
	silent bool
	// lost is the server whose end took the connection away, nil for none.
	lost *server
	dead bool
	// left says that it said goodbye and does not come back by itself.
	left bool
	// running is what it executes now, nil for nothing.
	running *execution
	// unheard are results that it could not report yet.
	unheard []*execution
	// offer is a deployment that it was offered in the session offered, and may claim later than it should.
	offer, offered domain.ID
	// disk is what each project has left on this life of the disk.
	disk map[projectLife]content
}

// projectLife tells a project from another one that bears its name later.
type projectLife struct {
	name    string
	defined eventlog.Position
}

// content is what a machine really has of a project.
type content struct {
	release string
	// broken says that the last part that was started there did not succeed.
	broken bool
	// secret says that the log has not heard yet how that part ended.
	secret bool
}

// place is where a part runs.
type place struct {
	deployment domain.ID
	machine    string
}

// execution is a part that an agent really started.
type execution struct {
	place
	project  projectLife
	release  string
	instance domain.ID
	session  domain.ID
	result   domain.PartState // running until it ends
	counted  eventlog.Position
}

func (p *plant) machine(n int) string { return p.names[n%len(p.names)] }

// agent finds the agent of a machine, or makes its disk.
func (p *plant) agent(machine string) *agent {
	a := p.agents[machine]
	if a == nil {
		a = &agent{plant: p, machine: machine, dead: true}
		p.agents[machine] = a
		a.wipe()
	}
	return a
}

// wipe gives the machine a new disk. What ran there never ends.
func (a *agent) wipe() {
	a.instance = a.plant.id("instance", a.machine)
	a.running, a.unheard, a.offer, a.disk = nil, nil, domain.ID{}, map[projectLife]content{}
}

// talks says whether a server hears what the agent says.
func (a *agent) talks() bool { return !a.dead && !a.silent && a.server != nil && a.server.live() }

// homeless says that the agent looks for a server.
func (a *agent) homeless() bool {
	return a.server == nil && !a.dead && !a.left && !a.silent && a.plant.audit.Machines[a.machine] != nil
}

// comesBack lets an agent that has lost its server find another one, in the session that it has.
func (a *agent) comesBack(s *server) {
	if !a.homeless() {
		return
	}
	if a.session.IsZero() {
		a.connectTo(s)
		return
	}
	a.server = s
	a.say("reconnects")
	a.hello()
}

// isHeard lets the server that hears a session which its fold has ended say that the machine is online.
func (a *agent) isHeard() {
	if !a.talks() {
		return
	}
	if m := a.server.view().Machines[a.machine]; m != nil && !m.Online && m.Session == a.session {
		a.say("heartbeat")
		a.hello()
	}
}

// comeHome lets the agents that a server has lost come back to it once it runs again.
func (p *plant) comeHome(s *server) {
	for _, name := range p.names {
		if a := p.agents[name]; a != nil && a.homeless() && a.lost == s && s.live() {
			a.server, p.tardy = s, false
			a.hello()
		}
	}
}

func (a *agent) heartbeat() {
	if a.talks() {
		a.server.engine.Heartbeat(a.machine, a.connect)
	}
}

// tell reports to the agent's server. It says whether the report was accepted, and whether anybody knows.
func (a *agent) tell(c domain.Command) (accepted, known bool) {
	p, s := a.plant, a.server
	for range tries {
		_, err := s.engine.Handle(p.ctx, domain.ID{}, c)
		var rejection *domain.Rejection
		switch {
		case err == nil:
			p.kick(s)
			return true, true
		case errors.As(err, &rejection):
			return false, true
		case errors.Is(err, errDead):
			p.survived(s, "report", err)
			return false, false
		case errors.Is(err, engine.ErrFenced):
			return false, true
		case !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrUnknownOutcome):
			p.breaks("a report gets an answer", "%T of %s: %v", c, a.machine, err)
			return false, false
		}
	}
	p.breaks("a report gets an answer", "%T of %s: none after %d tries", c, a.machine, tries)
	return false, false
}

// say tells the story what the agent says.
func (a *agent) say(words ...string) {
	on := a.server
	if on != nil && !on.live() { // nobody hears it there; it happens all the same
		on = a.plant.serving(0)
	}
	if on == nil {
		return
	}
	a.plant.story.report(a.plant.now, a.plant.hears(on), a.machine+" "+strings.Join(words, " "))
}

// connectTo begins a session. An agent that was dead answers for what its journal says it had begun.
func (a *agent) connectTo(s *server) {
	p := a.plant
	if a.dead && a.running != nil {
		a.running.result = domain.PartFailed
		a.unheard, a.running = append(a.unheard, a.running), nil
	}
	a.server, a.dead, a.silent, a.left = s, false, false, false
	a.session = p.id("session", a.machine)
	a.say("online")
	a.hello()
}

// hello says who the agent is. A server that refuses it, or dies of it, does not hold it.
func (a *agent) hello() {
	s := a.server
	accepted, _ := a.tell(domain.ConnectMachine{Name: a.machine, Server: s.engine.Server(), Session: a.session, Instance: a.instance})
	m := s.view().Machines[a.machine]
	if !accepted || s.down || m == nil || m.Session != a.session {
		a.server = nil
		return
	}
	if a.since = a.plant.now; a.connect != m.Connect {
		a.connect, a.begun = m.Connect, a.plant.now
	}
	a.heartbeat()
	for _, part := range slices.Clone(rollout.Unfinished(s.view(), a.machine)) {
		if part.Instance == a.instance && a.talks() {
			a.answer(part)
		}
	}
}

// answer says what became of a part that the log calls unfinished.
func (a *agent) answer(part *projections.Part) {
	id := part.Deployment.ID
	if a.running != nil && a.running.deployment == id {
		return
	}
	for _, e := range a.unheard {
		if e.deployment == id {
			a.report(e)
			return
		}
	}
	// It was claimed and never started, or hung: nobody can know.
	e := a.plant.ran[place{id, a.machine}]
	if e == nil {
		e = &execution{place: place{id, a.machine}, instance: a.instance, session: a.session}
	}
	e.result = domain.PartFailed
	a.report(e)
}

// reported says that the log has a result of a part: then a repeat of it may be refused, as the part may be forgotten.
func (p *plant) reported(stream string) bool {
	for rec := range p.log.ReadStream(p.ctx, stream, 0, 0) {
		if fact, err := domain.Decode(rec.Type, rec.Data); err == nil {
			if e, ok := fact.(domain.PartEnded); ok && e.ByAgent() {
				return true
			}
		}
	}
	return false
}

// report tells the result of an execution that has ended.
func (a *agent) report(e *execution) {
	words := map[domain.PartState]string{domain.PartSucceeded: "succeeds", domain.PartFailed: "fails"}
	a.say(words[e.result], a.plant.story.deployment(e.deployment))
	s := a.server
	accepted, known := a.tell(domain.EndPart{Deployment: e.deployment, Machine: a.machine, Session: a.session,
		Instance: e.instance, State: e.result})
	stream := domain.PartStream(e.deployment, e.machine)
	if !known || !accepted && s.view().SetAside(stream) {
		if !slices.Contains(a.unheard, e) {
			a.unheard = append(a.unheard, e)
		}
		return
	}
	if !accepted && !a.plant.reported(stream) {
		a.plant.breaks("nothing is lost", "the result of %s on %s was refused", e.deployment, a.machine)
	}
	a.unheard = slices.DeleteFunc(a.unheard, func(o *execution) bool { return o == e })
	if c := a.disk[e.project]; c.secret && !a.busyWith(e.project) {
		c.secret = false
		a.disk[e.project] = c
	}
}

// busyWith says that something of the project runs here or was not reported.
func (a *agent) busyWith(project projectLife) bool {
	return a.running != nil && a.running.project == project ||
		slices.ContainsFunc(a.unheard, func(e *execution) bool { return e.project == project })
}

// claim asks for a part in a session and starts it if the server's fold says that the claim counts.
func (a *agent) claim(deployment, session domain.ID) {
	if e := a.plant.ran[place{deployment, a.machine}]; !a.talks() || a.running != nil || e != nil && e.instance == a.instance {
		return // its journal says that it has begun this part before
	}
	a.say("claims", a.plant.story.deployment(deployment))
	accepted, _ := a.tell(domain.ClaimPart{Deployment: deployment, Machine: a.machine, Session: session, Instance: a.instance})
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
	p, at := a.plant, place{d.ID, a.machine}
	if p.ran[at] != nil {
		p.breaks("no part runs twice", "%s started the part of %s again", a.machine, p.story.deployment(d.ID))
	}
	if w := p.ledger.waves[d.ID]; w != nil && (d.Content == nil || !reflect.DeepEqual(d.Content.Steps, w.app.releases[d.Release])) {
		p.breaks("law 15: a role filter picks machines and never removes steps", "%s starts other steps than %s has", a.machine, d.Release)
	}
	e := &execution{place: at, project: projectLife{d.Project.Name, d.Project.Defined}, release: d.Release,
		instance: a.instance, session: a.session, result: domain.PartRunning, counted: part.Claimed}
	p.ran[at], a.running = e, e
	a.disk[e.project] = content{release: a.disk[e.project].release, broken: true, secret: true}
}

// end ends what runs, on the machine itself. The log has not heard of it yet.
func (a *agent) end(ok bool) *execution {
	e := a.running
	a.running = nil
	e.result = domain.PartFailed
	if s := a.plant.setting; (ok || s.steady) && !s.cursed[a.machine] {
		e.result = domain.PartSucceeded
		a.disk[e.project] = content{release: e.release, secret: true}
	}
	a.unheard = append(a.unheard, e)
	return e
}

// busy lists the agents that execute something.
func (p *plant) busy() []*agent {
	var all []*agent
	for _, name := range p.names {
		if a := p.agents[name]; a != nil && a.running != nil && !a.dead {
			all = append(all, a)
		}
	}
	return all
}

func (p *plant) claimOne(st step) {
	for i := range p.names {
		a := p.agents[p.machine(st.b+i)]
		if a == nil || !a.talks() || a.running != nil {
			continue
		}
		if part := rollout.Work(a.server.view(), a.machine); part != nil {
			a.claim(part.Deployment.ID, a.session)
			return
		}
	}
}

func (p *plant) endOne(st step) {
	busy := p.busy()
	if len(busy) == 0 {
		return
	}
	a := busy[st.b%len(busy)]
	if e := a.end(st.a%4 > 0); a.talks() {
		a.report(e)
	}
}

// workAll lets every agent do its next step.
func (p *plant) workAll(st step) {
	for i, name := range p.names {
		a := p.agents[name]
		switch {
		case a == nil || !a.talks():
		case len(a.unheard) > 0:
			a.report(a.unheard[0])
		case a.running != nil:
			a.report(a.end(p.rest || (st.b>>(i%10))%4 > 0))
		default:
			if part := rollout.Work(a.server.view(), a.machine); part != nil {
				a.claim(part.Deployment.ID, a.session)
			}
		}
	}
}

// join registers a machine that is not there, and begins a session.
func (p *plant) join(st step) {
	s, name := p.serving(st.a), p.machine(st.b)
	for i := 0; i < len(p.names) && p.agent(name).talks(); i++ {
		name = p.machine(st.b + i)
	}
	a := p.agent(name)
	if a.talks() {
		return
	}
	if p.audit.Machines[name] == nil {
		c := p.machineSettings(name, st.b/len(p.names))
		p.apply(s, c)
		s = p.serving(st.a)
	}
	a.connectTo(s)
}

func (p *plant) machineSettings(name string, n int) domain.ApplyMachine {
	c := domain.ApplyMachine{Name: name, Environment: environments[max(0, n/3%6-3)], Roles: [][]string{{"web"}, {"db", "web"}, {"db"}}[n%3], Origin: domain.By("agent")}
	if c.Policy = map[int]string{3: fleeting, 7: "checked"}[n%8]; p.setting.absent {
		c.Policy = fleeting
	}
	return c
}

// theAgent is that of a machine, if a server hears it.
func (p *plant) theAgent(n int) *agent {
	for i := range p.names {
		if a := p.agents[p.machine(n+i)]; a != nil && a.talks() {
			return a
		}
	}
	return nil
}

func (a *agent) leave() {
	a.say("offline")
	a.tell(domain.DisconnectMachine{Name: a.machine, Connect: a.connect, Reason: "said-goodbye"})
	a.server, a.left = nil, true
}

func (p *plant) leave(st step) {
	if a := p.theAgent(st.b); a != nil {
		a.leave()
	}
}

// flap is offline and online again before anybody ticks.
func (p *plant) flap(st step) {
	if a := p.theAgent(st.b); a != nil {
		s := a.server
		a.leave()
		if s.live() {
			a.connectTo(s)
		}
	}
}

// reconnect begins a new session. Now and then a claim of the old one is still on its way.
func (p *plant) reconnect(st step) {
	a := p.theAgent(st.b)
	if a == nil {
		return
	}
	part, session := rollout.Work(a.server.view(), a.machine), a.session
	a.connectTo(p.serving(st.a))
	if part != nil && st.b/8%2 == 0 {
		a.claim(part.Deployment.ID, session)
	}
}

// silence cuts an agent off, or lets it through again: its server then says what it knows.
func (p *plant) silence(st step) {
	a := p.agents[p.machine(st.b)]
	if a == nil || a.dead || a.server == nil && !a.silent {
		return
	}
	if !a.silent {
		a.say("silent")
		a.silent = true
		return
	}
	a.silent, a.since = false, p.now
	if a.talks() {
		a.say("reconnects")
		a.hello()
	}
}

func (p *plant) reimage(st step) {
	a := p.agents[p.machine(st.b)]
	if a == nil {
		return
	}
	if st.a%2 == 0 && a.talks() {
		a.leave()
	}
	p.story.report(p.now, p.serving(0).name, a.machine+" re-imaged")
	a.wipe()
	a.server, a.dead = nil, true
	if st.a/2%2 == 0 && p.audit.Machines[a.machine] != nil {
		a.connectTo(p.serving(st.a))
	}
}

func (p *plant) switchMachine(st step) {
	m, on := p.machine(st.b), st.a%4 > 0
	p.do(p.serving(st.a), domain.SetMachineEnabled{Name: m, Enabled: on, Origin: domain.By(by)}, "machine", onOff(on), m)
	if st.a%9 == 0 {
		p.do(p.serving(st.a), domain.SetMachineEnabled{Name: m, Enabled: !on, Origin: domain.By(by)}, "machine", onOff(!on), m)
	}
}

func (p *plant) changeMachine(st step) {
	if name := p.machine(st.b); p.audit.Machines[name] != nil {
		s := p.serving(st.a)
		c := p.machineSettings(name, st.a/8+st.b)
		c.Disabled = p.audit.Machines[name].Disabled
		p.apply(s, c)
	}
}

func (p *plant) removeMachine(st step) {
	name := p.machine(st.b)
	if a := p.agents[name]; a != nil && a.server != nil {
		a.say("silent")
		a.server = nil
	}
	p.do(p.serving(st.a), domain.DeleteMachine{Name: name, Origin: domain.By(by)}, "delete machine", name)
}

func (p *plant) health(st step) {
	a := p.theAgent(st.b)
	if a == nil {
		return
	}
	status := []domain.Health{domain.Healthy, domain.Healthy, domain.Warning, domain.Unhealthy}[st.a%4]
	a.say(string(status))
	a.tell(domain.ReportHealth{Name: a.machine, Session: a.session, Status: status})
}

// die kills an agent, perhaps in the middle of a part.
func (p *plant) die(st step) {
	a := p.theAgent(st.b)
	if busy := p.busy(); len(busy) > 0 && st.a%3 > 0 {
		a = busy[st.b%len(busy)]
	}
	if a != nil {
		a.say("silent")
		a.server, a.dead = nil, true
	}
}

// hang makes what runs never end, though its agent lives.
func (p *plant) hang(st step) {
	if busy := p.busy(); len(busy) > 0 {
		a := busy[st.b%len(busy)]
		p.story.comment("%s: what %s runs never ends", clockText(p.now), a.machine)
		a.running = nil
	}
}

// endUnheard ends what runs, and the report is not sent yet.
func (p *plant) endUnheard(st step) {
	if busy := p.busy(); len(busy) > 0 {
		a := busy[st.b%len(busy)]
		e := a.end(st.a%4 > 0)
		p.story.comment("%s: %s ends its part as %s and cannot say so", clockText(p.now), a.machine, e.result)
	}
}

func (p *plant) reportLate(st step) {
	for i := range p.names {
		if a := p.agents[p.machine(st.b+i)]; a != nil && len(a.unheard) > 0 && a.talks() {
			a.report(a.unheard[0])
			return
		}
	}
}

func (p *plant) takeOffer(st step) {
	for i := range p.names {
		a := p.agents[p.machine(st.b+i)]
		if a == nil || !a.talks() {
			continue
		}
		if part := rollout.Work(a.server.view(), a.machine); part != nil {
			a.offer, a.offered = part.Deployment.ID, a.session
			return
		}
	}
}

// claimOffer claims what was offered before, whatever has become of it.
func (p *plant) claimOffer(st step) {
	for i := range p.names {
		if a := p.agents[p.machine(st.b+i)]; a != nil && !a.offer.IsZero() && a.talks() && a.running == nil {
			offer := a.offer
			a.offer = domain.ID{}
			a.claim(offer, a.offered)
			return
		}
	}
}
