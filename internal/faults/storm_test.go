package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
)

// storm does faults to a cluster, and measures how long it takes afterwards until all work again.
type storm struct {
	c        *cluster
	people   *people
	random   *rand.Rand
	done     map[string]int
	recovery []time.Duration
}

// TestMachinesGetTheirReleasesOnceWhateverGoesWrong is the promise of several servers on one log.
func TestMachinesGetTheirReleasesOnceWhateverGoesWrong(t *testing.T) {
	needsTime(t)
	chosen := seed(t)
	c := newCluster(t, shape{servers: 3, agents: 30, apart: 10 * time.Minute, small: true})
	c.apply(shop)
	for _, a := range c.agents {
		a.start()
	}
	c.until("all machines are online", c.online)

	p, stop := begin(c, chosen, 3)
	s := &storm{c: c, people: p, random: rand.New(rand.NewPCG(chosen, 1<<32)), done: map[string]int{}}
	s.blow(*timeFlag)
	stop()

	s.settle()
	s.judge()
}

// blow does one fault or two at a time until the time is over.
func (s *storm) blow(span time.Duration) {
	order := []int{}
	for end := time.Now().Add(span); time.Now().Before(end) && !s.c.t.Failed(); {
		if len(order) == 0 { // each comes once before any comes again
			order = s.random.Perm(len(faults))
		}
		now := []fault{faults[order[0]]}
		order = order[1:]
		if len(order) > 0 && faults[order[0]].place != now[0].place && s.random.IntN(3) == 0 {
			now = append(now, faults[order[0]])
			order = order[1:]
		}
		s.do(now)
		time.Sleep(time.Duration(s.random.IntN(500)) * time.Millisecond)
	}
}

// do does these faults at once, undoes them, and waits until all work again.
func (s *storm) do(now []fault) {
	var undo []func()
	var span time.Duration
	for _, f := range now {
		s.done[f.name]++
		span = max(span, f.span(s.random))
		undo = append(undo, f.do(s.c, s.random))
	}
	time.Sleep(span)
	for _, u := range undo {
		u()
	}
	healed := time.Now()
	s.recover(fmt.Sprint(names(now)))
	s.recovery = append(s.recovery, time.Since(healed))
}

func names(now []fault) (all []string) {
	for _, f := range now {
		all = append(all, f.name)
	}
	return all
}

// recover waits until each server is ready and takes a command, and all machines are online.
func (s *storm) recover(after string) {
	c := s.c
	c.t.Helper()
	c.until("after "+after+" each server works and each machine is online", func() error {
		if err := errors.Join(c.ready(), c.online()); err != nil {
			return err
		}
		for n, at := range c.servers {
			key := s.people.note("probe")
			answer, err := s.people.try(at, post("/projects/shop/releases", object{"version": "probe-" + key.String()}), key)
			if err != nil {
				return fmt.Errorf("server %d: %w", n, err)
			}
			s.people.took(key, answer)
		}
		return nil
	})
}

// online says which machine a server does not see online, if there is one.
func (c *cluster) online() error {
	for n, s := range c.servers {
		machines := s.machines()
		for _, a := range c.agents {
			if machines[a.name].Presence != "online" {
				return fmt.Errorf("server %d sees machine %s %s", n, a.name, machines[a.name].Presence)
			}
		}
	}
	return nil
}

// settle waits until nothing is open, and brings one last release everywhere.
func (s *storm) settle() {
	c := s.c
	c.until("no deployment is open", func() error { return c.idle(c.servers[0]) })
	c.until("each machine has what it should have, or is left alone with a reason", func() error { return c.behind(c.servers[1]) })
	for _, environment := range []string{"production", "staging"} {
		body := object{"project": "shop", "release": s.people.release(s.random, 99), "environment": environment}
		o := s.people.send(s.random, post("/deployments", body))
		require.True(c.t, o.acked, o.what)
	}
	c.until("the last release is everywhere", func() error { return c.has(c.servers[2], "99.") })
}

// has says which machine has no release that begins so, or wants another.
func (c *cluster) has(s *droverServer, release string) error {
	machines := s.machines()
	for _, a := range c.agents {
		m, ok := machines[a.name]
		if !ok || len(m.Installed) != 1 || len(m.Wanted) != 1 {
			return fmt.Errorf("machine %s has %v and should have %v", a.name, m.Installed, m.Wanted)
		}
		if i := m.Installed[0]; !strings.HasPrefix(i.Release, release) || i.Dirty || m.Wanted[0].Release != i.Release {
			return fmt.Errorf("machine %s has %v and should have %v", a.name, i, m.Wanted[0])
		}
	}
	return nil
}

// idle says which deployment is open, if one is.
func (c *cluster) idle(s *droverServer) error {
	items, _, err := list[explain.Deployment](s, "/deployments", whole)
	for _, d := range items {
		if d.State == "queued" || d.State == "running" {
			return fmt.Errorf("deployment %s of %s is %s: %v", d.ID, d.Release, d.State, d.Machines)
		}
	}
	return err
}

// behind says which machine has not what it should have, and is not left alone with a reason.
func (c *cluster) behind(s *droverServer) error {
	for _, a := range c.agents {
		items, _, err := list[explain.Why](s, "/why", url.Values{"machine": {a.name}, "project": {"shop"}})
		if err != nil || len(items) != 1 {
			return fmt.Errorf("why %s: %d answers, %w", a.name, len(items), err)
		}
		if w := items[0]; w.Verdict == "deploy" || w.Verdict == "wait" && w.Reason != "held" && w.Reason != "nothing-released" {
			return fmt.Errorf("machine %s: %s %s: %s", a.name, w.Verdict, w.Reason, w.Sentence)
		}
	}
	return nil
}

