package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/server"
	"github.com/droverhq/drover/internal/transport/transporttest"
)

// pollEvery is how often a test checks a condition that must become true.
const pollEvery = 20 * time.Millisecond

// get sends a request for a path with a Host header, and returns the status and the body.
func get(t *testing.T, with *http.Client, address, path, host string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address+path, nil)
	require.NoError(t, err)
	if host != "" {
		r.Host = host
	}
	answer, err := with.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func TestTLS13IsPreferredAndTLS12NeedsForwardSecrecyAndAEAD(t *testing.T) {
	s := fresh(t)
	conn, err := tls.Dial("tcp", s.host, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS13), conn.ConnectionState().Version)
	require.NoError(t, conn.Close())
	accepted := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.SupportedVersions[0] == tls.VersionTLS13 || strings.Contains(suite.Name, "_RSA_WITH") {
			continue // the certificate has an ECDSA key
		}
		conn, err := tls.Dial("tcp", s.host, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{suite.ID}})
		modern := strings.HasPrefix(suite.Name, "TLS_ECDHE_ECDSA_") && (strings.Contains(suite.Name, "_GCM_") ||
			strings.Contains(suite.Name, "POLY1305"))
		require.Equal(t, modern, err == nil, "%s: %v", suite.Name, err)
		if err == nil {
			accepted++
			require.NoError(t, conn.Close())
		}
	}
	require.Equal(t, 3, accepted)
}

func TestTLSServesBothVersionsOfHTTP(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	for range 5 { // the listeners begin in any order
		r := start(t, server.Config{Data: home(t), TLSCert: cert, TLSKey: key})
		for _, two := range []bool{false, true} {
			with := presenting(t, authority)
			with.Transport.(*http.Transport).ForceAttemptHTTP2 = two
			answer, err := with.Get(r.address + "/healthz")
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, two, answer.ProtoMajor == 2)
		}
		r.stopped(t)
	}
}

// mutual is a server that requires client certificates of agents.
func mutual(t *testing.T, authority *transporttest.Authority) (running, *observer.ObservedLogs) {
	t.Helper()
	cert, key := authority.Issue("127.0.0.1")
	core, logged := observer.New(zap.InfoLevel)
	r := start(t, server.Config{Data: home(t), TLSCert: cert, TLSKey: key, TLSClientCA: authority.File, Logger: zap.New(core)})
	t.Cleanup(func() { r.stopped(t) })
	return r, logged
}

// presenting returns an HTTP client that trusts an authority and presents a certificate.
func presenting(t *testing.T, authority *transporttest.Authority, files ...string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(t, authority.File))
	c := &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if len(files) == 2 {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		require.NoError(t, err)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
}

func TestOnlyCertificatesOfTheClientAuthorityAreAccepted(t *testing.T) {
	ours, other := transporttest.NewAuthority(t), transporttest.NewAuthority(t)
	r, _ := mutual(t, ours)
	issue := func(by *transporttest.Authority, changes ...func(*x509.Certificate)) []string {
		cert, key := by.Issue("web-01", changes...)
		return []string{cert, key}
	}
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	status, text := get(t, presenting(t, ours, issue(ours)...), r.address, client.AgentPath, "")
	require.Equal(t, http.StatusUpgradeRequired, status, text)
	status, text = get(t, presenting(t, ours), r.address, client.AgentPath, "")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "agents must present a client certificate")
	status, _ = get(t, presenting(t, ours), r.address, "/api/v1/machines", "")
	require.Equal(t, http.StatusUnauthorized, status, "people need a token, not a certificate")
	for name, files := range map[string][]string{"another authority": issue(other), "expired": issue(ours, transporttest.Expired),
		"only for servers": issue(ours, serverOnly)} {
		_, err := presenting(t, ours, files...).Get(r.address + "/healthz")
		require.ErrorContains(t, err, "tls: bad certificate", name)
	}
}

// TestRemovedClientAuthorityEndsResumptionToo resumes a session, whose certificate the server does not get again.
func TestRemovedClientAuthorityEndsResumptionToo(t *testing.T) {
	ours, next := transporttest.NewAuthority(t), transporttest.NewAuthority(t)
	r, logged := mutual(t, ours)
	cert, key := ours.Issue("web-01")
	agent := presenting(t, ours, cert, key)
	for range 2 {
		status, text := get(t, agent, r.address, client.AgentPath, "")
		require.Equal(t, http.StatusUpgradeRequired, status, text)
	}
	before := read(t, ours.File)
	require.NoError(t, os.WriteFile(ours.File, []byte("half"), 0o600))
	require.Eventually(t, func() bool { return logged.FilterMessageSnippet("could not reload").Len() > 0 }, timeout, pollEvery)
	status, _ := get(t, agent, r.address, client.AgentPath, "")
	require.Equal(t, http.StatusUpgradeRequired, status, "an invalid file changes nothing")
	require.NoError(t, os.WriteFile(ours.File, read(t, next.File), 0o600))
	require.Eventually(t, func() bool {
		_, err := agent.Get(r.address + "/healthz")
		return err != nil && strings.Contains(err.Error(), "bad certificate")
	}, timeout, pollEvery)
	require.NoError(t, os.WriteFile(ours.File, before, 0o600))
	require.Eventually(t, func() bool {
		answer, err := agent.Get(r.address + "/healthz")
		return err == nil && answer.Body.Close() == nil
	}, timeout, pollEvery)
}

