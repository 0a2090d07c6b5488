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
	"os/exec"
	"path/filepath"
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
)

// TestSeveralServersInDailyUse is three servers and nothing that goes wrong but what happens every day.
func TestSeveralServersInDailyUse(t *testing.T) {
	needsTime(t)
	y := newYard(t, shape{servers: 3, agents: 6, program: shipped})
	y.apply(shop)
	for _, a := range y.agents {
		a.start()
	}
	y.until("all machines are online", y.online)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *yard)
	}{
		{"what was written on one server is read on any other", readsItsWrites},
		{"each server lists all that run", listsServers},
		{"a stream goes on at another server without gap or repeat", followsOn},
		{"a stream that was cut before its first event misses nothing", followsFromTheBegin},
		{"a server that is told to stop gives its agents away and ends what runs", drains},
		{"machines of a killed server move over and never seem to leave", movesOver},
	} {
		if !t.Run(c.name, func(t *testing.T) { y.t = t; c.run(t, y) }) {
			break
		}
	}
	y.t = t
}

// write sends a command through one server.
func (y *yard) write(s *droverServer, w wish) (position string) {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := s.client.Write(ctx, w.path, uuid.NewString(), w.body)
	require.NoError(y.t, err)
	return answer.Position
}

func readsItsWrites(t *testing.T, y *yard) {
	for n := range 30 {
		version := fmt.Sprintf("read-%d", n)
		position := y.write(y.servers[n%3], post("/projects/shop/releases", object{"version": version}))
		for _, s := range y.servers {
			releases, _, err := list[explain.Release](s, "/releases", url.Values{"after": {position}, "project": {"shop"}, "limit": {"5000"}})
			require.NoError(t, err)
			require.Equal(t, version, releases[len(releases)-1].Version)
		}
	}
}

// drover runs one command line against these servers.
func (y *yard) drover(servers []*droverServer, args ...string) *exec.Cmd {
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, "http://"+s.people.address())
	}
	cmd := exec.Command(program(y.t, shipped), args...)
	cmd.Env = append(y.env(filepath.Join(y.folder, "person")), "DROVER_TOKEN="+y.token, "DROVER_SERVER="+strings.Join(addresses, ","))
	return cmd
}

