package scenario

import (
	"context"
	"errors"
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

// runner is the state of one run: a log in memory, servers with the real engine, agents, and one clock.
type runner struct {
	ctx     context.Context
	script  *script
	clock   *clock
	log     *restorableLog
	servers []*server
	agents  map[string]*agent
	names   names
	last    lastCommand
	ticks   int
	line    int    // the current line of the file
	block   *block // the current block
	// expanded counts the machines of ranges so far.
	expanded int
	// refused reports whether a line of the current block was rejected. mismatches are what an expect block found.
	refused    bool
	mismatches []mismatch
	// noReactions delays the reactions of servers during the current block.
	noReactions bool
}

// server is one drover server.
type server struct {
	*engine.Engine
	name   string
	clock  *serverClock
	rules  int // the version of the rules; 1, the default, stands for the rules of this program
	starts int
	down   bool
	// stopped is the time since when the process has been frozen, as after SIGSTOP; nil while it runs.
	stopped *time.Duration
	// stop is the step after which the next tick pauses, or crashes the server if crashes is set.
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

func newRunner(ctx context.Context, s *script) (*runner, error) {
	r := &runner{ctx: ctx, script: s, clock: &clock{}, log: &restorableLog{Log: memory.New()},
		agents: map[string]*agent{}, names: newNames()}
	_, err := r.server("a")
	return r, err
}

// blockKind is one row of the table of blocks.
type blockKind struct {
	name, usage string
	run         func(*runner, *block) ([]string, error)
}

func blockKinds() []blockKind {
	return []blockKind{
		{"apply", "apply [HH:MM:SS] [-f FILE|FOLDER]… [server=NAME], then, without -f, YAML without blank lines",
			(*runner).apply},
		{"do", "do [server=NAME] [reacts=no], then a line for each command: HH:MM:SS VERB …", (*runner).do},
		{"events", "events, then a line for each fact: HH:MM:SS EVENT MACHINE …", (*runner).events},
		{"expect", "expect MACHINE… PROJECT=RELEASE…", (*runner).expect},
		{"include", "include FILE", nil},
		{"positions", "positions by=time|count", (*runner).positions},
		{"report", "report [server=NAME] [reacts=no], then a line for each report: HH:MM:SS MACHINE WORD …",
			(*runner).report},
		{"tick", "tick HH:MM:SS [server=NAME] [servers=(a,b)]", (*runner).tick},
		{"ticks", "ticks until=HH:MM:SS [every=15s] [servers=(a,b)]", (*runner).manyTicks},
		{"view", "view fleet|deployments [DEPLOYMENT]|parts DEPLOYMENT|candidates", (*runner).view},
		{"why", "why MACHINE [PROJECT] [at=#POSITION|HH:MM:SS]", (*runner).why},
		{"crash", "crash after=read|decide|append [server=NAME]", (*runner).crash},
		{"pause", "pause after=read|decide|append [server=NAME]", (*runner).pause},
		{"resume", "resume [HH:MM:SS] [server=NAME]", (*runner).resume},
		{"kill", "kill HH:MM:SS [server=NAME]", (*runner).kill},
		{"start", "start HH:MM:SS [server=NAME] [rules=N]", (*runner).start},
		{"backup", "backup", (*runner).backup},
		{"restore", "restore HH:MM:SS", (*runner).restore},
		{"import", "import HH:MM:SS", (*runner).importLog},
		{"stop", "stop HH:MM:SS [server=NAME]", (*runner).freeze},
		{"wake", "wake HH:MM:SS [server=NAME]", (*runner).wake},
		{"clock", "clock HH:MM:SS by=DURATION|stands [server=NAME]", (*runner).setClock},
		{"react", "react HH:MM:SS [server=NAME] [servers=(a,b)]", (*runner).reactBlock},
		{"replay", "replay", (*runner).replay},
		{"log", "log [from=#POSITION] [stream=STREAM]", (*runner).showLog},
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

// run runs a block. Its output has no blank lines, no trailing blanks, and names instead of ids.
func (r *runner) run(b *block) ([]string, error) {
	r.script, r.line, r.block = b.script, b.line, b
	r.refused, r.mismatches = false, nil
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	output, err := blockOf(b.name).run(r, b)
	if err != nil {
		return nil, err
	}
	r.learn()
	var lines []string
	for _, text := range strings.Split(strings.Join(output, "\n"), "\n") {
		if text = strings.TrimRight(r.names.replace(text), " \t"); text != "" {
			lines = append(lines, text)
		}
	}
	return lines, nil
}

// wrong returns an error about the current line.
func (r *runner) wrong(hint, reason string, args ...any) error {
	return r.script.fail(r.line, hint, reason, args...)
}

// wrongWord returns an error about a word of the current line.
func (r *runner) wrongWord(word, hint, reason string, args ...any) error {
	err := r.wrong(hint, reason, args...)
	var mistake *Error
	if i := r.line - r.block.line; errors.As(err, &mistake) && i >= 0 && i < len(r.block.raw) {
		mistake.Column = column(r.block.raw[i], word)
	}
	return err
}

// header parses the words after a block's keyword: up to the given number of positional words, and options.
func (r *runner) header(b *block, positional int, keys ...string) (words []string,
	values map[string]string, err error) {
	hint, values := "usage: "+blockOf(b.name).usage, map[string]string{}
	for _, word := range b.args {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case ok && slices.Contains(keys, key):
			values[key] = value
		case ok:
			return nil, nil, r.wrong(hint, "unknown option %.40q of %s", key, b.name)
		case len(words) == positional:
			return nil, nil, r.wrong(hint, "unexpected word %.40q", word)
		default:
			words = append(words, word)
		}
	}
	if len(b.input) > 0 && !slices.Contains([]string{"apply", "do", "events", "report"}, b.name) {
		r.line = b.input[0].number
		return nil, nil, r.wrong(hint, "block %s does not take input lines", b.name)
	}
	return words, values, nil
}

// at parses a time and moves the clock to it.
func (r *runner) at(text string) error {
	at, ok := parseTime(text)
	if !ok {
		return r.wrong("use HH:MM:SS", "invalid time %.40q", text)
	}
	return r.advance(at)
}

// advance moves the clock. Online agents send their heartbeats, and servers renew their leases.
func (r *runner) advance(to time.Duration) error {
	if to < r.clock.now {
		return r.wrong("times must not decrease", "%s is before %s", formatTime(to), formatTime(r.clock.now))
	}
	if to == r.clock.now {
		return nil
	}
	r.clock.now = to
	for range 2 { // so that each server reads the newest leases of all others
		for _, s := range r.servers {
			if s.isRunning() {
				if err := s.RenewLease(r.ctx, r.log); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range sortedKeys(r.agents) {
		r.heartbeat(r.agents[name])
	}
	return nil
}

// server returns the server of that name, and starts it if it does not exist.
func (r *runner) server(name string) (*server, error) {
	if name == "" {
		name = "a"
	}
	for _, s := range r.servers {
		if s.name == name {
			return s, nil
		}
	}
	if invalid := domain.CheckName("server", name); invalid != nil || len(r.servers) == 20 {
		return nil, r.wrong("use the names a, b, c and so on, at most 20", "unknown server %.40q", name)
	}
	s := &server{name: name, down: true, clock: &serverClock{clock: r.clock}}
	r.servers = append(r.servers, s)
	return s, r.open(s)
}

// running returns a server that is not down and not stopped.
func (r *runner) running(name string) (*server, error) {
	s, err := r.server(name)
	if err == nil && s.down {
		return nil, r.wrong("add `start HH:MM:SS` first", "server %s is down", s.name)
	}
	if err == nil && s.stopped != nil {
		return nil, r.wrong("add `wake HH:MM:SS` first", "server %s is stopped", s.name)
	}
	return s, err
}

// isRunning reports whether the process is running and not frozen.
func (s *server) isRunning() bool { return !s.down && s.stopped == nil }

// open starts a server under a new id and folds the whole log.
func (r *runner) open(s *server) error {
	s.starts++
	id := r.id("server", s.name, s.starts)
	r.names.add(id, s.name)
	rules := engine.CurrentRules()
	rules.Version = max(1, s.rules)
	e, err := engine.Open(r.ctx, engine.Config{Log: r.log, Clock: s.clock, Server: id, Rules: rules, Version: "scenario"})
	if err != nil {
		return err
	}
	s.Engine, s.down, s.stop, s.paused, s.stopped = e, false, "", nil, nil
	if err := s.RenewLease(r.ctx, r.log); err != nil {
		return err
	}
	return s.Start(r.ctx)
}

// id derives an id from words, so that each run of a file has the same ids.
func (r *runner) id(kind, name string, n int) domain.ID {
	return domain.ID(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %s %d", kind, name, n)))
}

// head returns the position of the last event.
func (r *runner) head() eventlog.Position {
	head, _ := r.log.Head(r.ctx)
	return head
}

// after returns the events after a position.
func (r *runner) after(p eventlog.Position) []eventlog.Recorded {
	var all []eventlog.Recorded
	for rec, err := range r.log.ReadAll(r.ctx, p, 0) {
		if err != nil {
			break // a log in memory fails only after ctx has ended, which run checks
		}
		all = append(all, rec)
	}
	return all
}

// then formats the events after a position as consequences.
func (r *runner) then(p eventlog.Position) []string {
	r.learn()
	var lines []string
	for _, rec := range r.after(p) {
		lines = append(lines, "then "+r.describe(rec))
	}
	return lines
}

// fold returns the view of a server's engine. A run has only one goroutine, so no lock is needed.
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
