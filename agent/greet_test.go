package agent_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/serverkey"
)

// identity is the content of identity.json.
type identity struct{ Instance, Secret string }

func identityOf(t *testing.T, c agent.Config) (found identity) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(read(t, filepath.Join(c.Data, "identity.json"))), &found))
	require.NotEmpty(t, found.Secret)
	return found
}

// recorder listens like `nc -l` and records everything that it receives. It passes connections on to another address, if
// there is one.
type recorder struct {
	address string
	mu      sync.Mutex
	text    strings.Builder
	seen    chan struct{} // receives a value for each piece
}

func record(t *testing.T, to string) *recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &recorder{address: listener.Addr().String(), seen: make(chan struct{}, 1000)}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(conn, to)
		}
	}()
	return r
}

func (r *recorder) serve(conn net.Conn, to string) {
	defer conn.Close()
	var next io.Writer = io.Discard
	if to != "" {
		other, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer other.Close()
		go func() { _, _ = io.Copy(conn, other) }()
		next = other
	}
	part := make([]byte, 64<<10)
	for {
		n, err := conn.Read(part)
		r.mu.Lock()
		r.text.Write(part[:n])
		r.mu.Unlock()
		_, _ = next.Write(part[:n])
		if err != nil {
			return
		}
		select {
		case r.seen <- struct{}{}:
		default:
		}
	}
}

func (r *recorder) received() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestListenerOnTheServersPortReceivesNeitherSecretNorJoinToken(t *testing.T) {
	listener := record(t, "")
	config := configuration(t)
	config.Servers = []string{"http://" + listener.address}
	a := startAgent(t, config)
	<-listener.seen
	a.stop()
	require.NoError(t, a.wait(t))
	require.Contains(t, listener.received(), handshake.JoinHeader)
	requireNoSecret(t, config, listener.received())
}

// requireNoSecret checks that a text contains neither the agent's secret nor its join token.
func requireNoSecret(t *testing.T, c agent.Config, text string) {
	t.Helper()
	require.NotContains(t, text, identityOf(t, c).Secret)
	require.NotContains(t, text, joinSecret)
}

// A false server speaks the protocol, and knows what everybody knows: the instance and the id of the join token.
func TestAgentAcceptsNothingFromAFalseServer(t *testing.T) {
	forged := client.Welcome{Log: "log-1", Settings: shortSettings(nil), Registered: true, Proof: "v=AAAA", JoinProof: "v=AAAA"}
	bare := client.Welcome{Log: "log-1", Settings: shortSettings(nil)}
	for name, answer := range map[string]client.ToAgent{
		"a forged proof": {Welcome: &forged}, "no proof": {Welcome: &bare},
		"a permanent refusal":           {Refused: &client.Refused{Reason: "go away", Final: true}},
		"a refusal with a forged proof": {Refused: &client.Refused{Reason: "go", Final: true, JoinProof: "v=AAAA", Proof: "v="}},
		"a redirect to a server":        {Refused: &client.Refused{Reason: "over there", Server: "http://127.0.0.1:1"}},
		"work without a welcome":        {},
	} {
		for _, joined := range []bool{false, true} {
			server := newServer(t)
			config := configuration(t, server)
			if joined {
				first := startAgent(t, config)
				expect(t, server.welcome(t), aHeartbeat)
				first.stop()
				require.NoError(t, first.wait(t))
			}
			marker, before := inFolder(t, "ran"), len(server.allReceived())
			a := startAgent(t, config)
			for range 3 { // it retries
				c := server.accept(t)
				if answer != (client.ToAgent{}) {
					c.sendRaw(t, answer)
				}
				offered := work("d-1", "touch "+marker)
				c.trySend(client.ToAgent{Offer: &offered})
				c.trySend(client.ToAgent{Claimed: &client.Claimed{Deployment: "d-1", Counts: true}})
				if answer == (client.ToAgent{}) {
					c.drop()
				}
				<-c.over
			}
			a.stop()
			require.NoError(t, a.wait(t), name)
			require.NoFileExists(t, marker, name)
			requireNoSecret(t, config, server.allReceived())
			for _, message := range []string{`"remembered"`, `"heartbeat"`, `"claim"`, `"health"`} {
				require.NotContains(t, server.allReceived()[before:], message, name)
			}
		}
	}
}

func TestServerWithoutHandshakeIsNotAcceptedAndReceivesNoHello(t *testing.T) {
	server := newServer(t)
	server.bare = true
	config := configuration(t, server)
	a := startAgent(t, config)
	<-(<-server.opened).over
	require.Empty(t, server.allReceived())
	a.awaitLog(t, "could not connect; retrying", "upgrade the servers before the agents")
}

