package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
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
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/serverkey"
)

// timeout bounds every wait in these tests; no wait is expected to take this long.
const timeout = 20 * time.Second

// scriptedServer is a test double of a server's agent endpoint: real HTTP, real WebSockets, and answers that the test
// sends explicitly.
type scriptedServer struct {
	*httptest.Server
	opened chan *conversation
	key    serverkey.Key
	bare   bool   // like another program, it knows nothing of the handshake
	hash   string // of the secret of agents without a verifier; empty: unknown

	mu       sync.Mutex
	received []byte // everything that any agent sent
}

func newServer(t *testing.T) *scriptedServer {
	t.Helper()
	return startServer(t, (*httptest.Server).Start)
}

func startServer(t *testing.T, start func(*httptest.Server)) *scriptedServer {
	t.Helper()
	s := &scriptedServer{opened: make(chan *conversation, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+client.AgentPath, s.serve)
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s.Server)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// verifiers is what the logs of all scripted servers store, by the name of the agent or the join token.
var verifiers sync.Map

// serve keeps one connection open and hands it to the test.
func (s *scriptedServer) serve(w http.ResponseWriter, r *http.Request) {
	c := &conversation{messages: make(chan client.FromAgent, 1000), over: make(chan struct{})}
	on := handshake.Connection{TLS: r.TLS, Address: r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(),
		Client: r.RemoteAddr}
	for header, challenge := range map[string]**handshake.Challenge{handshake.Header: &c.agent,
		handshake.JoinHeader: &c.joining} {
		if first := r.Header.Get(header); first != "" && !s.bare {
			received, answer := handshake.Receive(first, on)
			w.Header().Set(header, answer)
			*challenge = received
		}
	}
	if c.agent != nil {
		hash := s.hash
		if _, known := verifiers.Load(c.agent.Name); known {
			hash = ""
		}
		w.Header().Set(handshake.KnownHeader, c.agent.Known(hash))
		w.Header().Set(handshake.KeyHeader, c.agent.Sign(s.key))
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	conn.SetReadLimit(client.MaxMessageBytes)
	c.conn = conn
	s.opened <- c
	defer close(c.over)
	for {
		_, text, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		s.mu.Lock()
		s.received = append(s.received, text...)
		s.mu.Unlock()
		var m client.FromAgent
		if json.Unmarshal(text, &m) == nil {
			c.messages <- m
		}
	}
}

// allReceived returns everything that agents have sent to this server.
func (s *scriptedServer) allReceived() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.received)
}

// conversation is one connection of an agent, as seen by the server.
type conversation struct {
	conn     *websocket.Conn
	messages chan client.FromAgent
	over     chan struct{}
	hello    client.Hello

	agent, joining *handshake.Challenge
}

// register stores the verifier that the agent sent.
func (s *scriptedServer) register(c *conversation) { verifiers.Store(c.agent.Name, c.hello.Verifier) }

// proofs proves to the agent that this server knows what the log stores of it. A joining agent registers its verifier.
func (c *conversation) proofs(t *testing.T) (proof, joinProof string) {
	t.Helper()
	var err error
	if c.joining != nil {
		verifiers.Store(c.agent.Name, c.hello.Verifier)
		verifier := handshake.VerifierOf(c.joining.Name, joinSecret)
		joinProof, err = c.joining.Check(verifier, c.hello.JoinProof)
		require.NoError(t, err)
	}
	verifier, _ := verifiers.Load(c.agent.Name)
	proof, err = c.agent.Check(verifier.(string), c.hello.Proof)
	require.NoError(t, err)
	return proof, joinProof
}

// accept waits for the next connection with a hello. The agent closes a connection without one if it repeats the attempt.
func (s *scriptedServer) accept(t *testing.T) *conversation {
	t.Helper()
	expired := time.After(timeout)
	for {
		select {
		case c := <-s.opened:
			if c.greeted(expired) {
				return c
			}
		case <-expired:
			t.Fatal("no agent connected")
		}
	}
}

