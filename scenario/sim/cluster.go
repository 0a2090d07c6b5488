package sim

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// config configures a run. The zero value of a field is the smallest sensible value.
type config struct {
	servers  int
	machines int
	// noSweep leaves out the triggers that the sweep serves, so that only events make a machine due.
	noSweep bool
	// noRedeploy leaves out the trigger with redeploy, so that each machine gets each release once.
	noRedeploy bool
	// withRelease starts the run with a release in each environment.
	withRelease bool
	// alwaysSucceed makes every part succeed, except on machines in failing.
	alwaysSucceed bool
	// longTimeouts prevents timeouts of parts. Without failing machines, it also raises the number of attempts.
	longTimeouts bool
	// cleanUp gives every machine the policy that cleans up.
	cleanUp bool
	// previews compares the preview of each command with the tick that follows it.
	previews bool
	// unhealthy lists machines that stay unhealthy even after everything else is repaired.
	unhealthy map[string]bool
	// failing lists machines on which every part fails. Parts on other machines fail only if a step makes them fail.
	failing map[string]bool
}

// cluster is the state of one run.
type cluster struct {
	ctx     context.Context
	config  config
	log     *memory.Log
	now     time.Duration
	servers []*server
	names   []string // of all machines, including machines that do not exist now
	agents  map[string]*agent
	ran     map[partKey]*execution

	audit      *projections.View // the fold, one event at a time
	ledger     *ledger
	transcript *transcript

	commands int
	sent     []sent // the accepted commands, newest last
	// ticks counts the started ticks, including those during healing; faults counts the injected faults by kind.
	ticks  int
	faults map[string]int
	// origins contains the origin of each event, except of damaged events.
	origins map[uuid.UUID]origin
	// watched is how long at least one server has been running.
	watched      time.Duration
	kicks        int
	rules        int  // the newest version of the rules
	lateReaction bool // the reaction to this request is delayed
	ids          map[string]int
	versions     map[string]int
	violation    *violation
	// healing is set at the end of the run, while everything is repaired.
	healing bool
}

// violation is a violated law. Only the first violation of a run is recorded.
type violation struct {
	law  string
	what string
}

// Error returns the law and its violation.
func (b *violation) Error() string { return b.law + ": " + b.what }

// start is midnight of the date on which every run starts.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newCluster(s config) *cluster {
	p := &cluster{ctx: context.Background(), config: s, log: memory.New(), now: 9 * time.Hour,
		agents: map[string]*agent{}, ran: map[partKey]*execution{}, audit: emptyView(),
		faults: map[string]int{}, origins: map[uuid.UUID]origin{}, ids: map[string]int{}, versions: map[string]int{},
		transcript: &transcript{}}
	p.ledger = newLedger(p)
	for i := range max(1, s.servers) {
		p.servers = append(p.servers, &server{name: string(rune('a' + i)), cluster: p, down: true})
		p.reopen(p.servers[i])
		if i > 0 {
			p.setClock(p.servers[i], apart[i%len(apart)], false)
		}
	}
	clear(p.faults)
	for i := range max(1, s.machines) {
		p.names = append(p.names, fmt.Sprintf("m%02d", i+1))
	}
	p.build()
	p.check()
	return p
}

// retained is how many ended deployments of a project the servers retain. It is the minimum, so that a run fails if a
// decision depends on a deployment that was pruned.
const retained = 1

func emptyView() *projections.View {
	rules := engine.CurrentRules()
	rules.Retain = retained
	return rules.NewView()
}

// rulesOf returns the rules of a server. Its decisions about open deployments are compared with those from an
// examination of every part, because the engine examines only parts that may be due.
func (p *cluster) rulesOf(s *server) engine.Rules {
	rules := engine.CurrentRules()
	rules.Version, rules.Retain = max(1, s.rules), retained
	rules.Deciders = slices.Clone(rules.Deciders)
	row := &rules.Deciders[slices.IndexFunc(rules.Deciders, func(d engine.Decider) bool { return d.Name == "rollout" })]
	decide := row.Decide
	row.Decide = func(on *engine.Situation) []domain.Decision {
		decided := decide(on)
		if due := rollout.Decide(on.View, on.Measured()); !reflect.DeepEqual(decided, due) {
			p.violate("law 21: a reaction ends every part that is due", "server %s decided %v, but %v is due", s.name,
				decided, due)
		}
		return decided
	}
	return rules
}

// apart contains the errors of the servers' wall clocks at the start of a run.
var apart = []time.Duration{0, 7 * time.Minute, -11 * time.Minute, 23 * time.Minute, -2 * time.Minute}

// runSteps runs steps. It returns the first violation of a safety property, or nil.
func (p *cluster) runSteps(steps []step) error {
	for _, s := range steps {
		actions[s.kind].run(p, s)
		p.check()
		if p.violation != nil {
			return p.violation
		}
	}
	return nil
}

// violate records a violation.
func (p *cluster) violate(law, what string, args ...any) {
	if p.violation == nil {
		p.violation = &violation{law, fmt.Sprintf(what, args...)}
	}
}

// fault returns the first violation as an error.
func (p *cluster) fault() error {
	if p.violation == nil {
		return nil
	}
	return p.violation
}

