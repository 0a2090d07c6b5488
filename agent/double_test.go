package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// patience bounds every wait of these tests; nothing is expected to take so long.
const patience = 20 * time.Second

// scriptedServer is a double of a server's door for agents: real HTTP, real WebSockets, and
// answers that the test gives by hand.
type scriptedServer struct {
	*httptest.Server
	opened chan *conversation

	mu    sync.Mutex
	heard []byte // everything that any agent sent
}

func newServer(t *testing.T) *scriptedServer {
	t.Helper()
	return startServer(t, (*httptest.Server).Start)
}

func startServer(t *testing.T, start func(*httptest.Server)) *scriptedServer {
	t.Helper()
	s := &scriptedServer{opened: make(chan *conversation, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+client.AgentPath, s.talk)
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s.Server)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// talk keeps one connection open and hands it to the test.
func (s *scriptedServer) talk(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	conn.SetReadLimit(client.MaxMessageBytes)
	c := &conversation{conn: conn, messages: make(chan client.FromAgent, 1000), over: make(chan struct{})}
	s.opened <- c
	defer close(c.over)
	for {
		_, text, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		s.mu.Lock()
		s.heard = append(s.heard, text...)
		s.mu.Unlock()
		var m client.FromAgent
		if json.Unmarshal(text, &m) == nil {
			c.messages <- m
		}
	}
}

// everythingHeard is what any agent ever sent to this server.
func (s *scriptedServer) everythingHeard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.heard)
}

// conversation is one connection of an agent, seen from the server.
type conversation struct {
	conn     *websocket.Conn
	messages chan client.FromAgent
	over     chan struct{}
	hello    client.Hello
}

// accept waits for the next connection and its hello.
func (s *scriptedServer) accept(t *testing.T) *conversation {
	t.Helper()
	select {
	case c := <-s.opened:
		c.hello = *expect(t, c, func(m client.FromAgent) *client.Hello { return m.Hello })
		return c
	case <-time.After(patience):
		t.Fatal("no agent connected")
		return nil
	}
}

// welcome accepts the next connection, with quick settings.
func (s *scriptedServer) welcome(t *testing.T, unfinished ...client.Unfinished) *conversation {
	t.Helper()
	c := s.accept(t)
	c.send(t, client.ToAgent{Welcome: &client.Welcome{
		Log: "log-1", Server: "server-1", Settings: quick(nil), Unfinished: unfinished,
	}})
	return c
}

// quick are settings with which nothing is waited for long.
func quick(check *domain.HealthCheck) client.Settings {
	return client.Settings{
		HeartbeatEvery: domain.Duration(50 * time.Millisecond), OfflineAfter: domain.Duration(time.Second), HealthCheck: check,
	}
}

func (c *conversation) send(t *testing.T, m client.ToAgent) {
	t.Helper()
	text, err := json.Marshal(m)
	require.NoError(t, err)
	c.sendText(t, string(text))
}

func (c *conversation) sendText(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, c.conn.Write(ctx, websocket.MessageText, []byte(text)))
}

// drop breaks the connection without a word.
func (c *conversation) drop() { _ = c.conn.CloseNow() }

// expect waits for the next message of a kind; others are passed over.
func expect[M any](t *testing.T, c *conversation, kind func(client.FromAgent) *M) *M {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-c.messages:
			if found := kind(m); found != nil {
				return found
			}
		case <-timeout:
			t.Fatalf("no %T came", *new(M))
		}
	}
}

func aClaim(m client.FromAgent) *client.Claim         { return m.Claim }
func anEnd(m client.FromAgent) *client.End            { return m.End }
func anAnswer(m client.FromAgent) *client.PartAnswer  { return m.Answer }
func aHeartbeat(m client.FromAgent) *client.Heartbeat { return m.Heartbeat }
func aHealth(m client.FromAgent) *client.Health       { return m.Health }
func aGoodbye(m client.FromAgent) *client.Goodbye     { return m.Goodbye }

// outputAndEnd waits for a part's end and returns the output that came before it on this
// connection; its chunks must be without a gap.
func outputAndEnd(t *testing.T, c *conversation) (string, client.End) {
	t.Helper()
	var text strings.Builder
	var sequence int64
	for {
		m := expect(t, c, func(m client.FromAgent) *client.FromAgent {
			if m.Output == nil && m.End == nil {
				return nil
			}
			return &m
		})
		if m.End != nil {
			return text.String(), *m.End
		}
		sequence++
		require.Equal(t, sequence, m.Output.Sequence)
		require.LessOrEqual(t, len(m.Output.Data), 64<<10)
		text.Write(m.Output.Data)
	}
}

