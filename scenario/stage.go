package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// stage is the world of one file: a log in memory, servers with the real engine, agents, and one clock.
type stage struct {
	ctx     context.Context
	script  *script
	clock   *clock
	log     *vault
	servers []*server
	agents  map[string]*agent
	names   names
	sent    sent
	ticks   int
	line    int // that runs now
	// unmoved says that servers do not do at once what follows from the block that runs now.
	unmoved bool
}

// server is one drover server.
type server struct {
	*engine.Engine
	name   string
	clock  *serverClock
	rules  int // scenarios count the versions of the rules from 1, those of this drover; 0 is 1
	starts int
	down   bool
	// stopped says since when the whole process stands still, as after SIGSTOP; nil while it runs.
	stopped *time.Duration
	// stop says after which step the next tick stops, and crashes whether it dies of it.
	stop    step
	crashes bool
	paused  *paused
}

// step is one of the steps of a tick.
type step string

const (
	afterRead   step = "read"
	afterDecide step = "decide"
	afterAppend step = "append"
)

func newStage(ctx context.Context, s *script) (*stage, error) {
	st := &stage{ctx: ctx, script: s, clock: &clock{}, log: &vault{Log: memory.New()}, agents: map[string]*agent{}, names: newNames()}
	_, err := st.server("a")
	return st, err
}

// blockKind is one row of the table of blocks.
type blockKind struct {
	name, usage string
	run         func(*stage, *block) ([]string, error)
}

func blockKinds() []blockKind {
	return []blockKind{
		{"apply", "apply [HH:MM:SS] [server=NAME], then YAML without blank lines", (*stage).apply},
		{"do", "do [server=NAME] [reacts=no], then a line for each command: HH:MM:SS VERB …", (*stage).do},
		{"events", "events, then a line for each fact: HH:MM:SS EVENT MACHINE …", (*stage).events},
		{"report", "report [server=NAME] [reacts=no], then a line for each report: HH:MM:SS MACHINE WORD …", (*stage).report},
		{"tick", "tick HH:MM:SS [server=NAME] [servers=(a,b)]", (*stage).tick},
		{"ticks", "ticks until=HH:MM:SS [every=15s] [servers=(a,b)]", (*stage).manyTicks},
		{"view", "view fleet|deployments [DEPLOYMENT]|candidates", (*stage).view},
		{"why", "why MACHINE [PROJECT] [at=#POSITION|HH:MM:SS]", (*stage).why},
		{"crash", "crash after=read|decide|append [server=NAME]", (*stage).crash},
		{"pause", "pause after=read|decide|append [server=NAME]", (*stage).pause},
		{"resume", "resume [HH:MM:SS] [server=NAME]", (*stage).resume},
		{"kill", "kill HH:MM:SS [server=NAME]", (*stage).kill},
		{"start", "start HH:MM:SS [server=NAME] [rules=N]", (*stage).start},
		{"backup", "backup", (*stage).backup},
		{"restore", "restore HH:MM:SS", (*stage).restore},
		{"import", "import HH:MM:SS", (*stage).importLog},
		{"stop", "stop HH:MM:SS [server=NAME]", (*stage).freeze},
		{"wake", "wake HH:MM:SS [server=NAME]", (*stage).wake},
		{"clock", "clock HH:MM:SS by=DURATION|stands [server=NAME]", (*stage).setClock},
		{"react", "react HH:MM:SS [server=NAME] [servers=(a,b)]", (*stage).reacts},
		{"replay", "replay", (*stage).replay},
		{"log", "log [from=#POSITION] [stream=STREAM]", (*stage).show},
	}
}

func blockOf(name string) *blockKind {
	kinds := blockKinds()
	if i := slices.IndexFunc(kinds, func(k blockKind) bool { return k.name == name }); i >= 0 {
		return &kinds[i]
	}
	return nil
}

func blockNames() string {
	var all []string
	for _, kind := range blockKinds() {
		all = append(all, kind.name)
	}
	return strings.Join(all, ", ")
}

// run runs a block. What is printed has no blank line, no blanks at the end of a line, and stand-ins for ids.
func (st *stage) run(b *block) ([]string, error) {
	st.line = b.line
	if err := st.ctx.Err(); err != nil {
		return nil, err
	}
	output, err := blockOf(b.name).run(st, b)
	if err != nil {
		return nil, err
	}
	st.learn()
	var lines []string
	for _, text := range strings.Split(strings.Join(output, "\n"), "\n") {
		if text = strings.TrimRight(st.names.replace(text), " \t"); text != "" {
			lines = append(lines, text)
		}
	}
	return lines, nil
}

// wrong is a mistake in the line that runs now.
func (st *stage) wrong(hint, reason string, args ...any) error {
	return st.script.fail(st.line, hint, reason, args...)
}

