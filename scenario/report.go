package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// agent is the agent of a machine with its current instance and session.
type agent struct {
	machine   string
	instances int
	sessions  int
	instance  domain.ID
	session   domain.ID
	// server holds the session; nil without a session. silent is set while the agent sends nothing.
	server *server
	silent bool
	// running lists the deployments whose parts it has claimed and not ended.
	running []domain.ID
	memory  agentMemory
	// stranger is set for an instance that may not take the name of the machine.
	stranger bool
	flags    domain.AgentFlags
	// saved is the last copy of its disk, or nil. forgotten contains the successes that it lost with its disk.
	saved     *diskCopy
	forgotten map[domain.ID]bool
}

// word is one keyword of a report.
type word struct {
	usage string
	run   func(r *runner, s *server, a *agent, words []string) ([]string, error)
}

const joinUsage = "joins --environment E --role R… --policy P --token-policy P --ephemeral"

func reportWords() []word {
	return []word{
		{joinUsage, (*runner).join},
		{"online", (*runner).comeOnline},
		{"offline", (*runner).goOffline},
		{"deletes-itself", (*runner).deleteItself},
		{"reconnects", (*runner).reconnect},
		{"silent", (*runner).fallSilent},
		{"heartbeat", (*runner).resumeHeartbeats},
		{"healthy DETAIL", reportHealth(domain.Healthy)},
		{"warning DETAIL", reportHealth(domain.Warning)},
		{"unhealthy DETAIL", reportHealth(domain.Unhealthy)},
		{"reports KIND DETAIL", (*runner).reportConditions},
		{"claims DEPLOYMENT", (*runner).claim},
		{"succeeds DEPLOYMENT", reportEnd("succeeds DEPLOYMENT", domain.PartSucceeded, "")},
		{failsUsage, reportEnd(failsUsage, domain.PartFailed, domain.StepFailed)},
		{killedUsage, reportEnd(killedUsage, domain.PartFailed, domain.KilledByPerson)},
		{"re-imaged", (*runner).replaceDisk},
		{"newcomer", (*runner).replaceHost},
		{"cloned", (*runner).cloneDisk},
		{"disk-saved", (*runner).saveDisk},
		{"disk-restored", (*runner).restoreDisk},
	}
}

// report runs one keyword of an agent for each line.
func (r *runner) report(b *block) ([]string, error) {
	return r.lines(b, func(s *server, words []string) ([]string, error) {
		if len(words) < 2 {
			return nil, r.wrong("usage: HH:MM:SS MACHINE WORD …", "the report has no keyword")
		}
		all := reportWords()
		i := slices.IndexFunc(all, func(w word) bool { return strings.Fields(w.usage)[0] == words[1] })
		if i < 0 {
			return nil, r.wrong("use one of: "+reportNames(), "unknown report %.40q", words[1])
		}
		return r.eachMachine(words[0], func(machine string) ([]string, error) {
			a, s := r.agent(machine), s
			if len(b.args) == 0 && a.server != nil && a.server.isRunning() {
				s = a.server
			}
			return all[i].run(r, s, a, words[2:])
		})
	})
}

func reportNames() string {
	var all []string
	for _, w := range reportWords() {
		all = append(all, strings.Fields(w.usage)[0])
	}
	return strings.Join(all, ", ")
}

// agent returns the agent of a machine, and creates it if necessary.
func (r *runner) agent(machine string) *agent {
	a := r.agents[machine]
	if a == nil {
		a = &agent{machine: machine}
		r.agents[machine] = a
		a.reimage(r)
	}
	return a
}

func (a *agent) reimage(r *runner) {
	a.instances++
	a.instance = r.id("instance", a.machine, a.instances)
	a.server, a.silent, a.running, a.memory = nil, false, nil, agentMemory{}
	a.saved, a.forgotten, a.stranger, a.flags = nil, map[domain.ID]bool{}, false, domain.AgentFlags{}
	r.names.add(a.instance, fmt.Sprintf("%s/disk%d", a.machine, a.instances))
	a.session = domain.ID{}
}

func (a *agent) newSession(r *runner) {
	a.sessions++
	a.session = r.id("session", a.machine, a.sessions)
	r.names.add(a.session, fmt.Sprintf("%s/session%d", a.machine, a.sessions))
}

// words parses the words after a keyword.
func (r *runner) words(s *server, usage string, line []string) (*words, error) {
	w := &words{runner: r, server: s, usage: usage, flags: map[string][]string{}}
	w.read(line)
	return w, w.err
}

