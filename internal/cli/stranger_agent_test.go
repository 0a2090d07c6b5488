package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
)

// The agent runs on the machine of the server, and another program takes the port while the server is down.
func TestAgentsOnTheServersMachineGiveNothingToAnotherProgram(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	p := s.server()
	s.shop()
	join := s.ok("token", "create", "--join")
	data := filepath.Join(s.Folder, "web-01")
	described := harness.Agent{Name: "web-01", Environment: "production", Servers: []string{s.url()}, Join: join, Data: data}
	agent := s.Start(described.Spec())
	s.eventually("web-01 is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })
	unused := s.ok("token", "create", "--join")
	p.End(syscall.SIGTERM)
	<-p.Ended()

	listener, err := net.Listen("tcp", s.address)
	require.NoError(t, err)
	var other stranger
	go other.serve(listener, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	fresh := filepath.Join(s.Folder, "web-02")
	joining := s.Start(harness.Agent{Name: "web-02", Environment: "production", Servers: []string{s.url()}, Join: unused,
		Data: fresh}.Spec())
	s.eventually("both agents have tried to connect", func() bool {
		text := other.received()
		return strings.Count(text, "GET /api/v1/agent") > 3 && strings.Contains(text, "Drover-Join: ")
	})
	require.NoError(t, listener.Close())
	for _, file := range []string{filepath.Join(data, "identity.json"), filepath.Join(fresh, "identity.json")} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, secret, found := strings.Cut(string(text), `"secret": "`)
		require.True(t, found)
		require.NotContains(t, other.received(), secret[:64])
	}
	for _, token := range []string{join, unused} {
		_, secret, _ := strings.Cut(token, ".")
		require.NotContains(t, other.received(), secret)
	}

	s.server() // the agents find the true server again
	s.eventually("both machines are online", func() bool { return strings.Count(s.ok("get", "machines"), "online") == 2 })
	for _, agent := range []*harness.Process{agent, joining} {
		agent.End(syscall.SIGTERM)
		<-agent.Ended()
	}
	described.Join = join
	s.Start(described.Spec()) // with the same token, which has no uses left
	s.eventually("web-01 is online again", func() bool {
		return strings.Contains(s.ok("get", "machine", "web-01"), "online")
	})
}

func TestAgentRefusesTheServerAfterARotationUntilItAcceptsTheKey(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	described := harness.Agent{Name: "web-01", Environment: "production", Servers: []string{s.url()},
		Join: s.ok("token", "create", "--join"), Data: filepath.Join(s.Folder, "web-01")}
	online := func() bool { return strings.Contains(s.ok("get", "machines"), "online") }
	agent := s.Start(described.Spec())
	s.eventually("web-01 is online", online)
	before := s.ok("server-key", "show")
	s.ok("server-key", "rotate")
	after := s.ok("server-key", "show")
	require.NotEqual(t, before, after)
	require.True(t, online(), "an open connection stays")
	agent.End(syscall.SIGTERM)
	<-agent.Ended()

	agent = s.Start(described.Spec())
	s.eventually("the agent names both keys", func() bool {
		return strings.Contains(agent.Tail(8<<10), after+", not the expected key "+before)
	})
	require.False(t, online())
	agent.End(syscall.SIGTERM)
	<-agent.Ended()
	spec := described.Spec()
	spec.Args = append(spec.Args, "--accept-server", after)
	agent = s.Start(spec)
	s.eventually("web-01 is online", online)
	agent.End(syscall.SIGTERM)
	<-agent.Ended()
	s.Start(described.Spec())
	s.eventually("web-01 is online without the flag", online)
}
