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

// TestSeveralServersInDailyUse is three servers and nothing that goes wrong but what happens every day.
func TestSeveralServersInDailyUse(t *testing.T) {
	needsTime(t)
	c := newCluster(t, shape{servers: 3, agents: 6, program: shipped})
	c.apply(shop)
	for _, a := range c.agents {
		a.start()
	}
	c.until("all machines are online", c.online)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"what was written on one server is read on any other", readsItsWrites},
		{"each server lists all that run", listsServers},
		{"a stream goes on at another server without gap or repeat", followsOn},
		{"a stream that was cut before its first event misses nothing", followsFromTheBegin},
		{"a server that is told to stop gives its agents away and ends what runs", drains},
		{"machines of a killed server move over and never seem to leave", movesOver},
	} {
		if !t.Run(part.name, func(t *testing.T) { c.t = t; part.run(t, c) }) {
			break
		}
	}
	c.t = t
}

// write sends a command through one server.
func (c *cluster) write(s *droverServer, w wish) (position string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
			releases, _, err := list[explain.Release](s, "/releases", url.Values{"after": {position}, "project": {"shop"}, "limit": {"5000"}})
			require.NoError(t, err)
			require.Equal(t, version, releases[len(releases)-1].Version)
		}
	}
}

// drover is one command line against these servers.
func (c *cluster) drover(servers []*droverServer, args ...string) *exec.Cmd {
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, "http://"+s.people.address())
	}
	cmd := c.agentHost.Command(context.Background(), args...)
	cmd.Env = append(cmd.Env, "HOME="+c.home("person"), "DROVER_TOKEN="+c.token, "DROVER_SERVER="+strings.Join(addresses, ","))
	return cmd
}

// running are the servers that one of them says run, by their addresses.
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
					return errors.Join(err, fmt.Errorf("server %s says %v", s.address, by))
				}
			}
			return err
		})
	}
}