// join registers the machine if the log does not have it, and starts a session.
func (r *runner) join(s *server, a *agent, line []string) ([]string, error) {
	w, err := r.words(s, joinUsage, line)
	if err != nil {
		return nil, err
	}
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	v, first := s.fold(), r.head()+1
	a.flags = domain.AgentFlags{Environment: w.flag("environment"), Roles: w.flags["role"],
		Ephemeral: w.flag("ephemeral") != "", Policy: w.flag("policy")}
	if v.Machines[a.machine] == nil && !a.returns(v) {
		environment := w.flag("environment")
		if environment == "" && len(v.Environments) == 1 {
			environment = sortedKeys(v.Environments)[0]
		}
		commands := append(a.useToken(v, w.flag("token-policy"), environment, s.clock.Now()),
			domain.ApplyMachine{Name: a.machine, Environment: environment, Roles: w.flags["role"], Policy: w.flag("policy"),
				Ephemeral: a.flags.Ephemeral, Instance: a.instance, Origin: domain.By("agent")})
		for _, c := range commands {
			_, err := s.Handle(r.ctx, domain.ID{}, c)
			if answer, refused := r.refusal(err); refused {
				return []string{answer}, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if !a.returns(v) || v.World().DeletedByItsAgent(a.machine) { // else the agent has run all the time
		a.newSession(r)
	}
	next := r.head() + 1
	answer, err := r.connect(s, a)
	return joined(answer, first, next), err
}

// useToken returns the commands by which the agent uses the join token that gives a policy. It creates the token if
// necessary. Without a policy, it returns no commands.
func (a *agent) useToken(v *projections.View, policy, environment string, now time.Time) (commands []domain.Command) {
	if policy == "" {
		return nil
	}
	id := "join-" + policy
	if v.Tokens[id] == nil {
		commands = append(commands, domain.CreateToken{ID: id, Now: now, Origin: domain.By("person"),
			Settings: domain.TokenSettings{Join: true, AnyEnvironment: true, Policy: policy}})
	}
	return append(commands, domain.UseToken{ID: id, Instance: a.instance, Machine: a.machine, Environment: environment, Now: now})
}

// joined combines the answers to several commands: the events from first on, and one that appended the event next.
func joined(answer []string, first, next eventlog.Position) []string {
	if len(answer) > 0 && answer[0] == span(next, next) {
		answer[0] = span(first, next)
	}
	return answer
}

func (r *runner) comeOnline(s *server, a *agent, line []string) ([]string, error) {
	if len(line) > 0 {
		return nil, r.wrong("usage: HH:MM:SS MACHINE online", "unexpected word %.40q", line[0])
	}
	a.newSession(r)
	return r.connect(s, a)
}

func (r *runner) reconnect(s *server, a *agent, _ []string) ([]string, error) {
	return r.connect(s, a)
}

// returns reports whether a clean-up or its agent has deleted the machine of this instance, and its agent returns.
func (a *agent) returns(v *projections.View) bool {
	kept := v.CleanedUp(a.machine)
	return kept != nil && kept.Instance == a.instance
}

// connect does what a server does when an agent connects: it undoes the clean-up of the machine, and starts a session.
func (r *runner) connect(s *server, a *agent) ([]string, error) {
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	first := r.head() + 1
	if !a.returns(s.fold()) {
		return r.startSession(s, a)
	}
	_, err := s.Handle(r.ctx, domain.ID{}, domain.ReturnMachine{Name: a.machine, Instance: a.instance})
	if err != nil {
		return nil, err
	}
	answer, err := r.startSession(s, a)
	return joined(answer, first, first+1), err
}

// startSession brings the machine of an agent online.
func (r *runner) startSession(s *server, a *agent) ([]string, error) {
	if a.session.IsZero() {
		a.newSession(r)
	}
	answer, err := r.send(s, domain.ID{}, domain.ConnectMachine{Name: a.machine, Server: s.Server(),
		Session: a.session, Instance: a.instance, Admin: !a.stranger, Flags: a.flags,
		Now: s.clock.Now()})
	if err == nil && !strings.HasPrefix(answer[0], "rejected") {
		a.server, a.silent = s, false
		followed, err := r.compare(s, a)
		if err != nil {
			return nil, err
		}
		answer = append(answer, followed...)
		r.heartbeat(a)
	}
	return answer, err
}
