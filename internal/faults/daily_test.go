package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/harness"
)

// TestSeveralServersServeDailyUse tests three servers in normal operation.
func TestSeveralServersServeDailyUse(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 3, agents: 6, program: released})
	c.apply(shop)
	for _, a := range c.agents {
		a.start()
	}
	c.until("all machines are online", c.online)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"a write on one server can be read on any other", readsItsWrites},
		{"each server lists all running servers", listsServers},
		{"a stream continues at another server without gap or repetition", followsAcrossServers},
		{"a stream that was cut before its first event misses no event", followsFromBeginning},
		{"a stopping server hands over its agents and completes running requests", drains},
		{"machines of a killed server move to another server without going offline", movesOver},
	} {
		if !t.Run(part.name, func(t *testing.T) { c.t = t; part.run(t, c) }) {
			break
		}
	}
	c.t = t
}

// write sends a command through one server.
func (c *cluster) write(s *droverServer, w command) (position string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	answer, err := s.client.Write(ctx, w.path, uuid.NewString(), w.body)
	require.NoError(c.t, err)
	return answer.Position
}

func readsItsWrites(t *testing.T, c *cluster) {
	for n := range 30 {
		version := fmt.Sprintf("read-%d", n)
		position := c.write(c.servers[n%3], post("/projects/shop/releases", object{"version": version}))
		for _, s := range c.servers {
			releases, _, err := list[explain.Release](s, "/releases",
				url.Values{"after": {position}, "project": {"shop"}, "limit": {"5000"}})
			require.NoError(t, err)
			require.Equal(t, version, releases[len(releases)-1].Version)
		}
	}
}

// drover returns a command line that uses these servers.
func (c *cluster) drover(servers []*droverServer, args ...string) *exec.Cmd {
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, "http://"+s.users.address())
	}
	cmd := c.agentHost.Command(context.Background(), args...)
	cmd.Env = append(cmd.Env, "HOME="+c.home("person"), "DROVER_TOKEN="+c.token,
		"DROVER_SERVER="+strings.Join(addresses, ","))
	return cmd
}

// running returns the running servers as one of them lists them, by address.
func (c *cluster) running(s *droverServer) (map[string]explain.Server, error) {
	out, err := c.drover([]*droverServer{s}, "get", "servers", "-o", "json").Output()
	var found struct{ Items []explain.Server }
	if err := errors.Join(err, json.Unmarshal(out, &found)); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	by := map[string]explain.Server{}
	for _, one := range found.Items {
		by[one.Address] = one
	}
	return by, nil
}

func listsServers(t *testing.T, c *cluster) {
	for _, s := range c.servers {
		c.until("each server lists three", func() error {
			by, err := c.running(s)
			for _, other := range c.servers {
				if one, there := by["http://"+other.address]; !there || !one.Alive || one.Self != (other == s) {
					return errors.Join(err, fmt.Errorf("server %s lists %v", s.address, by))
				}
			}
			return err
		})
	}
}

// stream reads server-sent events of one server with a client that does not reconnect.
func (c *cluster) stream(s *droverServer, lastID string, most int) (positions []string) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/api/v1/events/stream", nil)
	require.NoError(c.t, err)
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Last-Event-ID", lastID)
	answer, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
	require.NoError(c.t, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	id := ""
	for len(positions) < most && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = text
		}
		if strings.HasPrefix(lines.Text(), "data: ") {
			positions = append(positions, id)
		}
	}
	return positions
}

// follower is a running `drover events -f` and the events that it has printed.
type follower struct {
	cmd   *exec.Cmd
	shown chan explain.Event
}

func (c *cluster) follow(servers []*droverServer, args ...string) *follower {
	f := &follower{cmd: c.drover(servers, append([]string{"events", "-f", "-o", "jsonl"}, args...)...),
		shown: make(chan explain.Event, 10_000)}
	var words bytes.Buffer
	f.cmd.Stderr = &words
	out, err := f.cmd.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, harness.Launch(f.cmd))
	c.t.Cleanup(func() {
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
		c.t.Log(words.String())
	})
	go func() {
		defer close(f.shown)
		for decoder := json.NewDecoder(out); ; {
			var e explain.Event
			if decoder.Decode(&e) != nil {
				return
			}
			f.shown <- e
		}
	}()
	return f
}

// next returns the next printed event.
func (f *follower) next(t *testing.T) explain.Event {
	t.Helper()
	select {
	case e, ok := <-f.shown:
		require.True(t, ok, "the follower has ended")
		return e
	case <-time.After(timeout):
		t.Fatal("no event was printed")
		return explain.Event{}
	}
}

func followsAcrossServers(t *testing.T, c *cluster) {
	head, err := c.log.Head(context.Background())
	require.NoError(t, err)
	var want []string
	for n := 1; n <= int(head); n++ {
		want = append(want, fmt.Sprint(n))
	}
	first := c.stream(c.servers[0], "0", 10)
	require.Equal(t, want[:10], first)
	require.Equal(t, want[10:20], c.stream(c.servers[1], first[9], 10),
		"an event id of one server must be valid at any other")

	f := c.follow(c.servers, "--after", "0")
	for _, position := range want {
		require.Equal(t, position, f.next(t).Position)
	}
	for n := range 12 {
		p := c.servers[n%3].users // the follower reads from one of them
		p.set(conditions{refuse: true})
		p.cut()
		c.apply(environment(fmt.Sprintf("cut-%d", n)))
		p.clear()
		want = append(want, f.next(t).Position)
		require.Equal(t, fmt.Sprint(len(want)), want[len(want)-1], "events must arrive in order, each once")
	}
}