// greeted waits for the hello, and reports whether the agent sent one before it closed the connection.
func (c *conversation) greeted(expired <-chan time.Time) bool {
	for {
		select {
		case m := <-c.messages:
			if m.Hello != nil {
				c.hello = *m.Hello
				return true
			}
		case <-c.over:
			if len(c.messages) == 0 {
				return false
			}
		case <-expired:
			return false
		}
	}
}

// welcome accepts the next connection and sends settings with short intervals.
func (s *scriptedServer) welcome(t *testing.T, unfinished ...client.Unfinished) *conversation {
	t.Helper()
	c := s.accept(t)
	c.send(t, client.ToAgent{Welcome: &client.Welcome{
		Log: "log-1", Server: "server-1", Settings: shortSettings(nil), Unfinished: unfinished,
	}})
	return c
}

// shortSettings returns settings with short intervals.
func shortSettings(check *domain.HealthCheck) client.Settings {
	return client.Settings{
		HeartbeatEvery: domain.Duration(50 * time.Millisecond),
		OfflineAfter:   domain.Duration(time.Second),
		HealthCheck:    check,
	}
}

// send sends a message, with the proofs of the server in a welcome or a refusal.
func (c *conversation) send(t *testing.T, m client.ToAgent) {
	t.Helper()
	if m.Welcome != nil {
		welcome := *m.Welcome
		welcome.Proof, welcome.JoinProof = c.proofs(t)
		welcome.Registered = true
		m.Welcome = &welcome
	}
	if m.Refused != nil {
		refused := *m.Refused
		refused.Proof, refused.JoinProof = c.proofs(t)
		m.Refused = &refused
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	c.sendText(t, string(text))
}

func (c *conversation) sendText(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	require.NoError(t, c.conn.Write(ctx, websocket.MessageText, []byte(text)))
}

// drop closes the connection without a handshake.
func (c *conversation) drop() { _ = c.conn.CloseNow() }

// expect waits for the next message of a kind and skips others.
func expect[M any](t *testing.T, c *conversation, kind func(client.FromAgent) *M) *M {
	t.Helper()
	expired := time.After(timeout)
	for {
		select {
		case m := <-c.messages:
			if found := kind(m); found != nil {
				return found
			}
		case <-expired:
			t.Fatalf("received no %T", *new(M))
		}
	}
}

func aClaim(m client.FromAgent) *client.Claim         { return m.Claim }
func anEnd(m client.FromAgent) *client.End            { return m.End }
func anAnswer(m client.FromAgent) *client.PartAnswer  { return m.Answer }
func aHeartbeat(m client.FromAgent) *client.Heartbeat { return m.Heartbeat }
func aHealth(m client.FromAgent) *client.Health       { return m.Health }
func aGoodbye(m client.FromAgent) *client.Goodbye     { return m.Goodbye }

// outputAndEnd waits for a part's end and returns the output that preceded it on this connection. The chunks must
// have no gap.
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

// offerAndConfirmClaim offers work and confirms that its claim counts.
func (c *conversation) offerAndConfirmClaim(t *testing.T, w client.Work) {
	t.Helper()
	c.send(t, client.ToAgent{Offer: &w})
	require.Equal(t, w.Deployment, expect(t, c, aClaim).Deployment)
	c.send(t, client.ToAgent{Claimed: &client.Claimed{Deployment: w.Deployment, Counts: true}})
}

// confirm sends the confirmation that an end is in the log.
func (c *conversation) confirm(t *testing.T, deployment string) {
	t.Helper()
	c.send(t, client.ToAgent{Ended: &client.Ended{Deployment: deployment, Event: "event-of-" + deployment}})
}

// complete runs a part from its offer until the agent has stored that its end is confirmed.
func (c *conversation) complete(t *testing.T, config agent.Config, w client.Work) {
	t.Helper()
	c.offerAndConfirmClaim(t, w)
	expect(t, c, anEnd)
	c.confirm(t, w.Deployment)
	waitUntilRemoved(t, entry(config, w.Deployment))
}

// work returns a part with one step per script.
func work(deployment string, scripts ...string) client.Work {
	w := client.Work{
		Deployment:  deployment,
		Project:     "shop",
		Environment: "production",
		Machine:     "web-01",
		Release:     "1.4.3",
		Cause:       "person",
	}
	for i, script := range scripts {
		w.Steps = append(w.Steps, domain.Step{Name: fmt.Sprintf("step-%d", i+1), Run: script})
	}
	return w
}

// A join token of the scripted servers.
const (
	joinSecret = "a-secret-half"
	joinText   = "0123456789ab." + joinSecret
)

// configuration returns the configuration of an agent that uses these servers and a new data folder.
func configuration(t *testing.T, servers ...*scriptedServer) agent.Config {
	t.Helper()
	c := agent.Config{
		Name:        "web-01",
		Environment: "production",
		Roles:       []string{"web"},
		Join:        joinText,
		Version:     "test",
		Data:        t.TempDir(),
	}
	for _, s := range servers {
		c.Servers = append(c.Servers, s.URL)
	}
	return c
}

// runningAgent is an agent in this process.
type runningAgent struct {
	stop    context.CancelFunc
	stopNow chan struct{}
	ended   chan error
	log     *observer.ObservedLogs
}

func startAgent(t *testing.T, c agent.Config) *runningAgent {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	core, log := observer.New(zap.DebugLevel)
	a := &runningAgent{stop: stop, stopNow: make(chan struct{}), ended: make(chan error, 1), log: log}
	c.Logger, c.StopNow = zap.New(core), a.stopNow
	go func() { a.ended <- agent.Run(ctx, c) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-a.stopNow:
		default:
			close(a.stopNow)
		}
		<-a.ended
	})
	return a
}