func TestJoinTokenIsDroppedAfterTheJoin(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	a := startAgent(t, config)
	c := server.welcome(t)
	require.NotNil(t, c.joining)
	expect(t, c, aHeartbeat)
	c.drop()
	c = server.welcome(t)
	require.Nil(t, c.joining, "after a reconnect")
	expect(t, c, aHeartbeat)
	a.stop()
	require.NoError(t, a.wait(t))

	again := startAgent(t, config) // with the same token
	c = server.accept(t)
	require.Nil(t, c.joining, "after a restart")
	c.send(t, client.ToAgent{Refused: &client.Refused{Reason: "not now"}})
	c = server.welcome(t)
	require.Nil(t, c.joining, "after a refusal")
	expect(t, c, aHeartbeat)
	again.stop()
	require.NoError(t, again.wait(t))

	config.Join = "ba9876543210." + joinSecret
	startAgent(t, config)
	c = server.accept(t)
	require.Nil(t, c.joining, "another token is used only if the server refuses the agent")
	c.send(t, client.ToAgent{Refused: &client.Refused{Reason: "revoked", Final: true}})
	c = server.welcome(t)
	require.Equal(t, handshake.JoinName("ba9876543210"), c.joining.Name)
	expect(t, c, aHeartbeat)
}

func TestRelayOnLoopbackIsNoticedUnlessItIsPermitted(t *testing.T) {
	server := newServer(t)
	relay := record(t, server.Listener.Addr().String())
	config := configuration(t)
	config.Servers = []string{"http://" + relay.address}
	a := startAgent(t, config)
	a.awaitLog(t, "could not connect; retrying", "passes connections on to a server at another address")
	require.Empty(t, server.allReceived(), "the agent sends no hello")
	a.stop()
	require.NoError(t, a.wait(t))
	for len(server.opened) > 0 {
		<-server.opened
	}

	config.Relay = true
	startAgent(t, config)
	expect(t, server.welcome(t), aHeartbeat)
	requireNoSecret(t, config, relay.received())
}

func TestAgentReachesAServerThroughAProxyThatEndsTLS(t *testing.T) {
	server := newServer(t)
	target, err := url.Parse(server.URL)
	require.NoError(t, err)
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	t.Cleanup(proxy.Close)
	t.Cleanup(proxy.CloseClientConnections)
	config := configuration(t)
	config.Servers, config.CA = []string{proxy.URL}, inFolder(t, "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
	require.NoError(t, os.WriteFile(config.CA, certificate, 0o600))
	a := startAgent(t, config)
	c := server.welcome(t) // the server refused the binding before
	require.True(t, c.agent.Proxied, "%v", a.log.All())
	expect(t, c, aHeartbeat)
	c.drop()
	require.True(t, server.welcome(t).agent.Proxied, "without another attempt")
	requireNoSecret(t, config, server.allReceived())
}

func newKey(t *testing.T) serverkey.Key {
	t.Helper()
	key, err := serverkey.New()
	require.NoError(t, err)
	return key
}

func TestAgentPinsTheServerKeyAndAcceptsAnotherOneOnlyExplicitly(t *testing.T) {
	server := newServer(t)
	server.key = newKey(t)
	config := configuration(t, server)
	first := server.key.Public()
	a := startAgent(t, config)
	expect(t, server.welcome(t), aHeartbeat)
	a.stop()
	require.NoError(t, a.wait(t))
	before := server.allReceived()

	server.key = newKey(t)
	other := server.key.Public()
	a = startAgent(t, config)
	a.awaitLog(t, "could not connect; retrying", "has the server key "+other.String()+", not the expected key "+first.String())
	a.awaitLog(t, "could not connect; retrying", "--accept-server "+other.String())
	a.stop()
	require.NoError(t, a.wait(t))
	require.Equal(t, before, server.allReceived(), "the agent sends no hello")

	server.key = serverkey.Key{}
	a = startAgent(t, config)
	a.awaitLog(t, "could not connect; retrying", "did not prove that it has the server key "+first.String())
	a.stop()
	require.NoError(t, a.wait(t))
	for len(server.opened) > 0 {
		<-server.opened
	}

	server.key = newKey(t)
	config.AcceptServer = server.key.Public()
	a = startAgent(t, config)
	c := server.welcome(t)
	expect(t, c, aHeartbeat)
	a.stop()
	require.NoError(t, a.wait(t))
	config.AcceptServer = serverkey.Public{}
	startAgent(t, config)
	expect(t, server.welcome(t), aHeartbeat)
}

// Before its first welcome, a restarted agent must not wait longer for a server that hangs than its policy permits.
func TestRestartedAgentKnowsOfflineAfterFromItsLastWelcome(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	a := startAgent(t, config)
	settings := shortSettings(nil)
	settings.OfflineAfter = domain.Duration(9 * time.Second)
	c := server.accept(t)
	c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: settings}})
	expect(t, c, aHeartbeat)
	a.stop()
	require.NoError(t, a.wait(t))
	j, _, err := journal.Open(config.Data)
	require.NoError(t, err)
	defer j.Close()
	require.Equal(t, domain.Duration(9*time.Second), j.Trust().OfflineAfter)
}