func environment(name string) string {
	return "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: " + name + "}\nspec: {}\n"
}

func followsFromBeginning(t *testing.T, c *cluster) {
	p := c.servers[1].users
	p.forgetAnswers()
	f := c.follow(c.servers[1:2])
	c.until("the stream has begun", func() error {
		if !p.answered(": begin") {
			return errors.New("no answer yet")
		}
		return nil
	})
	p.set(conditions{refuse: true})
	p.cut()
	c.apply(environment("while-cut-1"))
	c.apply(environment("while-cut-2"))
	p.clear()
	require.Equal(t, "environment/while-cut-1", f.next(t).Stream)
	require.Equal(t, "environment/while-cut-2", f.next(t).Stream)
}

// onServer returns the machines whose newest session is with a server, according to the log.
func (c *cluster) onServer(s *droverServer) (names []string) {
	c.t.Helper()
	id := ""
	for _, e := range c.events() {
		if fact, ok := c.fact(e).(domain.ServerStarted); ok && fact.Address == "http://"+s.address {
			id = strings.TrimPrefix(e.Stream, "server/")
		}
	}
	at := map[string]domain.ID{}
	for _, e := range c.events() {
		switch fact := c.fact(e).(type) {
		case domain.MachineCameOnline:
			at[e.Stream] = fact.Server
		case domain.AgentConnected:
			at[e.Stream] = fact.Server
		}
	}
	for _, a := range c.agents {
		if at["machine/"+a.name].String() == id {
			names = append(names, a.name)
		}
	}
	return names
}

func (c *cluster) fact(e eventlog.Recorded) domain.Event {
	c.t.Helper()
	fact, err := domain.Decode(e.Type, e.Data)
	require.NoError(c.t, err)
	return fact
}

// onlineChanges returns the machines that went offline or came online after a position, according to the log.
func (c *cluster) onlineChanges(after eventlog.Position) (seen []string) {
	for _, e := range c.events() {
		if name := domain.NameOfType(e.Type); e.Position > after &&
			(name == "MachineWentOffline" || name == "MachineCameOnline") {
			seen = append(seen, name+" "+e.Stream)
		}
	}
	return seen
}

// movedFrom waits until the server has no session except those of the machines in but.
func (c *cluster) movedFrom(s *droverServer, but ...string) {
	c.t.Helper()
	c.until("its machines have moved over", func() error {
		if names := c.onServer(s); len(names) > len(but) {
			return fmt.Errorf("machines still connected: %v", names)
		}
		return nil
	})
}

func (c *cluster) head() eventlog.Position {
	c.t.Helper()
	head, err := c.log.Head(context.Background())
	require.NoError(c.t, err)
	return head
}

// busiest returns the server with the most agents. The number varies, because each agent chooses its server.
func (c *cluster) busiest() *droverServer {
	return slices.MaxFunc(c.servers, func(a, b *droverServer) int { return len(c.onServer(a)) - len(c.onServer(b)) })
}

func drains(t *testing.T, c *cluster) {
	s := c.busiest()
	require.NotEmpty(t, c.onServer(s))
	before := c.head()

	status, finish := c.startRequest(s)
	ended := make(chan struct{})
	go func() { s.stop(syscall.SIGTERM); close(ended) }()
	c.until("the server reports that it is shutting down", func() error { return c.refuses(s, "shutting down") })
	c.movedFrom(s)
	finish()
	require.Equal(t, http.StatusOK, <-status, "the running request must be completed and answered")
	<-ended
	require.Empty(t, c.onlineChanges(before), "no machine may go offline")
	s.start()
	c.until("the server is ready", c.ready)
}

// startRequest starts a request and returns when the server is reading it. finish sends the rest of the request.
func (c *cluster) startRequest(s *droverServer) (status <-chan int, finish func()) {
	reader, writer := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, "http://"+s.address+"/api/v1/projects/shop/releases", reader)
	require.NoError(c.t, err)
	for name, value := range map[string]string{"Authorization": "Bearer " + c.token, "Content-Type": "application/json",
		"Expect": "100-continue"} {
		r.Header.Set(name, value)
	}
	reads, answered := make(chan struct{}), make(chan int, 1)
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(reads) }}
	go func() {
		answer, err := (&http.Transport{ExpectContinueTimeout: timeout}).RoundTrip(r.WithContext(
			httptrace.WithClientTrace(context.Background(), trace)))
		if err != nil {
			c.t.Error(err)
			answered <- 0
			return
		}
		answer.Body.Close()
		answered <- answer.StatusCode
	}()
	select {
	case <-reads:
	case <-time.After(timeout):
		c.t.Fatal("the server does not read the request")
	}
	return answered, func() {
		_, _ = io.WriteString(writer, `{"version": "under-way"}`)
		writer.Close()
	}
}

