package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSuspendedServerDoesNotMarkMachinesOffline(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	file := filepath.Join(s.Folder, "strict.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
apiVersion: drover.dev/v1
kind: MachinePolicy
metadata: {name: default}
spec: {offlineAfter: 3s}
`), 0o600))
	s.ok("apply", "-f", file)
	s.shop()
	s.agent("web-01")
	s.eventually("the agent is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })

	server.Signal(syscall.SIGSTOP)
	time.Sleep(8 * time.Second) // longer than offlineAfter and the timeout of the watchdog
	server.Signal(syscall.SIGCONT)
	for range 20 { // the server reacts every second
		require.Contains(t, s.ok("get", "machines"), "online")
		time.Sleep(200 * time.Millisecond)
	}
	require.NotContains(t, s.ok("events"), "MachineWentOffline")
}

func TestClientsAndAgentsOfSameUserTrustServerCertificate(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	selfSigned(t, s.Folder, "", "127.0.0.1")
	s.process("server", "--data", s.data, "--tls-cert", filepath.Join(s.Folder, "cert.pem"), "--tls-key",
		filepath.Join(s.Folder, "key.pem"))
	s.shop()
	join := s.ok("token", "create", "--join")
	s.process("agent", "--join", join, "--name", "web-01", "--environment", "production", "--data",
		filepath.Join(s.Folder, "web-01"))
	s.eventually("the agent is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })

	_, stderr, code := s.run("--server", s.url(), "get", "machines")
	require.Equal(t, 1, code, "connections without TLS are refused: %s", stderr)
}