// give offers work and lets its claim count.
func (c *conversation) give(t *testing.T, w client.Work) {
	t.Helper()
	c.send(t, client.ToAgent{Offer: &w})
	require.Equal(t, w.Deployment, expect(t, c, aClaim).Deployment)
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: w.Deployment, Counts: true}})
}

// confirm says that an end is in the log.
func (c *conversation) confirm(t *testing.T, deployment string) {
	t.Helper()
	c.send(t, client.ToAgent{Ended: &client.Ended{Deployment: deployment, Event: "event-of-" + deployment}})
}

// work is a part of these scripts, each a step.
func work(deployment string, scripts ...string) client.Work {
	w := client.Work{
		Deployment: deployment, Project: "shop", Environment: "production", Machine: "web-01", Release: "1.4.3", Cause: "person",
	}
	for i, script := range scripts {
		w.Steps = append(w.Steps, domain.Step{Name: fmt.Sprintf("step-%d", i+1), Run: script})
	}
	return w
}

// configuration is that of an agent of these servers with a data folder of its own.
func configuration(t *testing.T, servers ...*scriptedServer) agent.Config {
	t.Helper()
	c := agent.Config{Name: "web-01", Environment: "production", Roles: []string{"web"}, Join: "a join token", Version: "test", Data: t.TempDir()}
	for _, s := range servers {
		c.Servers = append(c.Servers, s.URL)
	}
	return c
}

// runningAgent is an agent in this process.
type runningAgent struct {
	stop  context.CancelFunc
	hurry chan struct{}
	ended chan error
	log   *observer.ObservedLogs
}

func startAgent(t *testing.T, c agent.Config) *runningAgent {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	core, log := observer.New(zap.DebugLevel)
	a := &runningAgent{stop: stop, hurry: make(chan struct{}), ended: make(chan error, 1), log: log}
	c.Logger, c.Hurry = zap.New(core), a.hurry
	go func() { a.ended <- agent.Run(ctx, c) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-a.hurry:
		default:
			close(a.hurry)
		}
		<-a.ended
	})
	return a
}

// wait waits for the agent's end.
func (a *runningAgent) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-a.ended:
		a.ended <- err
		return err
	case <-time.After(patience):
		t.Fatal("the agent does not end")
		return nil
	}
}

// processEnv makes the test binary an agent: it holds its server and its data folder.
const processEnv = "AGENT_TEST_CONFIG"

func TestMain(m *testing.M) {
	if text := os.Getenv(processEnv); text != "" {
		beAgent(text)
	}
	os.Exit(m.Run())
}

// beAgent is the agent's process: as drover's command line, in small.
func beAgent(text string) {
	c := agent.Config{Name: "web-01", Environment: "production", Join: "a join token"}
	server, data, _ := strings.Cut(text, " ")
	c.Servers, c.Data = []string{server}, data
	ctx, cancel := context.WithCancel(context.Background())
	hurry := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		close(hurry)
	}()
	c.Hurry = hurry
	if err := agent.Run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startProcess runs an agent as a process of its own.
func startProcess(t *testing.T, c agent.Config) *exec.Cmd {
	t.Helper()
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), processEnv+"="+c.Servers[0]+" "+c.Data)
	p.Stderr = os.Stderr
	require.NoError(t, p.Start())
	t.Cleanup(func() { kill9(p) })
	return p
}

// kill9 kills an agent's process and waits until it is gone.
func kill9(p *exec.Cmd) {
	_ = p.Process.Kill()
	_ = p.Wait()
}

// exists waits for a file.
func exists(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return err == nil
	}, patience, 5*time.Millisecond, "%s does not appear", path)
}

// vanishes waits until a file is gone.
func vanishes(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	}, patience, 5*time.Millisecond, "%s does not vanish", path)
}

// inFolder is a path for a script to write to, quoted by being simple.
func inFolder(t *testing.T, name string) string { return filepath.Join(t.TempDir(), name) }

// entry is the path of a journal entry.
func entry(c agent.Config, deployment string) string {
	return filepath.Join(c.Data, "journal", deployment+".json")
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// lacks skips a test on a machine that does not have what it needs, unless all must be there.
func lacks(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
		t.Fatal(what)
	}
	t.Skip(what)
}
