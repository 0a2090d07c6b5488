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

// setting is the frame of a day. The zero value of a field is the smallest that makes sense.
type setting struct {
	servers  int
	machines int
	// unswept leaves out every trigger that the sweep could serve: then only events make a machine due.
	unswept bool
	// calm leaves out the trigger with redeploy: then each machine gets each release once.
	calm bool
	// released begins the day with a release that each environment has.
	released bool
	// steady machines succeed at whatever they run, unless they are cursed.
	steady bool
	// patient gives agents all the time that they need, and all the attempts if none is cursed.
	patient bool
	// absent says that every machine is under the policy which cleans up.
	absent bool
	// sick machines are unhealthy, also when everything else is healed.
	sick map[string]bool
	// cursed machines fail every part; others fail where a step says so.
	cursed map[string]bool
}

// plant is the world of one day.
type plant struct {
	ctx     context.Context
	setting setting
	log     *memory.Log
	now     time.Duration
	servers []*server
	names   []string // of machines, also of those that are not there
	agents  map[string]*agent
	ran     map[place]*execution

	audit  *projections.View // the fold, one event at a time
	ledger *ledger
	story  *story

	commands int
	sent     []sent // that were accepted, the newest last
	// ticks counts those that began, healing included; faults those that were put in, by kind.
	ticks  int
	faults map[string]int
	// origins are where events came from, but those that were written past all rules.
	origins map[uuid.UUID]origin
	// watched is how long some server has been running.
	watched  time.Duration
	kicks    int
	rules    int  // the newest that a server decides by
	tardy    bool // the reaction to this request comes late
	ids      map[string]int
	versions map[string]int
	broken   *breach
	// rest says that the day is over and everything is being healed.
	rest bool
}

// breach is a law that was broken. The first one counts.
type breach struct {
	law  string
	what string
}

// Error names the law first.
func (b *breach) Error() string { return b.law + ": " + b.what }

// day is the date on which every day begins, at midnight.
var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newPlant(s setting) *plant {
	p := &plant{ctx: context.Background(), setting: s, log: memory.New(), now: 9 * time.Hour,
		agents: map[string]*agent{}, ran: map[place]*execution{}, audit: emptyView(),
		faults: map[string]int{}, origins: map[uuid.UUID]origin{}, ids: map[string]int{}, versions: map[string]int{}, story: &story{}}
	p.ledger = newLedger(p)
	for i := range max(1, s.servers) {
		p.servers = append(p.servers, &server{name: string(rune('a' + i)), plant: p, down: true})
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

// kept is how many ended deployments of a project the servers keep: as few as can be, so that what a decision still needs is
// missed at once.
const kept = 1

func emptyView() *projections.View {
	rules := engine.CurrentRules()
	rules.Retain = kept
	return rules.NewView()
}

// rulesOf are the rules that a server folds and decides by. What it decides for open deployments is compared with a look at
// every part: the engine looks only at those that may have something due.
func (p *plant) rulesOf(s *server) engine.Rules {
	rules := engine.CurrentRules()
	rules.Version, rules.Retain = max(1, s.rules), kept
	rules.Deciders = slices.Clone(rules.Deciders)
	row := &rules.Deciders[slices.IndexFunc(rules.Deciders, func(d engine.Decider) bool { return d.Name == "rollout" })]
	decide := row.Decide
	row.Decide = func(on *engine.Situation) []domain.Decision {
		decided := decide(on)
		if due := rollout.Decide(on.View, on.Age); !reflect.DeepEqual(decided, due) {
			p.breaks("law 21: a reaction sees every part that is to end", "server %s: decided is %v, due is %v", s.name, decided, due)
		}
		return decided
	}
	return rules
}

// apart is how wrong the wall clocks of the servers are when a day begins.
var apart = []time.Duration{0, 7 * time.Minute, -11 * time.Minute, 23 * time.Minute, -2 * time.Minute}

// live runs the steps of a day. It returns the first breach of a never-law, nil for none.
func (p *plant) live(steps []step) error {
	for _, s := range steps {
		actions[s.kind].run(p, s)
		p.check()
		if p.broken != nil {
			return p.broken
		}
	}
	return nil
}

// breaks notes a breach.
func (p *plant) breaks(law, what string, args ...any) {
	if p.broken == nil {
		p.broken = &breach{law, fmt.Sprintf(what, args...)}
	}
}

// fault is the first breach as an error.
func (p *plant) fault() error {
	if p.broken == nil {
		return nil
	}
	return p.broken
}

// check folds what is new, event by event, and looks at every never-law.
func (p *plant) check() {
	for rec, err := range p.log.ReadAll(p.ctx, p.audit.Position, 0) {
		if err != nil {
			p.breaks("the simulation itself", "read the log: %v", err)
			return
		}
		fact := p.audit.Apply(rec)
		p.audit.Touched()
		p.story.learn(rec)
		p.ledger.note(rec, fact)
		if p.broken != nil {
			return
		}
	}
	p.never()
}

// id makes an id from words, so that every run of a day has the same ids.
func (p *plant) id(kind, name string) domain.ID {
	key := kind + " " + name
	p.ids[key]++
	return domain.ID(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %d", key, p.ids[key])))
}

// command sends a person's command to a server, and again under the same id for as long as nobody
// can say what became of it. A server that dies of it is replaced by another. No is an answer too.
func (p *plant) command(s *server, c domain.Command) (engine.Result, bool) {
	return p.send(s, p.id("command", ""), c)
}

// tries bounds how often a command is sent again; faults end sooner.
const tries = 40

func (p *plant) send(s *server, id domain.ID, c domain.Command) (engine.Result, bool) {
	for range tries {
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
			p.survived(s, "command", err)
			s = p.serving(0)
		case errors.Is(err, engine.ErrFenced):
			s = p.serving(0)
		case !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrUnknownOutcome):
			p.breaks("a command gets an answer", "%T: %v", c, err)
			return result, false
		}
	}
	p.breaks("a command gets an answer", "%T: none after %d tries", c, tries)
	return engine.Result{}, false
}

// sent is a command with the id under which it was sent.
type sent struct {
	id      domain.ID
	command domain.Command
}

// sendAgain sends a command that was accepted, or one before it, to some server under the same id: nothing may come of it (law 7).
func (p *plant) sendAgain(s *server, id domain.ID, c domain.Command) {
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
		p.breaks("law 7: a command sent twice is done once", "%T wrote #%d..#%d when it was sent again (%v)", again.command, before+1, after, err)
	}
}

