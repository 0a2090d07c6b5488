package agent_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/internal/transport/transporttest"
)

// mutualServer returns a server that accepts only agents with a certificate of the authority, and the file with its own
// certificate.
func mutualServer(t *testing.T, authority *transporttest.Authority) (server *scriptedServer, ca string) {
	t.Helper()
	text, err := os.ReadFile(authority.File)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(text))
	server = startServer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
		s.StartTLS()
	})
	ca = inFolder(t, "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		0o600))
	return server, ca
}

// failure waits for the error of a failed connection attempt.
func failure(t *testing.T, a *runningAgent) (text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		found := a.log.FilterMessage("could not connect; retrying").All()
		if len(found) > 0 {
			text, _ = found[0].ContextMap()["error"].(string)
		}
		return text != ""
	}, timeout, 10*time.Millisecond)
	return text
}

func TestAgentPresentsItsClientCertificateAndReloadsIt(t *testing.T) {
	authority, other := transporttest.NewAuthority(t), transporttest.NewAuthority(t)
	server, ca := mutualServer(t, authority)
	config := configuration(t, server)
	config.CA = ca
	require.Contains(t, failure(t, startAgent(t, config)), "check the file that --tls-cert names")

	config = configuration(t, server)
	config.CA, config.TLSCert, config.TLSKey = ca, inFolder(t, "cert.pem"), inFolder(t, "key.pem")
	install := func(cert, key string) {
		for to, from := range map[string]string{config.TLSCert: cert, config.TLSKey: key} {
			text, err := os.ReadFile(from)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to, text, 0o600))
		}
	}
	install(other.Issue("web-01"))
	a := startAgent(t, config)
	require.Contains(t, failure(t, a), "check the file that --tls-cert names")
	install(authority.Issue("web-01"))
	c := server.welcome(t)
	require.NoError(t, os.WriteFile(config.TLSKey, []byte("half"), 0o600))
	c.drop()
	expect(t, server.welcome(t), aHeartbeat)
}

func TestUnusableClientCertificateIsExplained(t *testing.T) {
	cert, key := transporttest.NewAuthority(t).Issue("web-01", transporttest.Expired)
	for want, c := range map[string]agent.Config{
		"set --tls-cert and --tls-key":                       {TLSCert: cert},
		"the certificate in " + cert + " expired on ":        {TLSCert: cert, TLSKey: key},
		"read certificate " + key + " and key no.pem: ":      {TLSCert: key, TLSKey: "no.pem"},
		"read certificate " + key + " and key " + key + ": ": {TLSCert: key, TLSKey: key},
	} {
		c.Servers, c.Name, c.Data = []string{"https://127.0.0.1:1"}, "web-01", t.TempDir()
		require.ErrorContains(t, agent.Run(t.Context(), c), want)
	}
}

func TestMalformedIPv6ServersAreExplained(t *testing.T) {
	for server, want := range map[string]string{
		"https://2001:db8::1:7070":     "write an IPv6 address in brackets",
		"https://[fe80::1%25eth0]:443": "has an IPv6 zone",
	} {
		err := agent.Run(t.Context(), agent.Config{Servers: []string{server}, Name: "web-01", Data: t.TempDir()})
		require.ErrorContains(t, err, want, server)
	}
}
