package api_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
)

// sent is how a test sends a request; the zero value is over TCP without TLS, from this machine.
type sent struct {
	path, host, from, bearer string
	post                     bool
	tls                      *tls.ConnectionState
	header                   http.Header
}

// send sends a request to another API of the fixture, which differs in its transport.
func (f *fixture) send(at api.Transport, s sent) (status int, p client.Problem) {
	f.t.Helper()
	config := f.config
	config.Transport = at
	method, body := http.MethodGet, ""
	if s.post {
		method = http.MethodPost
		body = `{"name": "box-09", "environment": "production", "instance": "` + uuid.NewString() + `", "secret": "` +
			strings.Repeat("5e", 32) + `"}`
	}
	r, w := httptest.NewRequest(method, s.path, strings.NewReader(body)), httptest.NewRecorder()
	r.Host, r.RemoteAddr, r.TLS = "127.0.0.1:7070", "127.0.0.1:4711", s.tls
	if s.host != "" {
		r.Host = s.host
	}
	if s.from != "" {
		r.RemoteAddr = s.from
	}
	for name, values := range s.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	if s.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	api.New(config).Handler().ServeHTTP(w, r)
	_ = json.Unmarshal(w.Body.Bytes(), &p)
	return w.Code, p
}

const (
	work    = "/api/v1/machines/box-01/work"
	joining = "/api/v1/machines"
)

// agentSecret joins a machine, which then is online, and returns the credential of its agent.
func (f *fixture) agentSecret() string {
	f.t.Helper()
	p := f.joinOverHTTP("box-01", f.join(1))
	_, err := p.report("online")
	require.NoError(f.t, err)
	return p.Token
}

func TestSecretsOfAgentsAndJoinTokensAreRefusedOverTCPWithoutTLS(t *testing.T) {
	f := newFixture(t)
	f.shop()
	secret, wrong, join := f.agentSecret(), "agent:"+uuid.NewString()+":"+strings.Repeat("00", 32), f.join(0)
	server := api.Transport{Socket: "/var/lib/drover/drover.sock"}
	for _, s := range []sent{
		{path: work, bearer: secret}, {path: work, bearer: secret, from: "[::1]:1"}, {path: work, bearer: secret, from: "192.0.2.1:1"},
		{path: work, bearer: wrong}, {path: "/api/v1/machines", bearer: secret}, {path: joining, post: true, bearer: join},
		{path: joining, post: true, bearer: secret}, {path: work, bearer: join},
	} {
		status, p := f.send(server, s)
		require.Equal(t, http.StatusForbidden, status, "%+v: %+v", s, p)
		require.Equal(t, "secrets of agents and join tokens are refused over TCP without TLS", p.Detail)
		require.Contains(t, p.Hint, "curl --unix-socket /var/lib/drover/drover.sock")
		require.Contains(t, p.Hint, "https")
	}
	require.Equal(t, 1, f.events("MachineAdded"), "nothing was joined")

	status, p := f.send(server, sent{path: work, bearer: secret, tls: &tls.ConnectionState{}})
	require.Equal(t, http.StatusOK, status, p)
	status, p = f.send(server, sent{path: joining, post: true, bearer: join, tls: &tls.ConnectionState{}})
	require.Equal(t, http.StatusOK, status, p)
	status, p = f.send(server, sent{path: "/api/v1/machines", bearer: f.admin.Token})
	require.Equal(t, http.StatusOK, status, "%v: API tokens are accepted on loopback", p)
}

func TestOnlyATrustedProxyCanVouchForTLS(t *testing.T) {
	f := newFixture(t)
	f.shop()
	secret := f.agentSecret()
	at := api.Transport{Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}}
	https := http.Header{"X-Forwarded-Proto": {"https"}}
	for name, c := range map[string]struct {
		sent   sent
		status int
	}{
		"IPv4 proxy with TLS":        {sent{from: "192.0.2.7:1", header: https}, 200},
		"mapped IPv4 proxy with TLS": {sent{from: "[::ffff:192.0.2.7]:1", header: https}, 200},
		"IPv6 proxy with TLS":        {sent{from: "[2001:db8::7]:1", header: https}, 200},
		"proxy without TLS":          {sent{from: "192.0.2.7:1", header: http.Header{"X-Forwarded-Proto": {"http"}}}, 403},
		"proxy without a header":     {sent{from: "192.0.2.7:1"}, 403},
		"proxy that adds its header to the one of the client": {sent{from: "192.0.2.7:1",
			header: http.Header{"X-Forwarded-Proto": {"https", "http"}}}, 403},
		"another IPv4 address": {sent{from: "192.0.3.7:1", header: https}, 403},
		"another IPv6 address": {sent{from: "[2001:db8:0:1::7]:1", header: https}, 403},
		"loopback":             {sent{header: https}, 403},
	} {
		c.sent.path, c.sent.bearer = work, secret
		status, p := f.send(at, c.sent)
		require.Equal(t, c.status, status, "%s: %+v", name, p)
	}
}