// wait waits until the agent has ended.
func (a *runningAgent) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-a.ended:
		a.ended <- err
		return err
	case <-time.After(timeout):
		t.Fatal("the agent does not stop")
		return nil
	}
}

// processEnv makes the test binary an agent; its value is the server and the data folder.
const processEnv = "AGENT_TEST_CONFIG"

func TestMain(m *testing.M) {
	if text := os.Getenv(processEnv); text != "" {
		runAgentProcess(text)
	}
	os.Exit(m.Run())
}

// runAgentProcess is the main function of the agent process, like a small version of drover's command.
func runAgentProcess(text string) {
	c := agent.Config{Name: "web-01", Environment: "production", Join: joinText}
	server, data, _ := strings.Cut(text, " ")
	c.Servers, c.Data = []string{server}, data
	ctx, cancel := context.WithCancel(context.Background())
	stopNow := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		close(stopNow)
	}()
	c.StopNow = stopNow
	if err := agent.Run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startProcess runs an agent in a separate process.
func startProcess(t *testing.T, c agent.Config) *exec.Cmd {
	t.Helper()
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), processEnv+"="+c.Servers[0]+" "+c.Data)
	p.Stderr = os.Stderr
	require.NoError(t, p.Start())
	t.Cleanup(func() { kill9(p) })
	return p
}

// kill9 kills an agent's process and waits for its exit.
func kill9(p *exec.Cmd) {
	_ = p.Process.Kill()
	_ = p.Wait()
}

// waitUntilExists waits until a file exists.
func waitUntilExists(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return err == nil
	}, timeout, 5*time.Millisecond, "%s does not exist", path)
}

// waitUntilRemoved waits until a file no longer exists.
func waitUntilRemoved(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	}, timeout, 5*time.Millisecond, "%s still exists", path)
}

// inFolder returns a path in a new folder. Scripts can use it without quotes.
func inFolder(t *testing.T, name string) string { return filepath.Join(t.TempDir(), name) }

// entry returns the path of a journal entry.
func entry(c agent.Config, deployment string) string {
	return filepath.Join(c.Data, "journal", deployment+".json")
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// skipOrFail skips a test that cannot run on this machine. If DROVER_TEST_REQUIRE is "all", it fails the test.
func skipOrFail(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
