package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/serverkey"
)

func newKey(t *testing.T) serverkey.Key {
	t.Helper()
	key, err := serverkey.New()
	require.NoError(t, err)
	return key
}

// recorded returns a handler that records every request before it passes it on.
func recorded(next http.Handler) (http.Handler, func() string) {
	text := make(chan string, 1)
	text <- ""
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true)
		text <- <-text + string(dump)
		next.ServeHTTP(w, r)
	})
	return handler, func() string {
		all := <-text
		text <- all
		return all
	}
}

// withKey returns the handler of a server that knows the hash of a token and has the given key.
func withKey(key serverkey.Key, hash string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		nonce := r.FormValue("nonce")
		p := client.Proof{Address: local.String(), Binding: client.Binding(r.TLS),
			Proof: client.ServerProof(hash, nonce, local.String())}
		p.Sign(key, nonce)
		_ = json.NewEncoder(w).Encode(p)
	})
}

func TestServerWithAnotherKeyReceivesNoTokenEvenIfItKnowsItsHash(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	pinned := f.engine.ServerKey().Public()
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	_, secret, _ := strings.Cut(text, ".")
	other := newKey(t)
	for name, key := range map[string]serverkey.Key{"another key": other, "no key": {}} {
		for scheme, start := range map[string]func(http.Handler) *httptest.Server{"TCP": httptest.NewServer,
			"TLS": httptest.NewTLSServer} {
			t.Run(name+" over "+scheme, func(t *testing.T) {
				handler, sent := recorded(withKey(key, client.HashSecret(secret)))
				thief := start(handler)
				t.Cleanup(thief.Close)
				c := &client.Client{Servers: []string{thief.URL}, Token: text, Key: pinned, HTTP: thief.Client()}
				_, err := c.Get(t.Context(), "/machines", nil, nil)
				require.Equal(t, client.Unauthorised, client.KindOf(err))
				require.ErrorContains(t, err, pinned.String())
				require.ErrorContains(t, err, thief.URL)
				if !key.IsZero() {
					require.ErrorContains(t, err, "has the server key "+other.Public().String()+", not the expected key")
					require.ErrorContains(t, err, "--accept-server "+other.Public().String())
				}
				require.Contains(t, sent(), client.ProofPath)
				require.NotContains(t, sent(), secret)
				require.NotContains(t, sent(), "Authorization")
				c.Servers = append(c.Servers, f.server.URL)
				_, err = c.Get(t.Context(), "/machines", nil, nil)
				require.NoError(t, err, "the next server of the list has the key")
			})
		}
	}
}

func TestServerThatOffersHTTP2ProvesItself(t *testing.T) {
	key, secret := newKey(t), strings.Repeat("5e", 32)
	mux := http.NewServeMux()
	mux.Handle("GET "+client.ProofPath, withKey(key, client.HashSecret(secret)))
	mux.HandleFunc("GET /api/v1/machines", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c := &client.Client{Servers: []string{server.URL}, Token: "0123456789ab." + secret, Key: key.Public(),
		HTTP: server.Client()}
	_, err := c.Get(t.Context(), "/machines", nil, nil)
	require.NoError(t, err)
}

func TestSignedProofCannotBeChangedOrUsedAgain(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	id, _, _ := strings.Cut(text, ".")
	_, old := f.challenge(id, "0123456789abcdef")
	require.Equal(t, f.engine.ServerKey().Public().String(), old.Key)
	for name, change := range map[string]func(p *client.Proof, fresh client.Proof){
		"replayed":        func(p *client.Proof, _ client.Proof) { *p = old },
		"signature only":  func(p *client.Proof, fresh client.Proof) { *p = fresh; p.Signature = old.Signature },
		"another address": func(p *client.Proof, fresh client.Proof) { *p = fresh; p.Address = "192.0.2.1:7070" },
		"a binding":       func(p *client.Proof, fresh client.Proof) { *p = fresh; p.Binding = "AAAA" },
		"another proof":   func(p *client.Proof, fresh client.Proof) { *p = fresh; p.Proof = old.Proof },
	} {
		t.Run(name, func(t *testing.T) {
			thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, fresh := f.challenge(r.FormValue("token"), r.FormValue("nonce"))
				var p client.Proof
				change(&p, fresh)
				_ = json.NewEncoder(w).Encode(p)
			}))
			t.Cleanup(thief.Close)
			c := &client.Client{Servers: []string{thief.URL}, Token: text, Key: f.engine.ServerKey().Public(), Relayed: true}
			_, err := c.Get(t.Context(), "/machines", nil, nil)
			require.ErrorContains(t, err, "did not prove that it has the server key")
		})
	}
}