func movesOver(t *testing.T, c *cluster) {
	s := c.busiest()
	names := c.onServer(s)
	require.GreaterOrEqual(t, len(names), 2, "the server needs at least two agents")
	before := c.head()
	// One agent dies together with its server. When it is detected as offline, any other lost machine would have been
	// detected, too.
	dead := names[0]
	for _, a := range c.agents {
		if a.name == dead {
			a.stop(syscall.SIGKILL)
			defer a.start()
		}
	}
	s.stop(syscall.SIGKILL)
	defer s.start()
	c.movedFrom(s, dead)
	c.until("the dead agent's machine is offline", func() error {
		if seen := c.onlineChanges(before); len(seen) == 0 {
			return errors.New("no machine went offline")
		}
		return nil
	})
	require.Equal(t, []string{"MachineWentOffline machine/" + dead}, c.onlineChanges(before))
	for _, other := range c.servers {
		if other != s {
			by, err := c.running(other)
			require.NoError(t, err)
			require.NotContains(t, by, "http://"+s.address)
		}
	}
}

// TestOldServerStopsDecidingButRecordsResultsDuringUpgrade covers a rolling upgrade from the perspective of the old
// servers.
func TestOldServerStopsDecidingButRecordsResultsDuringUpgrade(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 2, agents: 1, program: released})
	c.apply(strings.ReplaceAll(shop, "sleep 0.05", `while test ! -e "$RAN.go"; do sleep 0.05; done`))
	c.agents[0].start()
	c.until("the machine is online", c.online)
	c.write(c.servers[0], post("/projects/shop/releases", object{"version": "1.0"}))
	c.write(c.servers[0], post("/deployments", object{"project": "shop", "release": "1.0",
		"environment": "production"}))
	c.until("the step runs", func() error {
		if !strings.Contains(c.written(), "begin") {
			return errors.New("nothing ran")
		}
		return nil
	})

	id := uuid.New()
	newer, err := json.Marshal(domain.ServerStarted{DecisionVersion: engine.DecisionVersion + 1, Version: "v99",
		Address: "http://newer"})
	require.NoError(t, err)
	appended, err := c.log.Append(context.Background(), "server/"+id.String(), eventlog.NoStream,
		eventlog.Event{ID: uuid.New(),
			Type: "server.started/v1", Time: time.Now().UTC().Truncate(time.Microsecond), Data: newer})
	require.NoError(t, err)
	for _, s := range c.servers {
		c.until("each server reports why it is not ready",
			func() error { return c.refuses(s, "a newer drover writes to this log") })
		_, err := s.client.Write(context.Background(), "/projects/shop/releases", uuid.NewString(),
			object{"version": "2.0"})
		require.ErrorContains(t, err, "a newer drover writes to this log")
	}
	beat := make(chan struct{})
	defer close(beat)
	go c.renewLease(id, beat)
	for n := 0; n < 5; n++ { // five ticks during which the newer server renews its lease
		c.until("a tick has passed", c.ticked())
	}
	require.Equal(t, 1, c.connected(), "an agent that runs a part stays connected")
	require.NoError(t, os.WriteFile(c.ran+".go", nil, 0o600))
	c.until("the end of the running part is recorded", func() error {
		for _, e := range c.events() {
			if e.Position > appended.Position && e.Type == "part.ended/v1" {
				return nil
			}
		}
		return errors.New("no part has ended")
	})
	for _, e := range c.events() {
		if e.Position > appended.Position {
			require.Equal(t, "part.ended/v1", e.Type, "old servers must not decide")
		}
	}
	c.until("the agent was disconnected", func() error {
		if c.connected() > 0 {
			return errors.New("the agent is still connected")
		}
		return nil
	})
}

// renewLease renews the lease of a server until over is closed.
func (c *cluster) renewLease(id uuid.UUID, over <-chan struct{}) {
	for n := 0; ; n++ {
		_ = c.log.Put(context.Background(), eventlog.Leases, eventlog.Lease(id, fmt.Appendf(nil, `{"beat":%d}`, n)))
		select {
		case <-over:
			return
		case <-time.After(time.Second):
		}
	}
}

// metric returns the sum of a metric over all servers.
func (c *cluster) metric(name string) (sum int) {
	for _, s := range c.servers {
		answer, err := http.Get("http://" + s.address + "/metrics")
		require.NoError(c.t, err)
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			var value float64
			if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				_, _ = fmt.Sscan(text, &value)
				sum += int(value)
			}
		}
		answer.Body.Close()
	}
	return sum
}

// connected returns the number of connected agents.
func (c *cluster) connected() int { return c.metric("drover_agents_connected") }

// ticked returns a condition that is met after as many ticks as there are servers.
func (c *cluster) ticked() func() error {
	before := c.metric("drover_tick_duration_seconds_count")
	return func() error {
		if c.metric("drover_tick_duration_seconds_count") < before+len(c.servers) {
			return errors.New("no tick")
		}
		return nil
	}
}