func TestRequestForAnotherHostIsRefusedOnLoopback(t *testing.T) {
	f := newFixture(t)
	own := func(host string) bool { return host == "drover.test" || host == "2001:db8::1" }
	for host, accepted := range map[string]bool{
		"localhost": true, "LOCALHOST:7070": true, "localhost.:7070": true, "127.0.0.1": true, "127.0.0.1:9": true, "127.8.8.8": true,
		"[::1]": true, "[::1]:7070": true, "drover.test": true, "Drover.Test.:443": true, "[2001:db8::1]:7070": true,
		"evil.test": false, "evil.test:7070": false, "localhost.evil.test": false, "127.0.0.1.evil.test": false, "192.0.2.1": false,
		"0.0.0.0:7070": false, "[::]:7070": false, "[2001:db8::2]": false, "": false, ":7070": false,
	} {
		if host == "" {
			host = " "
		}
		for _, at := range []api.Transport{{Loopback: true, AcceptsHost: own}, {AcceptsHost: own}} {
			status, p := f.send(at, sent{path: "/api/v1/machines", host: host, bearer: f.admin.Token})
			if accepted || !at.Loopback {
				require.Equal(t, http.StatusOK, status, "%q: %+v", host, p)
				continue
			}
			require.Equal(t, http.StatusMisdirectedRequest, status, host)
			require.Contains(t, p.Hint, "--host", host)
		}
	}
}

func TestRequestWithACookieNeedsAnAcceptedHostEverywhere(t *testing.T) {
	f := newFixture(t)
	at := api.Transport{AcceptsHost: func(host string) bool { return host == "drover.test" }}
	cookie := http.Header{"Cookie": {"session=1"}}
	for host, want := range map[string]int{"drover.test": 200, "localhost": 200, "evil.test": 421} {
		status, _ := f.send(at, sent{path: "/api/v1/machines", host: host, bearer: f.admin.Token, header: cookie,
			tls: &tls.ConnectionState{}})
		require.Equal(t, want, status, host)
	}
}

func TestProbesAreAnsweredForEveryHostButOnlyWithTheStatus(t *testing.T) {
	f := newFixture(t)
	at := api.Transport{Loopback: true}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401} {
		status, _ := f.send(at, sent{path: path, host: "evil.test"})
		require.Equal(t, want, status, path)
	}
	for name, s := range map[string]sent{
		"a page in a browser": {host: "evil.test"}, "a proxy": {header: http.Header{"X-Forwarded-For": {"192.0.2.1"}}},
		"a proxy that appends to an empty header": {header: http.Header{"X-Forwarded-For": {"", "192.0.2.1"}}},
		"another machine":                         {from: "192.0.2.1:1"},
	} {
		s.path = "/metrics"
		status, _ := f.send(api.Transport{}, s)
		require.Equal(t, http.StatusUnauthorized, status, name)
	}
	for _, from := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		status, _ := f.send(at, sent{path: "/metrics", from: from, host: "[::1]:7070"})
		require.Equal(t, http.StatusOK, status, from)
	}
}

func TestAgentsNeedAClientCertificateIfTheServerRequiresOne(t *testing.T) {
	f := newFixture(t)
	f.shop()
	secret, join := f.agentSecret(), f.join(0)
	at, without := api.Transport{ClientCertificates: true}, &tls.ConnectionState{}
	with := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}} // the listener has verified it
	for _, s := range []sent{{path: work, bearer: secret}, {path: joining, post: true, bearer: join}, {path: client.AgentPath}} {
		s.tls = without
		status, p := f.send(at, s)
		require.Equal(t, http.StatusForbidden, status, s.path)
		require.Contains(t, p.Detail, "agents must present a client certificate")
		s.tls = with
		status, p = f.send(at, s)
		require.NotEqual(t, http.StatusForbidden, status, "%s: %+v", s.path, p)
	}
	status, p := f.send(at, sent{path: "/api/v1/machines", bearer: f.admin.Token, tls: without})
	require.Equal(t, http.StatusOK, status, "%v: people need no certificate", p)
}

func TestCheckupStatesHowItsRequestReachedTheServer(t *testing.T) {
	f := newFixture(t)
	for protocol, c := range map[string]*client.Client{
		"plain":  f.admin,
		"socket": {Servers: []string{f.socket}, Token: f.admin.Token},
	} {
		var found doctor.Checkup
		_, err := c.Get(context.Background(), "/doctor", nil, &found)
		require.NoError(t, err)
		require.Equal(t, doctor.Transport{Protocol: protocol}, found.Transport)
	}
	config := f.config
	config.Transport.Certificate = func() string { return "5e" }
	secure := httptest.NewTLSServer(api.New(config).Handler())
	defer secure.Close()
	var found doctor.Checkup
	over := &client.Client{Servers: []string{secure.URL}, Token: f.token(domain.TokenSettings{Scope: domain.ReadScope}),
		HTTP: secure.Client()}
	_, err := over.Get(context.Background(), "/doctor", nil, &found)
	require.NoError(t, err)
	require.Equal(t, doctor.Transport{Protocol: "tls", Certificate: "5e"}, found.Transport)
}
