package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAServerThatWasStoppedForAWhileBlamesNoMachineForIt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	server := s.server()
	file := filepath.Join(s.root, "strict.yaml")
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

	require.NoError(t, server.Process.Signal(syscall.SIGSTOP))
	time.Sleep(8 * time.Second) // longer than the policy's grace and the watchdog's patience
	require.NoError(t, server.Process.Signal(syscall.SIGCONT))
	for range 20 { // it reacts every second
		require.Contains(t, s.ok("get", "machines"), "online")
		time.Sleep(200 * time.Millisecond)
	}
	require.NotContains(t, s.ok("events"), "MachineWentOffline")
}

func TestOverTLSClientsAndAgentsOfTheSameUserTrustTheServer(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	cert, key := certificate(t, s.root)
	s.process("server", "--data", s.data, "--tls-cert", cert, "--tls-key", key)
	s.shop()
	join := s.ok("token", "create", "--join")
	s.process("agent", "--join", join, "--name", "web-01", "--environment", "production", "--data", filepath.Join(s.root, "web-01"))
	s.eventually("the agent is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })

	_, stderr, code := s.run("--server", "http://127.0.0.1:"+s.port, "get", "machines")
	require.Equal(t, 1, code, "who speaks without TLS is refused: %s", stderr)
}

// certificate writes a certificate that is its own authority, for this machine.
func certificate(t *testing.T, folder string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	return cert, key
}