// check folds new events one by one and checks every safety property.
func (p *cluster) check() {
	for rec, err := range p.log.ReadAll(p.ctx, p.audit.Position, 0) {
		if err != nil {
			p.violate("the simulation itself", "read the log: %v", err)
			return
		}
		folded := p.audit.Apply(rec) != nil
		p.audit.Touched()
		p.transcript.learn(rec)
		p.ledger.apply(rec)
		p.checkFolded(rec, folded)
		if p.violation != nil {
			return
		}
	}
	p.checkAlways()
}

// id derives an id from words, so that every repetition of a run has the same ids.
func (p *cluster) id(kind, name string) domain.ID {
	key := kind + " " + name
	p.ids[key]++
	return domain.ID(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %d", key, p.ids[key])))
}

// command sends a person's command to a server, and repeats it with the same id while its outcome is unknown. If the
// server crashes, another one is used. A rejection is also an outcome.
func (p *cluster) command(s *server, c domain.Command) (engine.Result, bool) {
	return p.send(s, p.id("command", ""), c)
}

// maxAttempts bounds how often a command is repeated. Faults end earlier.
const maxAttempts = 40

func (p *cluster) send(s *server, id domain.ID, c domain.Command) (engine.Result, bool) {
	for range maxAttempts {
		result, err := s.engine.Handle(p.ctx, id, c)
		var rejection *domain.Rejection
		switch {
		case err == nil:
			if len(result.Events) > 0 {
				p.sendAgain(s, id, c)
			}
			p.kick(s)
			return result, true
		case errors.As(err, &rejection):
			return result, false
		case errors.Is(err, errDead):
			p.succeeded(s, "command", err)
			s = p.serving(0)
		case errors.Is(err, engine.ErrFenced):
			s = p.serving(0)
		case !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrUnknownOutcome):
			p.violate("every command has an outcome", "%T: %v", c, err)
			return result, false
		}
	}
	p.violate("every command has an outcome", "%T: none after %d attempts", c, maxAttempts)
	return engine.Result{}, false
}

// sent is a command with the id with which it was sent.
type sent struct {
	id      domain.ID
	command domain.Command
}

// sendAgain repeats this accepted command or an earlier one on another server, with the same id. It must have no effect
// (law 7).
func (p *cluster) sendAgain(s *server, id domain.ID, c domain.Command) {
	p.sent = append(p.sent, sent{id, c})
	if p.commands++; p.commands%5 > 0 {
		return
	}
	other, again := p.serving(p.commands), p.sent[len(p.sent)-1-p.commands%min(7, len(p.sent))]
	if other == s || other.faulty() {
		return
	}
	before := p.head()
	_, err := other.engine.Handle(p.ctx, again.id, again.command)
	if after := p.head(); after != before {
		p.violate("law 7: a command that is sent twice takes effect once", "%T wrote #%d..#%d when it was repeated (%v)",
			again.command, before+1, after, err)
	}
}

func (p *cluster) head() eventlog.Position {
	head, _ := p.log.Head(p.ctx)
	return head
}

// checkedPolicy returns the policy of some machines, with or without its health check.
func (p *cluster) checkedPolicy(checks bool) domain.Command {
	c := domain.ApplyPolicy{Name: "checked", Settings: domain.PolicySettings{LostAfter: domain.Duration(2 * time.Minute)}}
	if p.config.longTimeouts {
		c.Settings.LostAfter = domain.Duration(48 * time.Hour)
	}
	if checks {
		c.Settings.HealthCheck = &domain.HealthCheck{Script: "true"}
	}
	return c
}

// build creates the initial environments, policies, projects and triggers.
func (p *cluster) build() {
	s := p.servers[0]
	lost := domain.Duration(2 * time.Minute)
	if p.config.longTimeouts {
		lost = domain.Duration(48 * time.Hour)
	}
	cleaned := domain.PolicySettings{LostAfter: lost, CleanUp: &domain.CleanUp{After: domain.Duration(fleetingAfter),
		MaxShare: fleetingShare}}
	for _, name := range environments {
		p.apply(s, domain.ApplyEnvironment{Name: name})
	}
	p.apply(s, domain.ApplyPolicy{Name: fleeting, Settings: cleaned})
	p.apply(s, domain.ApplyPolicy{Name: domain.DefaultPolicy, Settings: domain.PolicySettings{LostAfter: lost}})
	p.apply(s, p.checkedPolicy(true))
	for i := range projects {
		p.buildProject(s, i, 0)
	}
	if !p.config.withRelease {
		return
	}
	for _, project := range projects {
		for _, environment := range environments {
			p.do(s, domain.Deploy{Project: project, Release: "1.1", Environment: environment, Origin: domain.By(by)}, "deploy",
				project, "1.1", "--to", environment)
		}
	}
}

// apply sends a command that applies a resource.
func (p *cluster) apply(s *server, c domain.Command) {
	if s.down {
		s = p.serving(0)
	}
	p.lateReaction = false
	p.transcript.apply(p.now, s, c)
	p.command(s, c)
}

func (p *cluster) buildProject(s *server, i, variant int) {
	name := projects[i]
	settings := projectSettings(i, variant)
	if p.config.longTimeouts && len(p.config.failing) == 0 {
		settings.Attempts = domain.MaxAttempts
	}
	p.apply(s, domain.ApplyProject{Name: name, Settings: settings})
	for t := range triggerNames {
		if triggerNames[t] != "again" || i == 1 && !p.config.noRedeploy {
			p.apply(s, p.trigger(i, t, 0))
		}
	}
	p.release(s, name)
}
