package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
)

// agent is one life of a machine's disk with the session that runs on it.
type agent struct {
	machine   string
	instances int
	sessions  int
	instance  domain.ID
	session   domain.ID
	// server holds its session, nil for none; silent says that nothing is heard of it all the same.
	server *server
	silent bool
	// running are the parts that it has claimed and not ended.
	running []domain.ID
	memory  agentMemory
}

// word is one thing that an agent can say or suffer.
type word struct {
	usage string
	run   func(st *stage, s *server, a *agent, words []string) ([]string, error)
}

func reportWords() []word {
	return []word{
		{"joins --environment E --role R… --policy P", (*stage).joins},
		{"online", (*stage).comesOnline},
		{"offline", (*stage).goesOffline},
		{"reconnects", (*stage).reconnects},
		{"silent", (*stage).fallsSilent},
		{"heartbeat", (*stage).isHeard},
		{"healthy DETAIL", reportHealth(domain.Healthy)},
		{"warning DETAIL", reportHealth(domain.Warning)},
		{"unhealthy DETAIL", reportHealth(domain.Unhealthy)},
		{"claims DEPLOYMENT", (*stage).claims},
		{"succeeds DEPLOYMENT", reportEnd(domain.PartSucceeded)},
		{"fails DEPLOYMENT --step NAME --exit CODE", reportEnd(domain.PartFailed)},
		{"re-imaged", (*stage).isReimaged},
		{"cloned", (*stage).isCloned},
	}
}

// report lets agents speak.
func (st *stage) report(b *block) ([]string, error) {
	return st.lines(b, func(s *server, words []string) ([]string, error) {
		if len(words) < 2 {
			return nil, st.wrong("write: HH:MM:SS MACHINE WORD …", "the report says nothing")
		}
		all := reportWords()
		i := slices.IndexFunc(all, func(w word) bool { return strings.Fields(w.usage)[0] == words[1] })
		if i < 0 {
			return nil, st.wrong("use one of: "+reportNames(), "unknown report %.40q", words[1])
		}
		a := st.agent(words[0])
		if len(b.args) == 0 && a.server != nil && a.server.works() {
			s = a.server
		}
		return all[i].run(st, s, a, words[2:])
	})
}

func reportNames() string {
	var all []string
	for _, w := range reportWords() {
		all = append(all, strings.Fields(w.usage)[0])
	}
	return strings.Join(all, ", ")
}

// agent finds the agent of a machine, or makes its disk.
func (st *stage) agent(machine string) *agent {
	a := st.agents[machine]
	if a == nil {
		a = &agent{machine: machine}
		st.agents[machine] = a
		a.reimage(st)
	}
	return a
}

func (a *agent) reimage(st *stage) {
	a.instances++
	a.instance = st.id("instance", a.machine, a.instances)
	a.server, a.silent, a.running, a.memory = nil, false, nil, agentMemory{}
	st.names.add(a.instance, fmt.Sprintf("%s/disk%d", a.machine, a.instances))
	a.session = domain.ID{}
}

func (a *agent) newSession(st *stage) {
	a.sessions++
	a.session = st.id("session", a.machine, a.sessions)
	st.names.add(a.session, fmt.Sprintf("%s/session%d", a.machine, a.sessions))
}

// words reads what stands after an agent's word.
func (st *stage) words(s *server, usage string, line []string) (*words, error) {
	w := &words{stage: st, server: s, usage: usage, flags: map[string][]string{}}
	w.read(line)
	return w, w.err
}

// joins registers the machine if the log has none of its name, and begins a session.
func (st *stage) joins(s *server, a *agent, line []string) ([]string, error) {
	w, err := st.words(s, "joins --environment E --role R… --policy P", line)
	if err != nil {
		return nil, err
	}
	if err := s.CatchUp(st.ctx); err != nil {
		return nil, err
	}
	v, first := s.fold(), st.head()+1
	if v.Machines[a.machine] == nil {
		environment := w.flag("environment")
		if environment == "" && len(v.Environments) == 1 {
			environment = sortedKeys(v.Environments)[0]
		}
		_, err := s.Handle(st.ctx, domain.ID{}, domain.ApplyMachine{Name: a.machine, Environment: environment,
			Roles: w.flags["role"], Policy: w.flag("policy"), Origin: domain.By("agent")})
		if answer, refused := refusal(err); refused {
			return []string{answer}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	a.newSession(st)
	answer, err := st.connect(s, a)
	if err == nil && answer[0] == span(first+1, first+1) {
		answer[0] = span(first, first+1)
	}
	return answer, err
}

func (st *stage) comesOnline(s *server, a *agent, line []string) ([]string, error) {
	if len(line) > 0 {
		return nil, st.wrong("write: HH:MM:SS MACHINE online", "%.40q is one word too many", line[0])
	}
	a.newSession(st)
	return st.connect(s, a)
}

func (st *stage) reconnects(s *server, a *agent, _ []string) ([]string, error) {
	return st.connect(s, a)
}

// connect does what a server does when an agent says hello.
func (st *stage) connect(s *server, a *agent) ([]string, error) {
	if a.session.IsZero() {
		a.newSession(st)
	}
	answer, err := st.send(s, domain.ID{}, domain.ConnectMachine{Name: a.machine, Server: s.Server(), Session: a.session, Instance: a.instance})
	if err == nil && !strings.HasPrefix(answer[0], "rejected") {
		a.server, a.silent = s, false
		followed, err := st.compare(s, a)
		if err != nil {
			return nil, err
		}
		answer = append(answer, followed...)
		st.heartbeat(a)
	}
	return answer, err
}