// judge checks what must hold and prints the figures.
func (s *storm) judge() {
	c := s.c
	for _, server := range c.servers {
		server.stop(syscall.SIGTERM)
		server.start()
	}
	c.until("all servers are back", c.ready)
	c.until("the servers fold the log to the same", c.same)

	_, err := eventlog.Verify(context.Background(), c.log, nil)
	require.NoError(c.t, err)
	c.calm()
	events, lines := c.events(), c.lines()
	zeros := map[string][]string{"lost": lost(s.people.orders, events), "doubled": doubled(s.people.orders, events), "holes": holes(events),
		"twice": twice(lines), "unfounded": unfounded(lines, events)}
	s.print(events, lines, zeros)
	for what, found := range zeros {
		require.Empty(c.t, found, what)
	}
	s.control(events, lines)
}

// calm checks that no program broke down by itself, whatever was done to it.
func (c *cluster) calm() {
	logs, err := filepath.Glob(filepath.Join(c.folder, "*.log"))
	require.NoError(c.t, err)
	require.NotEmpty(c.t, logs)
	for _, path := range logs {
		text, err := os.ReadFile(path)
		require.NoError(c.t, err)
		for row := range strings.Lines(string(text)) {
			for _, word := range []string{"panic: ", "fatal error: ", "internal error in "} {
				if strings.Contains(row, word) {
					c.t.Errorf("%s: %s", filepath.Base(path), row)
				}
			}
		}
	}
}

// control shows for each zero that it would not be one if a single thing were otherwise.
func (s *storm) control(events []eventlog.Recorded, lines []line) {
	t, orders := s.c.t, s.people.orders
	written := slices.IndexFunc(events, func(e eventlog.Recorded) bool {
		return slices.ContainsFunc(orders, func(o order) bool { return o.acked && o.key == e.Command && len(o.answer.Events) > 0 })
	})
	require.Len(t, lost(orders, slices.Concat(events[:written], events[written+1:])), 1, "an acknowledged event is missing")
	require.NotEmpty(t, holes(slices.Concat(events[:written], events[written+1:])), "a position is missing")
	again := events[written]
	again.Position, again.Revision, again.ID = again.Position+1000, again.Revision+1000, uuid.New()
	require.Len(t, doubled(orders, append(slices.Clone(events), again)), 1, "a command was done again, as by an append at any revision")
	require.Len(t, doubled(orders, append(slices.Clone(events), events[written])), 2, "an event is there twice, and its command done twice")
	ended := slices.IndexFunc(lines, func(l line) bool { return l.what == "end" })
	require.Len(t, unfounded(slices.Concat(lines[:ended], lines[ended+1:]), events), 1, "a part counts as done that did not run to its end")
	stranger := lines[ended]
	stranger.deployment = uuid.NewString()
	require.Len(t, unfounded(append(slices.Clone(lines), stranger), events), 1, "a part ran that nobody claimed")
}

// lines are what the steps wrote.
func (c *cluster) lines() []line {
	text, err := os.ReadFile(c.ran)
	if !errors.Is(err, fs.ErrNotExist) { // nothing has run yet
		require.NoError(c.t, err)
	}
	return readLines(string(text))
}

// same says where the servers answer differently at one position.
func (c *cluster) same() error {
	head, err := c.log.Head(context.Background())
	for _, path := range []string{"/machines", "/deployments", "/projects", "/triggers", "/releases", "/environments", "/policies"} {
		var first string
		for n, s := range c.servers {
			text, failure := c.raw(s, path, head)
			if err = errors.Join(err, failure); err != nil {
				return err
			}
			if n > 0 && text != first {
				return fmt.Errorf("at position %s %s of server 0 is %s and of server %d %s", head, path, first, n, text)
			}
			first = text
		}
	}
	return nil
}

// raw reads one collection as it stands at a position.
func (c *cluster) raw(s *droverServer, path string, at eventlog.Position) (text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	position, err := s.client.Get(ctx, path, url.Values{"limit": {"5000"}, "after": {at.String()}}, &text)
	if err == nil && position != at.String() {
		err = fmt.Errorf("%s is answered at position %s, and position %s was asked for", path, position, at)
	}
	return text, err
}

// print says what was done and what was found, in one line each.
func (s *storm) print(events []eventlog.Recorded, lines []line, zeros map[string][]string) {
	acked, refused := 0, 0
	for _, o := range s.people.orders {
		if o.acked {
			acked++
		}
		if o.refused {
			refused++
		}
	}
	total, kinds := 0, []string{}
	for name, n := range s.done {
		total += n
		kinds = append(kinds, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(kinds)
	executions := 0
	for _, l := range lines {
		if l.what == "begin" {
			executions++
		}
	}
	c := s.c
	c.t.Logf("operations: %d commands acknowledged, %d refused, %d tries of unknown outcome; %d events; %d executions on machines", acked, refused, s.people.unknown, len(events), executions)
	c.t.Logf("faults: %d (%s); %d servers ended themselves at a named point", total, strings.Join(kinds, ", "), c.hits.Load())
	c.t.Logf("lost %d, done twice %d, holes %d, ran twice %d, ran without a claim or counted without a run %d",
		len(zeros["lost"]), len(zeros["doubled"]), len(zeros["holes"]), len(zeros["twice"]), len(zeros["unfounded"]))
	c.t.Logf("recovery after healing: p50 %s, p99 %s, longest %s", percentile(s.recovery, 50), percentile(s.recovery, 99), percentile(s.recovery, 100))
}

func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)].Round(time.Millisecond)
}