// stream reads server-sent events of one server as they come, without a client that would reconnect.
func (c *cluster) stream(s *droverServer, lastID string, most int) (positions []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// follower is `drover events -f`, and what it has shown.
type follower struct {
	cmd   *exec.Cmd
	shown chan explain.Event
}

func (c *cluster) follow(servers []*droverServer, args ...string) *follower {
	f := &follower{cmd: c.drover(servers, append([]string{"events", "-f", "-o", "jsonl"}, args...)...), shown: make(chan explain.Event, 10_000)}
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

// next is the next event that is shown.
func (f *follower) next(t *testing.T) explain.Event {
	t.Helper()
	select {
	case e, ok := <-f.shown:
		require.True(t, ok, "the follower has ended")
		return e
	case <-time.After(patience):
		t.Fatal("no event is shown")
		return explain.Event{}
	}
}

func followsOn(t *testing.T, c *cluster) {
	head, err := c.log.Head(context.Background())
	require.NoError(t, err)
	var want []string
	for n := 1; n <= int(head); n++ {
		want = append(want, fmt.Sprint(n))
	}
	first := c.stream(c.servers[0], "0", 10)
	require.Equal(t, want[:10], first)
	require.Equal(t, want[10:20], c.stream(c.servers[1], first[9], 10), "the id of one server is good at any other")

	f := c.follow(c.servers, "--after", "0")
	for _, position := range want {
		require.Equal(t, position, f.next(t).Position)
	}
	for n := range 12 {
		line := c.servers[n%3].people // it reads from one of them
		line.set(weather{refuse: true})
		line.cut()
		c.apply(environment(fmt.Sprintf("cut-%d", n)))
		line.clear()
		want = append(want, f.next(t).Position)
		require.Equal(t, fmt.Sprint(len(want)), want[len(want)-1], "one after the other, none twice")
	}
}

func environment(name string) string {
	return "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: " + name + "}\nspec: {}\n"
}

func followsFromTheBegin(t *testing.T, c *cluster) {
	line := c.servers[1].people
	line.forgetAnswers()
	f := c.follow(c.servers[1:2])
	c.until("the stream has begun", func() error {
		if !line.answered(": begin") {
			return errors.New("nothing came back yet")
		}
		return nil
	})
	line.set(weather{refuse: true})
	line.cut()
	c.apply(environment("while-cut-1"))
	c.apply(environment("while-cut-2"))
	line.clear()
	require.Equal(t, "environment/while-cut-1", f.next(t).Stream)
	require.Equal(t, "environment/while-cut-2", f.next(t).Stream)
}

// onServer are the machines whose newest session is with a server, by the log.
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

// left are the machines of which the log says after a position that they went or came.
func (c *cluster) left(after eventlog.Position) (seen []string) {
	for _, e := range c.events() {
		if name := domain.NameOfType(e.Type); e.Position > after && (name == "MachineWentOffline" || name == "MachineCameOnline") {
			seen = append(seen, name+" "+e.Stream)
		}
	}
	return seen
}

// movedFrom waits until no session is with the server any more.
func (c *cluster) movedFrom(s *droverServer, but ...string) {
	c.t.Helper()
	c.until("its machines have moved over", func() error {
		if names := c.onServer(s); len(names) > len(but) {
			return fmt.Errorf("there are still %v", names)
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

// busiest is the server with the most agents: each of them chooses for itself.
func (c *cluster) busiest() *droverServer {
	return slices.MaxFunc(c.servers, func(a, b *droverServer) int { return len(c.onServer(a)) - len(c.onServer(b)) })
}

func drains(t *testing.T, c *cluster) {
	s := c.busiest()
	require.NotEmpty(t, c.onServer(s))
	before := c.head()

	status, finish := c.underWay(s)
	ended := make(chan struct{})
	go func() { s.stop(syscall.SIGTERM); close(ended) }()
	c.until("the server says that it is shutting down", func() error { return c.refuses(s, "shutting down") })
	c.movedFrom(s)
	finish()
	require.Equal(t, http.StatusOK, <-status, "what was under way is done, and has its answer")
	<-ended
	require.Empty(t, c.left(before), "no machine seemed to leave")
	s.start()
	c.until("the server is back", c.ready)
}

// underWay begins a command at a server and returns when the server works on it; finish sends the rest of it.
func (c *cluster) underWay(s *droverServer) (status <-chan int, finish func()) {
	reader, writer := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, "http://"+s.address+"/api/v1/projects/shop/releases", reader)
	require.NoError(c.t, err)
	for name, value := range map[string]string{"Authorization": "Bearer " + c.token, "Content-Type": "application/json", "Expect": "100-continue"} {
		r.Header.Set(name, value)
	}
	reads, answered := make(chan struct{}), make(chan int, 1)
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(reads) }}
	go func() {
		answer, err := (&http.Transport{ExpectContinueTimeout: patience}).RoundTrip(r.WithContext(httptrace.WithClientTrace(context.Background(), trace)))
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
	case <-time.After(patience):
		c.t.Fatal("the server does not read the command")
	}
	return answered, func() {
		_, _ = io.WriteString(writer, `{"version": "under-way"}`)
		writer.Close()
	}
}

func movesOver(t *testing.T, c *cluster) {
	s := c.busiest()
	names := c.onServer(s)
	require.GreaterOrEqual(t, len(names), 2, "some agents are with it")
	before := c.head()
	// One agent dies with its server. When the others have noticed that, they would have noticed any who left.
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
		if seen := c.left(before); len(seen) == 0 {
			return errors.New("nobody left")
		}
		return nil
	})
	require.Equal(t, []string{"MachineWentOffline machine/" + dead}, c.left(before))
	for _, other := range c.servers {
		if other != s {
			by, err := c.running(other)
			require.NoError(t, err)
			require.NotContains(t, by, "http://"+s.address)
		}
	}
}

// TestAServerThatMeetsANewerOneDecidesNothingMoreAndStillRecordsResults is a rolling upgrade, seen from the old server.
func TestAServerThatMeetsANewerOneDecidesNothingMoreAndStillRecordsResults(t *testing.T) {
	needsTime(t)
	c := newCluster(t, shape{servers: 2, agents: 1, program: shipped})
	c.apply(strings.ReplaceAll(shop, "sleep 0.05", `while test ! -e "$RAN.go"; do sleep 0.05; done`))
	c.agents[0].start()
	c.until("the machine is online", c.online)
	c.write(c.servers[0], post("/projects/shop/releases", object{"version": "1.0"}))
	c.write(c.servers[0], post("/deployments", object{"project": "shop", "release": "1.0", "environment": "production"}))
	c.until("the step runs", func() error {
		if !strings.Contains(c.written(), "begin") {
			return errors.New("nothing ran")
		}
		return nil
	})

	id := uuid.New()
	newer, err := json.Marshal(domain.ServerStarted{DecisionVersion: engine.DecisionVersion + 1, Version: "v99", Address: "http://newer"})
	require.NoError(t, err)
	appended, err := c.log.Append(context.Background(), "server/"+id.String(), eventlog.NoStream, eventlog.Event{ID: uuid.New(),
		Type: "server.started/v1", Time: time.Now().UTC().Truncate(time.Microsecond), Data: newer})
	require.NoError(t, err)
	for _, s := range c.servers {
		c.until("each server says why it is not ready", func() error { return c.refuses(s, "a newer drover writes to this log") })
		_, err := s.client.Write(context.Background(), "/projects/shop/releases", uuid.NewString(), object{"version": "2.0"})
		require.ErrorContains(t, err, "a newer drover writes to this log")
	}
	beat := make(chan struct{})
	defer close(beat)
	go c.beat(id, beat)
	for n := 0; n < 5; n++ { // five ticks of a server to which the newer one has shown that it runs
		c.until("a tick has passed", c.ticked())
	}
	require.Equal(t, 1, c.connected(), "who runs a part stays")
	require.NoError(t, os.WriteFile(c.ran+".go", nil, 0o600))
	c.until("the end of what ran is recorded", func() error {
		for _, e := range c.events() {
			if e.Position > appended.Position && e.Type == "part.ended/v1" {
				return nil
			}
		}
		return errors.New("no part has ended")
	})
	for _, e := range c.events() {
		if e.Position > appended.Position {
			require.Equal(t, "part.ended/v1", e.Type, "nothing is decided any more")
		}
	}
	c.until("the agent was given away", func() error {
		if c.connected() > 0 {
			return errors.New("it is still there")
		}
		return nil
	})
}

// beat shows until the end of over that a server runs.
func (c *cluster) beat(id uuid.UUID, over <-chan struct{}) {
	for n := 0; ; n++ {
		_ = c.log.Put(context.Background(), eventlog.Leases, eventlog.Lease(id, fmt.Appendf(nil, `{"beat":%d}`, n)))
		select {
		case <-over:
			return
		case <-time.After(time.Second):
		}
	}
}

// metric adds up what all servers tell of one thing.
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

// connected counts the agents that the servers hold.
func (c *cluster) connected() int { return c.metric("drover_agents_connected") }

// ticked waits for as many ticks as there are servers.
func (c *cluster) ticked() func() error {
	before := c.metric("drover_tick_duration_seconds_count")
	return func() error {
		if c.metric("drover_tick_duration_seconds_count") < before+len(c.servers) {
			return errors.New("no tick")
		}
		return nil
	}
}