// running are the servers that one of them says run, by their addresses.
func (y *yard) running(s *droverServer) (map[string]explain.Server, error) {
	out, err := y.drover([]*droverServer{s}, "get", "servers", "-o", "json").Output()
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

func listsServers(t *testing.T, y *yard) {
	for _, s := range y.servers {
		y.until("each server lists three", func() error {
			by, err := y.running(s)
			for _, other := range y.servers {
				if one, there := by["http://"+other.address]; !there || !one.Alive || one.Self != (other == s) {
					return errors.Join(err, fmt.Errorf("server %s says %v", s.address, by))
				}
			}
			return err
		})
	}
}

// stream reads server-sent events of one server as they come, without a client that would reconnect.
func (y *yard) stream(s *droverServer, lastID string, most int) (positions []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/api/v1/events/stream", nil)
	require.NoError(y.t, err)
	r.Header.Set("Authorization", "Bearer "+y.token)
	r.Header.Set("Last-Event-ID", lastID)
	answer, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
	require.NoError(y.t, err)
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

func (y *yard) follow(servers []*droverServer, args ...string) *follower {
	f := &follower{cmd: y.drover(servers, append([]string{"events", "-f", "-o", "jsonl"}, args...)...), shown: make(chan explain.Event, 10_000)}
	var words bytes.Buffer
	f.cmd.Stderr = &words
	out, err := f.cmd.StdoutPipe()
	require.NoError(y.t, err)
	require.NoError(y.t, f.cmd.Start())
	y.t.Cleanup(func() {
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
		y.t.Log(words.String())
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

func followsOn(t *testing.T, y *yard) {
	head, err := y.log.Head(context.Background())
	require.NoError(t, err)
	var want []string
	for n := 1; n <= int(head); n++ {
		want = append(want, fmt.Sprint(n))
	}
	first := y.stream(y.servers[0], "0", 10)
	require.Equal(t, want[:10], first)
	require.Equal(t, want[10:20], y.stream(y.servers[1], first[9], 10), "the id of one server is good at any other")

	f := y.follow(y.servers, "--after", "0")
	for _, position := range want {
		require.Equal(t, position, f.next(t).Position)
	}
	for n := range 12 {
		line := y.servers[n%3].people // it reads from one of them
		line.set(weather{refuse: true})
		line.cut()
		y.apply(environment(fmt.Sprintf("cut-%d", n)))
		line.clear()
		want = append(want, f.next(t).Position)
		require.Equal(t, fmt.Sprint(len(want)), want[len(want)-1], "one after the other, none twice")
	}
}

func environment(name string) string {
	return "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: " + name + "}\nspec: {}\n"
}

func followsFromTheBegin(t *testing.T, y *yard) {
	line := y.servers[1].people
	line.forgetAnswers()
	f := y.follow(y.servers[1:2])
	y.until("the stream has begun", func() error {
		if !line.answered(": begin") {
			return errors.New("nothing came back yet")
		}
		return nil
	})
	line.set(weather{refuse: true})
	line.cut()
	y.apply(environment("while-cut-1"))
	y.apply(environment("while-cut-2"))
	line.clear()
	require.Equal(t, "environment/while-cut-1", f.next(t).Stream)
	require.Equal(t, "environment/while-cut-2", f.next(t).Stream)
}

// onServer are the machines whose newest session is with a server, by the log.
func (y *yard) onServer(s *droverServer) (names []string) {
	y.t.Helper()
	id := ""
	for _, e := range y.events() {
		if fact, ok := y.fact(e).(domain.ServerStarted); ok && fact.Address == "http://"+s.address {
			id = strings.TrimPrefix(e.Stream, "server/")
		}
	}
	at := map[string]domain.ID{}
	for _, e := range y.events() {
		switch fact := y.fact(e).(type) {
		case domain.MachineCameOnline:
			at[e.Stream] = fact.Server
		case domain.AgentConnected:
			at[e.Stream] = fact.Server
		}
	}
	for _, a := range y.agents {
		if at["machine/"+a.name].String() == id {
			names = append(names, a.name)
		}
	}
	return names
}

func (y *yard) fact(e eventlog.Recorded) domain.Event {
	y.t.Helper()
	fact, err := domain.Decode(e.Type, e.Data)
	require.NoError(y.t, err)
	return fact
}

// left are the machines of which the log says after a position that they went or came.
func (y *yard) left(after eventlog.Position) (seen []string) {
	for _, e := range y.events() {
		if name := domain.NameOfType(e.Type); e.Position > after && (name == "MachineWentOffline" || name == "MachineCameOnline") {
			seen = append(seen, name+" "+e.Stream)
		}
	}
	return seen
}

// movedFrom waits until no session is with the server any more.
func (y *yard) movedFrom(s *droverServer, but ...string) {
	y.t.Helper()
	y.until("its machines have moved over", func() error {
		if names := y.onServer(s); len(names) > len(but) {
			return fmt.Errorf("there are still %v", names)
		}
		return nil
	})
}

func (y *yard) head() eventlog.Position {
	y.t.Helper()
	head, err := y.log.Head(context.Background())
	require.NoError(y.t, err)
	return head
}

// busiest is the server with the most agents: each of them chooses for itself.
func (y *yard) busiest() *droverServer {
	return slices.MaxFunc(y.servers, func(a, b *droverServer) int { return len(y.onServer(a)) - len(y.onServer(b)) })
}

func drains(t *testing.T, y *yard) {
	s := y.busiest()
	require.NotEmpty(t, y.onServer(s))
	before := y.head()

	status, finish := y.underWay(s)
	ended := make(chan struct{})
	go func() { s.stop(syscall.SIGTERM); close(ended) }()
	y.until("the server says that it is about to stop, on a new connection", func() error {
		answer, err := (&http.Client{Transport: &http.Transport{}}).Get("http://" + s.address + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "about to stop") {
			return fmt.Errorf("%d %s", answer.StatusCode, text)
		}
		return nil
	})
	y.movedFrom(s)
	finish()
	require.Equal(t, http.StatusOK, <-status, "what was under way is done, and has its answer")
	<-ended
	require.Empty(t, y.left(before), "no machine seemed to leave")
	s.start()
	y.until("the server is back", y.ready)
}

// underWay begins a command at a server and returns when the server works on it; finish sends the rest of it.
func (y *yard) underWay(s *droverServer) (status <-chan int, finish func()) {
	reader, writer := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, "http://"+s.address+"/api/v1/projects/shop/releases", reader)
	require.NoError(y.t, err)
	for name, value := range map[string]string{"Authorization": "Bearer " + y.token, "Content-Type": "application/json", "Expect": "100-continue"} {
		r.Header.Set(name, value)
	}
	reads, answered := make(chan struct{}), make(chan int, 1)
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(reads) }}
	go func() {
		answer, err := (&http.Transport{ExpectContinueTimeout: patience}).RoundTrip(r.WithContext(httptrace.WithClientTrace(context.Background(), trace)))
		if err != nil {
			y.t.Error(err)
			answered <- 0
			return
		}
		answer.Body.Close()
		answered <- answer.StatusCode
	}()
	select {
	case <-reads:
	case <-time.After(patience):
		y.t.Fatal("the server does not read the command")
	}
	return answered, func() {
		_, _ = io.WriteString(writer, `{"version": "under-way"}`)
		writer.Close()
	}
}

func movesOver(t *testing.T, y *yard) {
	s := y.busiest()
	names := y.onServer(s)
	require.GreaterOrEqual(t, len(names), 2, "some agents are with it")
	before := y.head()
	// One agent dies with its server. When the others have noticed that, they would have noticed any who left.
	dead := names[0]
	for _, a := range y.agents {
		if a.name == dead {
			a.stop(syscall.SIGKILL)
			defer a.start()
		}
	}
	s.stop(syscall.SIGKILL)
	defer s.start()
	y.movedFrom(s, dead)
	y.until("the dead agent's machine is offline", func() error {
		if seen := y.left(before); len(seen) == 0 {
			return errors.New("nobody left")
		}
		return nil
	})
	require.Equal(t, []string{"MachineWentOffline machine/" + dead}, y.left(before))
	for _, other := range y.servers {
		if other != s {
			by, err := y.running(other)
			require.NoError(t, err)
			require.NotContains(t, by, "http://"+s.address)
		}
	}
}

// TestAServerThatMeetsANewerOneDecidesNothingMoreAndStillRecordsResults is a rolling upgrade, seen from the old server.
func TestAServerThatMeetsANewerOneDecidesNothingMoreAndStillRecordsResults(t *testing.T) {
	needsTime(t)
	y := newYard(t, shape{servers: 2, agents: 1, program: shipped})
	y.apply(strings.ReplaceAll(shop, "sleep 0.05", `while test ! -e "$RAN.go"; do sleep 0.05; done`))
	y.agents[0].start()
	y.until("the machine is online", y.online)
	y.write(y.servers[0], post("/projects/shop/releases", object{"version": "1.0"}))
	y.write(y.servers[0], post("/deployments", object{"project": "shop", "release": "1.0", "environment": "production"}))
	y.until("the step runs", func() error {
		if !strings.Contains(y.written(), "begin") {
			return errors.New("nothing ran")
		}
		return nil
	})

	id := uuid.New()
	newer, err := json.Marshal(domain.ServerStarted{DecisionVersion: engine.DecisionVersion + 1, Version: "v99", Address: "http://newer"})
	require.NoError(t, err)
	appended, err := y.log.Append(context.Background(), "server/"+id.String(), eventlog.NoStream, eventlog.Event{ID: uuid.New(),
		Type: "server.started/v1", Time: time.Now().UTC().Truncate(time.Microsecond), Data: newer})
	require.NoError(t, err)
	for _, s := range y.servers {
		y.until("each server says why it is not ready", func() error { return y.refuses(s, "a newer drover writes to this log") })
		_, err := s.client.Write(context.Background(), "/projects/shop/releases", uuid.NewString(), object{"version": "2.0"})
		require.ErrorContains(t, err, "a newer drover writes to this log")
	}
	beat := make(chan struct{})
	defer close(beat)
	go y.beat(id, beat)
	for n := 0; n < 5; n++ { // five ticks of a server to which the newer one has shown that it runs
		y.until("a tick has passed", y.ticked())
	}
	require.Equal(t, 1, y.connected(), "who runs a part stays")
	require.NoError(t, touch(y.ran+".go"))
	y.until("the end of what ran is recorded", func() error {
		for _, e := range y.events() {
			if e.Position > appended.Position && e.Type == "part.ended/v1" {
				return nil
			}
		}
		return errors.New("no part has ended")
	})
	for _, e := range y.events() {
		if e.Position > appended.Position {
			require.Equal(t, "part.ended/v1", e.Type, "nothing is decided any more")
		}
	}
	y.until("the agent was given away", func() error {
		if y.connected() > 0 {
			return errors.New("it is still there")
		}
		return nil
	})
}

// beat shows until the end of over that a server runs.
func (y *yard) beat(id uuid.UUID, over <-chan struct{}) {
	for n := 0; ; n++ {
		_ = y.log.Put(context.Background(), eventlog.Leases, eventlog.Lease(id, fmt.Appendf(nil, `{"beat":%d}`, n)))
		select {
		case <-over:
			return
		case <-time.After(time.Second):
		}
	}
}

// metric adds up what all servers tell of one thing.
func (y *yard) metric(name string) (sum int) {
	for _, s := range y.servers {
		answer, err := http.Get("http://" + s.address + "/metrics")
		require.NoError(y.t, err)
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
func (y *yard) connected() int { return y.metric("drover_agents_connected") }

// ticked waits for as many ticks as there are servers.
func (y *yard) ticked() func() error {
	before := y.metric("drover_tick_duration_seconds_count")
	return func() error {
		if y.metric("drover_tick_duration_seconds_count") < before+len(y.servers) {
			return errors.New("no tick")
		}
		return nil
	}
}