func TestAgentTrustsNoServerIfItsPinnedKeyIsUnreadable(t *testing.T) {
	server := newServer(t)
	server.key = newKey(t)
	config := configuration(t, server)
	j, _, err := journal.Open(config.Data)
	require.NoError(t, err)
	require.NoError(t, j.RecordTrust(journal.Trust{Key: "a key of a later version"}))
	require.NoError(t, j.Close())
	a := startAgent(t, config)
	a.awaitLog(t, "could not connect; retrying", "use the version of drover that pinned it")
	require.Empty(t, server.allReceived())
}

func TestAgentIsStartedWithAnotherKeyThanTheServerHas(t *testing.T) {
	server := newServer(t)
	server.key = newKey(t)
	config := configuration(t, server)
	config.AcceptServer = newKey(t).Public()
	a := startAgent(t, config)
	a.awaitLog(t, "could not connect; retrying", "not the expected key "+config.AcceptServer.String())
	require.Empty(t, server.allReceived())
}

// oldLog is a scripted server whose log has only the hash of the agent's secret, from an earlier version of drover.
func oldLog(t *testing.T, start func(*httptest.Server)) (*scriptedServer, agent.Config) {
	t.Helper()
	server := startServer(t, start)
	config := configuration(t, server)
	config.Join = ""
	if server.TLS != nil {
		config.CA = inFolder(t, "ca.pem")
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		require.NoError(t, os.WriteFile(config.CA, certificate, 0o600))
	}
	refused := startAgent(t, config) // creates the identity
	server.accept(t).drop()
	refused.stop()
	require.NoError(t, refused.wait(t))
	requireNoSecret(t, config, server.allReceived())
	server.hash = client.HashSecret(identityOf(t, config).Secret)
	return server, config
}

// The agent registers the verifier of its secret. Whatever fails in between, agent and server still agree.
func TestAgentKnownByItsHashRegistersAVerifier(t *testing.T) {
	for name, at := range map[string]func(t *testing.T, server *scriptedServer, c *conversation){
		"nothing fails":                           func(*testing.T, *scriptedServer, *conversation) {},
		"the server dies before it registers":     func(_ *testing.T, _ *scriptedServer, c *conversation) { c.drop() },
		"the server dies after it has registered": func(_ *testing.T, s *scriptedServer, c *conversation) { s.register(c); c.drop() },
		"the agent is restarted":                  nil,
	} {
		t.Run(name, func(t *testing.T) {
			server, config := oldLog(t, (*httptest.Server).Start)
			secret := identityOf(t, config).Secret
			a := startAgent(t, config)
			c := server.accept(t)
			require.Equal(t, secret, c.hello.Secret, "after the server has proved that it knows the hash")
			if at == nil {
				server.register(c)
				close(a.stopNow)
				require.NoError(t, a.wait(t))
				a = startAgent(t, config)
				c = server.accept(t)
			} else if at(t, server, c); name != "nothing fails" {
				c = server.accept(t)
			}
			if c.hello.Verifier != "" {
				server.register(c)
			}
			c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(nil)}})
			expect(t, c, aHeartbeat)
			c.drop()
			c = server.welcome(t)
			require.Empty(t, c.hello.Secret)
			require.Empty(t, c.hello.Verifier)
			expect(t, c, aHeartbeat)
			a.stop()
			require.NoError(t, a.wait(t))
		})
	}
}

// The thief of an old log knows the hash, but not the key of the server's certificate.
func TestRegisteredAgentSendsItsSecretForAHashOnlyOverTLS(t *testing.T) {
	for _, start := range []func(*httptest.Server){(*httptest.Server).Start, (*httptest.Server).StartTLS} {
		server, config := oldLog(t, start)
		a := startAgent(t, config)
		c := server.accept(t)
		server.register(c)
		c.send(t, client.ToAgent{Welcome: &client.Welcome{Log: "log-1", Settings: shortSettings(nil)}})
		expect(t, c, aHeartbeat)
		verifiers.Delete(c.agent.Name) // an old backup is restored
		c.drop()
		if server.TLS == nil {
			<-(<-server.opened).over
			a.awaitLog(t, "could not connect; retrying", "knows only the hash of this agent's secret")
			continue
		}
		c = server.accept(t)
		require.Equal(t, identityOf(t, config).Secret, c.hello.Secret)
	}
}

// sendRaw sends a message without proofs.
func (c *conversation) sendRaw(t *testing.T, m client.ToAgent) {
	t.Helper()
	text, err := json.Marshal(m)
	require.NoError(t, err)
	c.sendText(t, string(text))
}

// trySend sends a message without proofs. The agent may have closed the connection.
func (c *conversation) trySend(m client.ToAgent) {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = c.conn.Write(ctx, websocket.MessageText, text)
}

// awaitLog waits for a line of the agent's log whose error contains a text.
func (a *runningAgent) awaitLog(t *testing.T, message, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, entry := range a.log.FilterMessage(message).All() {
			if cause, _ := entry.ContextMap()["error"].(string); strings.Contains(cause, text) {
				return true
			}
		}
		return false
	}, timeout, 5*time.Millisecond, "%v", a.log.All())
}
