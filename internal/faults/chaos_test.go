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

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
)

// chaosRun injects faults into a cluster and measures how long the cluster takes to recover.
type chaosRun struct {
	c        *cluster
	users    *users
	random   *rand.Rand
	done     map[string]int
	recovery []time.Duration
	offline  *offlineWatch
}

// TestMachinesGetTheirReleasesOnceUnderFaults tests what several servers on one log guarantee while faults occur.
func TestMachinesGetTheirReleasesOnceUnderFaults(t *testing.T) {
	skipIfShort(t)
	chosen := seed(t)
	c := newCluster(t, clusterConfig{servers: 3, agents: 30, clockSkew: 10 * time.Minute, small: true})
	c.apply(shop)
	for _, a := range c.agents {
		a.start()
	}
	c.until("all machines are online", c.online)

	p, stop := begin(c, chosen, 3)
	s := &chaosRun{c: c, users: p, random: rand.New(rand.NewPCG(chosen, 1<<32)), done: map[string]int{}}
	s.offline = watchOffline(c, settledAfter)
	s.inject(*timeFlag)
	stop()
	s.offline.stop()

	s.settle()
	s.checkInvariants()
}

// inject injects one or two faults at a time until span is over.
func (s *chaosRun) inject(span time.Duration) {
	order := []int{}
	for end := time.Now().Add(span); time.Now().Before(end) && !s.c.t.Failed(); {
		if len(order) == 0 { // each fault occurs once before any is repeated
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

// do injects faults together, undoes them, and waits for the recovery.
func (s *chaosRun) do(now []fault) {
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
	s.c.t.Logf("%v until %s, then recovery in %s", names(now), healed.Format(time.TimeOnly), time.Since(healed))
}

func names(now []fault) (all []string) {
	for _, f := range now {
		all = append(all, f.name)
	}
	return all
}

// recover waits until each server is ready and accepts a command, and all machines are online.
func (s *chaosRun) recover(after string) {
	c := s.c
	c.t.Helper()
	c.until("after "+after+": each server works and each machine is online", func() error {
		if err := errors.Join(c.ready(), c.online()); err != nil {
			return err
		}
		for n, at := range c.servers {
			key := s.users.record("probe")
			answer, err := s.users.try(at, post("/projects/shop/releases", object{"version": "probe-" + key.String()}),
				key)
			if err != nil {
				return fmt.Errorf("server %d: %w", n, err)
			}
			s.users.acknowledge(key, answer)
		}
		return nil
	})
}

// online returns an error if a server reports a machine that is not online.
func (c *cluster) online() error {
	for n, s := range c.servers {
		machines := s.machines()
		for _, a := range c.agents {
			if machines[a.name].Presence != "online" {
				return fmt.Errorf("server %d reports machine %s as %s", n, a.name, machines[a.name].Presence)
			}
		}
	}
	return nil
}

// settle waits until no deployment is open, and deploys a final release to all machines.
func (s *chaosRun) settle() {
	c := s.c
	c.until("no deployment is open", func() error { return c.idle(c.servers[0]) })
	c.until("each machine is up to date, or has a reason not to be deployed to",
		func() error { return c.behind(c.servers[1]) })
	for _, environment := range []string{"production", "staging"} {
		body := object{"project": "shop", "release": s.users.release(s.random, 99), "environment": environment}
		o := s.users.send(s.random, post("/deployments", body))
		require.True(c.t, o.acked, o.what)
	}
	c.until("all machines have the last release", func() error { return c.has(c.servers[2], "99.") })
}

// has returns an error if a machine does not have a release with this prefix, or if another release is wanted on it.
func (c *cluster) has(s *droverServer, release string) error {
	machines := s.machines()
	for _, a := range c.agents {
		m, ok := machines[a.name]
		if !ok || len(m.Installed) != 1 || len(m.Wanted) != 1 {
			return fmt.Errorf("machine %s has %v, want %v", a.name, m.Installed, m.Wanted)
		}
		if i := m.Installed[0]; !strings.HasPrefix(i.Release, release) || i.Dirty || m.Wanted[0].Release != i.Release {
			return fmt.Errorf("machine %s has %v, want %v", a.name, i, m.Wanted[0])
		}
	}
	return nil
}

// idle returns an error if a deployment is open.
func (c *cluster) idle(s *droverServer) error {
	items, _, err := list[explain.Deployment](s, "/deployments", whole)
	for _, d := range items {
		if d.State == "queued" || d.State == "running" {
			return fmt.Errorf("deployment %s of %s is %s: %v", d.ID, d.Release, d.State, d.Machines)
		}
	}
	return err
}

// behind returns an error if a machine is behind and drover reports no reason for it.
func (c *cluster) behind(s *droverServer) error {
	for _, a := range c.agents {
		items, _, err := list[explain.Why](s, "/why", url.Values{"machine": {a.name}, "project": {"shop"}})
		if err != nil || len(items) != 1 {
			return fmt.Errorf("why %s: %d answers, %w", a.name, len(items), err)
		}
		if w := items[0]; w.Verdict == "deploy" || w.Verdict == "wait" && w.Reason != "held" &&
			w.Reason != "nothing-released" {
			return fmt.Errorf("machine %s: %s %s: %s", a.name, w.Verdict, w.Reason, w.Sentence)
		}
	}
	return nil
}

// checkInvariants checks the invariants and prints the figures.
func (s *chaosRun) checkInvariants() {
	c := s.c
	for _, server := range c.servers {
		server.stop(syscall.SIGTERM)
		server.start()
	}
	c.until("all servers are ready", c.ready)
	c.until("all servers have the same state", c.serversAgree)

	_, err := eventlog.Verify(context.Background(), c.log, nil)
	require.NoError(c.t, err)
	c.noPanics()
	events, lines := c.events(), c.lines()
	zeros := map[string][]string{"lost": lostCommands(s.users.commands, events),
		"duplicated": duplicates(s.users.commands, events), "gaps": gaps(events),
		"twice": repeatedRuns(lines), "unclaimed": unclaimed(lines, events),
		"false offline": s.offline.found, "lost state": lostStates(events)}
	s.print(events, lines, zeros)
	s.offline.explain()
	for what, found := range zeros {
		require.Empty(c.t, found, what)
	}
	s.control(events, lines)
}

// noPanics checks that no program has panicked or reported an internal error.
func (c *cluster) noPanics() {
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

// control shows that each check finds a single violation.
func (s *chaosRun) control(events []eventlog.Recorded, lines []line) {
	t, commands := s.c.t, s.users.commands
	written := slices.IndexFunc(events, func(e eventlog.Recorded) bool {
		return slices.ContainsFunc(commands, func(o sentCommand) bool {
			return o.acked && o.key == e.Command &&
				len(o.answer.Events) > 0
		})
	})
	require.Len(t, lostCommands(commands, slices.Concat(events[:written], events[written+1:])), 1,
		"an acknowledged event is missing")
	require.NotEmpty(t, gaps(slices.Concat(events[:written], events[written+1:])), "a position is missing")
	again := events[written]
	again.Position, again.Revision, again.ID = again.Position+1000, again.Revision+1000, uuid.New()
	require.Len(t, duplicates(commands, append(slices.Clone(events), again)), 1,
		"a command was executed again, as by an append at any revision")
	require.Len(t, duplicates(commands, append(slices.Clone(events), events[written])), 2,
		"an event is in the log twice, and its command was executed twice")
	ended := slices.IndexFunc(lines, func(l line) bool { return l.what == "end" })
	require.Len(t, unclaimed(slices.Concat(lines[:ended], lines[ended+1:]), events), 1,
		"a part succeeded that did not run to its end")
	stranger := lines[ended]
	stranger.deployment = uuid.NewString()
	require.Len(t, unclaimed(append(slices.Clone(lines), stranger), events), 1, "a part ran without a claim")
	forgotten := events[written]
	var err error
	forgotten.Type, forgotten.Data, err = domain.Encode(domain.MachineLostState{})
	require.NoError(t, err)
	require.Len(t, lostStates(append(slices.Clone(events), forgotten)), 1, "a machine is called dirty")
}

// lines returns the lines that the steps wrote.
func (c *cluster) lines() []line {
	text, err := os.ReadFile(c.ran)
	if !errors.Is(err, fs.ErrNotExist) { // no step has run yet
		require.NoError(c.t, err)
	}
	return readLines(string(text))
}

// serversAgree returns an error if servers give different answers at one position.
func (c *cluster) serversAgree() error {
	head, err := c.log.Head(context.Background())
	for _, path := range []string{"/machines", "/deployments", "/projects", "/triggers", "/releases", "/environments",
		"/policies"} {
		var first string
		for n, s := range c.servers {
			text, failure := c.raw(s, path, head)
			if err = errors.Join(err, failure); err != nil {
				return err
			}
			if n > 0 && text != first {
				return fmt.Errorf("at position %s, %s of server 0 is %s, but of server %d %s", head, path, first, n,
					text)
			}
			first = text
		}
	}
	return nil
}

// raw reads a collection at a position.
func (c *cluster) raw(s *droverServer, path string, at eventlog.Position) (text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	position, err := s.client.Get(ctx, path, url.Values{"limit": {"5000"}, "after": {at.String()}}, &text)
	if err == nil && position != at.String() {
		err = fmt.Errorf("%s was answered at position %s, want %s", path, position, at)
	}
	return text, err
}

// print logs the operations, the faults and the figures.
func (s *chaosRun) print(events []eventlog.Recorded, lines []line, zeros map[string][]string) {
	acked, refused := 0, 0
	for _, o := range s.users.commands {
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
	c.t.Logf("operations: %d commands acknowledged, %d refused, %d attempts of unknown outcome; %d events; %d "+
		"executions on machines", acked, refused, s.users.unknown, len(events), executions)
	c.t.Logf("faults: %d (%s); %d servers stopped at a failpoint", total, strings.Join(kinds, ", "), c.hits.Load())
	c.t.Logf("lost %d, duplicated %d, gaps %d, ran twice %d, ran without a claim or succeeded without running %d",
		len(zeros["lost"]), len(zeros["duplicated"]), len(zeros["gaps"]), len(zeros["twice"]), len(zeros["unclaimed"]))
	c.t.Logf("false offline %d, of %d sessions that a server ended; false losses of state %d", len(s.offline.found),
		s.offline.ended, len(zeros["lost state"]))
	c.t.Logf("recovery after healing: p50 %s, p99 %s, max %s", percentile(s.recovery, 50), percentile(s.recovery, 99),
		percentile(s.recovery, 100))
}

func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)].Round(time.Millisecond)
}