// A program with a valid certificate for the server's name passes requests on to a server, over another TLS connection.
func TestRelayWithAValidCertificateReceivesNoToken(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	_, secret, _ := strings.Cut(text, ".")
	genuine := httptest.NewTLSServer(f.api.Handler())
	t.Cleanup(genuine.Close)
	pinned := f.engine.ServerKey().Public()
	_, err := (&client.Client{Servers: []string{genuine.URL}, Token: text, Key: pinned, HTTP: genuine.Client()}).
		Get(t.Context(), "/machines", nil, nil)
	require.NoError(t, err)

	target, err := url.Parse(genuine.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = genuine.Client().Transport
	handler, sent := recorded(proxy)
	thief := httptest.NewTLSServer(handler)
	t.Cleanup(thief.Close)
	c := &client.Client{Servers: []string{thief.URL}, Token: text, Key: pinned, HTTP: thief.Client()}
	_, err = c.Get(t.Context(), "/machines", nil, nil)
	require.ErrorContains(t, err, "passes connections on")
	require.NotContains(t, sent(), secret)

	// A proxy that terminates TLS in front of a server without TLS is trusted because of its certificate.
	target, err = url.Parse(f.server.URL)
	require.NoError(t, err)
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(front.Close)
	c = &client.Client{Servers: []string{front.URL}, Token: text, Key: pinned, HTTP: front.Client()}
	_, err = c.Get(t.Context(), "/machines", nil, nil)
	require.NoError(t, err)
}

// An HTTP proxy for outgoing connections sees only TLS. The server behind it must have the key.
func TestServerBehindAnHTTPProxyMustHaveTheKey(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	server := httptest.NewTLSServer(f.api.Handler())
	t.Cleanup(server.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { defer out.Close(); _, _ = io.Copy(out, in) }()
		_, _ = io.Copy(in, out)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(at)
	get := func(key serverkey.Public) error {
		c := &client.Client{Servers: []string{server.URL}, Token: text, Key: key, HTTP: &http.Client{Transport: transport}}
		_, err := c.Get(t.Context(), "/machines", nil, nil)
		return err
	}
	require.NoError(t, get(f.engine.ServerKey().Public()))
	require.ErrorContains(t, get(newKey(t).Public()), "not the expected key")
	transport.CloseIdleConnections()
}

func TestClientLearnsTheKeyOnlyOfAServerThatKnowsTheToken(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	secured := httptest.NewTLSServer(f.api.Handler())
	t.Cleanup(secured.Close)
	thief := httptest.NewServer(withKey(newKey(t), client.HashSecret("another secret")))
	t.Cleanup(thief.Close)
	old := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == client.ProofPath {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(old.Close)
	for name, c := range map[string]struct {
		server  *httptest.Server
		learned bool
		kind    string
	}{
		"server without TLS":            {f.server, true, ""},
		"server with TLS":               {secured, true, ""},
		"program without the token":     {thief, false, client.Unauthorised},
		"older server with certificate": {old, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			learned := serverkey.Public{}
			client := &client.Client{Servers: []string{c.server.URL}, Token: text, HTTP: c.server.Client(),
				OnProof: func(address string, key serverkey.Public) {
					require.Equal(t, c.server.URL, address)
					learned = key
				}}
			_, err := client.Get(t.Context(), "/machines", nil, nil)
			require.Equal(t, c.kind, kindOf(err))
			require.Equal(t, c.learned, learned == f.engine.ServerKey().Public())
			require.Equal(t, c.learned, !learned.IsZero())
		})
	}
}

func kindOf(err error) string { return client.KindOf(err) }

func TestRotatedKeyReplacesTheKeyOnce(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	before, id := f.engine.ServerKey().Public(), uuid.NewString()
	var first, again struct{ Key string }
	require.NoError(t, f.admin.Post(t.Context(), "/server-key/rotate", id, struct{}{}, &first))
	require.NotEqual(t, before.String(), first.Key)
	require.Equal(t, f.engine.ServerKey().Public().String(), first.Key)
	require.NoError(t, f.admin.Post(t.Context(), "/server-key/rotate", id, struct{}{}, &again))
	require.Equal(t, first, again, "a repeated request rotates no second time")
	f.admin.Key = before
	f.admin.Servers = []string{f.server.URL + "/"} // another connection
	_, err := f.admin.Get(t.Context(), "/machines", nil, nil)
	require.ErrorContains(t, err, "not the expected key")
}

// TestNoRouteAnswersWithThePrivateKey sends a request to each route as an admin. Only the export and the backup of the
// log, which a restore needs, contain the private half.
func TestNoRouteAnswersWithThePrivateKey(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.engine.EnsureServerKey(t.Context()))
	f.shop()
	credentials := f.credentials()
	secrets := func() (all []string) {
		for rec, err := range f.log.ReadStream(t.Context(), domain.ServerKeyStream, 0, 0) {
			require.NoError(t, err)
			fact, err := domain.Decode(rec.Type, rec.Data)
			require.NoError(t, err)
			text := fact.(domain.ServerKeyCreated).Secret
			seed, err := base64.StdEncoding.DecodeString(text)
			require.NoError(t, err)
			all = append(all, text, strings.TrimRight(text, "="), hex.EncodeToString(seed), string(seed),
				base64.URLEncoding.EncodeToString(seed))
		}
		return all
	}
	operations := append(f.operations(), "GET /api/v1/events?stream=token/server-key", "GET /api/v1/events?limit=5000",
		"GET /api/v1/log/verify", "GET /api/openapi.json")
	exported := 0
	for i, operation := range operations {
		method, path, _ := strings.Cut(operation, " ")
		path = strings.NewReplacer("{name}", "ghost", "{project}", "ghost", "{id}", uuid.NewString(), "{kind}", "machines").
			Replace(path)
		for _, sender := range []sender{admin, reader, nobody} {
			answer := f.sendFrom(fmt.Sprintf("127.0.0.%d:9999", i+1), method, path, credentials[sender], "{}")
			text := answer.Body.String() + fmt.Sprint(answer.Header())
			found := false
			for _, secret := range secrets() {
				found = found || strings.Contains(text, secret)
			}
			if path == "/api/v1/log/export" && sender == admin {
				exported++
				require.True(t, found, "an import must keep the key")
				continue
			}
			require.False(t, found, "%s by %s", operation, sender)
		}
	}
	require.Equal(t, 1, exported)
	require.Greater(t, len(secrets()), 5, "the key was rotated")
	f.engine.Read(func(v *projections.View) { require.NotNil(t, v.ServerKey) })
}

// TestBindingDiffersBetweenConnections guards the channel binding: both ends of one connection compute the same text.
func TestBindingDiffersBetweenConnections(t *testing.T) {
	seen := make(chan string, 2)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- client.Binding(r.TLS)
	}))
	t.Cleanup(server.Close)
	var mine []string
	for range 2 {
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.DisableKeepAlives = true
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		mine = append(mine, client.Binding(response.TLS))
		require.Equal(t, mine[len(mine)-1], <-seen)
	}
	require.NotEqual(t, mine[0], mine[1])
	require.Empty(t, client.Binding(nil))
}