func TestUnusableTLSFilesAreNamed(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	for want, c := range map[string]server.Config{
		"--tls-client-ca requires TLS: set --tls-cert and --tls-key": {TLSClientCA: authority.File},
		"read the CA file: open no.pem: no such file":                {TLSCert: cert, TLSKey: key, TLSClientCA: "no.pem"},
		key + " contains no certificate in PEM format":               {TLSCert: cert, TLSKey: key, TLSClientCA: key},
		"read certificate " + key + " and key " + key:                {TLSCert: key, TLSKey: key},
		`--host: invalid host name "https://drover"`:                 {Hosts: []string{"https://drover"}},
		`invalid --trusted-proxy "proxy"`:                            {TrustedProxies: []string{"proxy"}},
	} {
		c.Data, c.Listen = home(t), "127.0.0.1:0"
		require.ErrorContains(t, server.Run(t.Context(), c), want)
	}
}

func TestExpiredCertificateIsReportedWithItsFile(t *testing.T) {
	cert, key := transporttest.NewAuthority(t).Issue("127.0.0.1", transporttest.Expired)
	core, logged := observer.New(zap.InfoLevel)
	start(t, server.Config{Data: home(t), TLSCert: cert, TLSKey: key, Logger: zap.New(core)}).stopped(t)
	found := logged.FilterMessage("clients will refuse the certificate of this server").All()
	require.Len(t, found, 1)
	require.Contains(t, found[0].ContextMap()["error"], "the certificate in "+cert+" expired on ")
}

func TestServerOnLoopbackAcceptsOnlyItsHostNames(t *testing.T) {
	r := start(t, server.Config{Data: home(t), Hosts: []string{"drover.test"}, Address: "http://front.test:80"})
	defer r.stopped(t)
	for host, want := range map[string]int{"": 401, "localhost:1": 401, "[::1]": 401, "drover.test": 401, "FRONT.test": 401, "evil.test": 421} {
		status, text := get(t, http.DefaultClient, r.address, "/api/v1/machines", host)
		require.Equal(t, want, status, "%s: %s", host, text)
	}
	status, _ := get(t, http.DefaultClient, r.address, "/readyz", "evil.test")
	require.Equal(t, http.StatusOK, status)

	authority := transporttest.NewAuthority(t)
	cert, key := authority.Issue("named.test", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	secure := start(t, server.Config{Data: home(t), TLSCert: cert, TLSKey: key})
	defer secure.stopped(t)
	for host, want := range map[string]int{"named.test": 401, "evil.test": 421} {
		status, text := get(t, presenting(t, authority), secure.address, "/api/v1/machines", host)
		require.Equal(t, want, status, "%s: %s", host, text)
	}
}

// requireIPv6 skips the test if this machine has no IPv6 loopback address.
func requireIPv6(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("this test needs the address ::1: %v", err)
	}
	require.NoError(t, listener.Close())
}

func TestServerListensOnIPv6(t *testing.T) {
	requireIPv6(t)
	authority := transporttest.NewAuthority(t)
	cert, key := authority.Issue("::1")
	for want, c := range map[string]server.Config{
		`^http://\[::1\]:\d+$`:  {Listen: "[::1]:0"},
		`^https://\[::1\]:\d+$`: {Listen: "[::1]:0", TLSCert: cert, TLSKey: key},
		`^http://\[::1\]:\d+/?`: {Listen: "[::]:0", Insecure: true},
	} {
		c.Data = home(t)
		r := start(t, c)
		require.Regexp(t, want, r.address)
		with := http.DefaultClient
		if c.TLSCert != "" {
			with = presenting(t, authority)
		}
		status, text := get(t, with, r.address, "/metrics", "")
		require.Equal(t, http.StatusOK, status, "%s: %s", r.address, text)
		left := contexts(t).List[0]
		require.Equal(t, []string{r.address}, left.Servers)
		c := &client.Client{Servers: left.Servers, Token: left.Token, HTTP: with}
		var machines explain.List[explain.Machine]
		_, err := c.Get(t.Context(), "/machines", url.Values{}, &machines)
		require.NoError(t, err, r.address)
		r.stopped(t)
	}
}

func TestMalformedIPv6AddressesAreExplained(t *testing.T) {
	for want, c := range map[string]server.Config{
		`invalid listen address "::1:7070": write an IPv6 address in brackets`:        {Listen: "::1:7070"},
		`"[fe80::1%eth0]:7070" has an IPv6 zone`:                                      {Listen: "[fe80::1%eth0]:7070"},
		`--address: invalid address "2001:db8::1": write an IPv6 address in brackets`: {Address: "https://2001:db8::1"},
		`--address: "[fe80::1%25eth0]:7070" has an IPv6 zone`:                         {Address: "https://[fe80::1%25eth0]:7070"},
		`--host: "fe80::1%eth0" has an IPv6 zone`:                                     {Hosts: []string{"fe80::1%eth0"}},
	} {
		c.Data = home(t)
		if c.Listen == "" {
			c.Listen = "127.0.0.1:0"
		}
		require.ErrorContains(t, server.Run(t.Context(), c), want)
	}
}