func (p *plant) head() eventlog.Position {
	head, _ := p.log.Head(p.ctx)
	return head
}

// checkedPolicy is the policy of some machines, with its health check or, now and then, without.
func (p *plant) checkedPolicy(checks bool) domain.Command {
	c := domain.ApplyPolicy{Name: "checked", Settings: domain.PolicySettings{LostAfter: domain.Duration(2 * time.Minute)}}
	if p.setting.patient {
		c.Settings.LostAfter = domain.Duration(48 * time.Hour)
	}
	if checks {
		c.Settings.HealthCheck = &domain.HealthCheck{Script: "true"}
	}
	return c
}

// build makes what every day begins with: environments, policies, projects and their triggers.
func (p *plant) build() {
	s := p.servers[0]
	lost := domain.Duration(2 * time.Minute)
	if p.setting.patient {
		lost = domain.Duration(48 * time.Hour)
	}
	cleaned := domain.PolicySettings{LostAfter: lost, CleanUp: &domain.CleanUp{After: domain.Duration(fleetingAfter), MaxShare: fleetingShare}}
	for _, name := range environments {
		p.apply(s, domain.ApplyEnvironment{Name: name})
	}
	p.apply(s, domain.ApplyPolicy{Name: fleeting, Settings: cleaned})
	p.apply(s, domain.ApplyPolicy{Name: domain.DefaultPolicy, Settings: domain.PolicySettings{LostAfter: lost}})
	p.apply(s, p.checkedPolicy(true))
	for i := range projects {
		p.buildProject(s, i, 0)
	}
	if !p.setting.released {
		return
	}
	for _, project := range projects {
		for _, environment := range environments {
			p.do(s, domain.Deploy{Project: project, Release: "1.1", Environment: environment, Origin: domain.By(by)}, "deploy", project, "1.1", "--to", environment)
		}
	}
}

// apply sends what a file would say.
func (p *plant) apply(s *server, c domain.Command) {
	if s.down {
		s = p.serving(0)
	}
	p.tardy = false
	p.story.apply(p.now, s, c)
	p.command(s, c)
}

func (p *plant) buildProject(s *server, i, variant int) {
	name := projects[i]
	settings := projectSettings(i, variant)
	if p.setting.patient && len(p.setting.cursed) == 0 {
		settings.Attempts = domain.MaxAttempts
	}
	p.apply(s, domain.ApplyProject{Name: name, Settings: settings})
	for t := range triggerNames {
		if triggerNames[t] != "again" || i == 1 && !p.setting.calm {
			p.apply(s, p.rule(i, t, 0))
		}
	}
	p.release(s, name)
}