// header reads the words after a block's name: at most positional ones, and values of keys.
func (st *stage) header(b *block, positional int, keys ...string) (words []string, values map[string]string, err error) {
	hint, values := "write: "+blockOf(b.name).usage, map[string]string{}
	for _, word := range b.args {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case ok && slices.Contains(keys, key):
			values[key] = value
		case ok:
			return nil, nil, st.wrong(hint, "%s has no %.40q", b.name, key)
		case len(words) == positional:
			return nil, nil, st.wrong(hint, "%.40q is one word too many", word)
		default:
			words = append(words, word)
		}
	}
	if len(b.input) > 0 && !slices.Contains([]string{"apply", "do", "events", "report"}, b.name) {
		st.line = b.input[0].number
		return nil, nil, st.wrong(hint, "%s takes no further lines", b.name)
	}
	return words, values, nil
}

// at moves the clock to the time that a text says; time only rises.
func (st *stage) at(text string) error {
	at, ok := parseTime(text)
	if !ok {
		return st.wrong("write it as HH:MM:SS", "invalid time %.40q", text)
	}
	return st.advance(at)
}

// advance moves the clock. Agents that are online send their heartbeats and servers renew their leases.
func (st *stage) advance(to time.Duration) error {
	if to < st.clock.now {
		return st.wrong("times only rise", "%s lies before %s", formatTime(to), formatTime(st.clock.now))
	}
	if to == st.clock.now {
		return nil
	}
	st.clock.now = to
	for range 2 { // so that each sees the newest lease of all others
		for _, s := range st.servers {
			if s.works() {
				if err := s.RenewLease(st.ctx, st.log); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range sortedKeys(st.agents) {
		st.heartbeat(st.agents[name])
	}
	return nil
}

// server finds a server by name, or starts the first of that name.
func (st *stage) server(name string) (*server, error) {
	if name == "" {
		name = "a"
	}
	for _, s := range st.servers {
		if s.name == name {
			return s, nil
		}
	}
	if r := domain.CheckName("server", name); r != nil || len(st.servers) == 20 {
		return nil, st.wrong("name it a, b, c and so on, at most 20 of them", "unknown server %.40q", name)
	}
	s := &server{name: name, down: true, clock: &serverClock{clock: st.clock}}
	st.servers = append(st.servers, s)
	return s, st.open(s)
}

// running finds a server that is not down and not in the middle of a tick.
func (st *stage) running(name string) (*server, error) {
	s, err := st.server(name)
	if err == nil && s.down {
		return nil, st.wrong("write `start HH:MM:SS` first", "server %s is down", s.name)
	}
	if err == nil && s.stopped != nil {
		return nil, st.wrong("write `wake HH:MM:SS` first", "server %s is stopped", s.name)
	}
	return s, err
}

// works says whether the process does anything now.
func (s *server) works() bool { return !s.down && s.stopped == nil }

// open starts a server under a new id and folds the whole log.
func (st *stage) open(s *server) error {
	s.starts++
	id := st.id("server", s.name, s.starts)
	st.names.add(id, s.name)
	rules := engine.CurrentRules()
	rules.Version = max(1, s.rules)
	e, err := engine.Open(st.ctx, engine.Config{Log: st.log, Clock: s.clock, Server: id, Rules: rules, Version: "scenario"})
	if err != nil {
		return err
	}
	s.Engine, s.down, s.stop, s.paused, s.stopped = e, false, "", nil, nil
	if err := s.RenewLease(st.ctx, st.log); err != nil {
		return err
	}
	return s.Start(st.ctx)
}

// id makes an id from words, so that each run of a file has the same ids.
func (st *stage) id(kind, name string, n int) domain.ID {
	return domain.ID(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %s %d", kind, name, n)))
}

// head is the position of the last event.
func (st *stage) head() eventlog.Position {
	head, _ := st.log.Head(st.ctx)
	return head
}

// after reads the events behind a position.
func (st *stage) after(p eventlog.Position) []eventlog.Recorded {
	var all []eventlog.Recorded
	for rec, err := range st.log.ReadAll(st.ctx, p, 0) {
		if err != nil {
			break // the log in memory ends only with ctx, which run looks at
		}
		all = append(all, rec)
	}
	return all
}

// then lists the events behind a position as what followed.
func (st *stage) then(p eventlog.Position) []string {
	st.learn()
	var lines []string
	for _, rec := range st.after(p) {
		lines = append(lines, "then "+st.describe(rec))
	}
	return lines
}

// fold is the view of a server's engine, which only the file's one goroutine uses.
func (s *server) fold() (view *projections.View) {
	s.Read(func(v *projections.View) { view = v })
	return view
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
