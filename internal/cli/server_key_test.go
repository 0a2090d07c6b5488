package cli_test

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/harness/harnesstest"
	"github.com/droverhq/drover/serverkey"
)

// change changes the contexts file.
func (s *fixture) change(change func(c *config.Context)) {
	s.t.Helper()
	path := filepath.Join(s.Folder, ".config", "drover", "contexts.json")
	require.NoError(s.t, config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		change(&all.List[0])
		return true, nil
	}))
}

// imposter is a program that knows the hash of a token and has another server key. It records all requests.
type imposter struct {
	*httptest.Server
	key  serverkey.Key
	mu   sync.Mutex
	text strings.Builder
}

func (i *imposter) received() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.text.String()
}

// newImposter starts an imposter at an address. certificate is nil without TLS.
func newImposter(t *testing.T, address, secret string, certificate *tls.Certificate) *imposter {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	key, err := serverkey.New()
	require.NoError(t, err)
	i := &imposter{key: key}
	i.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true)
		i.mu.Lock()
		i.text.Write(dump)
		i.mu.Unlock()
		if r.URL.Path != client.ProofPath {
			_, _ = w.Write([]byte(`{"items": [], "position": "0"}`))
			return
		}
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		p := client.Proof{Address: local, Binding: client.Binding(r.TLS),
			Proof: client.ServerProof(client.HashSecret(secret), r.FormValue("nonce"), local)}
		p.Sign(key, r.FormValue("nonce"))
		_ = json.NewEncoder(w).Encode(p)
	}))
	_ = i.Listener.Close()
	i.Listener = listener
	if certificate == nil {
		i.Start()
	} else {
		i.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		i.StartTLS()
	}
	t.Cleanup(i.Close)
	return i
}

// everyKindOfCommand reads, writes, follows and examines.
var everyKindOfCommand = [][]string{{"get", "machines"}, {"machine", "disable", "web-01"}, {"events", "-f"}, {"doctor"},
	{"token", "create"}, {"eventlog", "backup", "copy.db"}}

func TestListedAddressWithAnotherKeyReceivesNoToken(t *testing.T) {
	t.Parallel()
	for name, secured := range map[string]bool{"TCP": false, "TLS with a valid certificate": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			args, scheme, certificate := []string{"server", "--data", s.data}, "http://", (*tls.Certificate)(nil)
			if secured {
				selfSigned(t, s.Folder, "", "127.0.0.1")
				cert, key := filepath.Join(s.Folder, "cert.pem"), filepath.Join(s.Folder, "key.pem")
				stolen, err := tls.LoadX509KeyPair(cert, key)
				require.NoError(t, err)
				args, scheme, certificate = append(args, "--tls-cert", cert, "--tls-key", key), "https://", &stolen
			}
			p := s.process(args...)
			s.eventually("the server answers", func() bool { _, _, code := s.run("get", "machines"); return code == 0 })
			c := s.contexts().List[0]
			require.NotEmpty(t, c.ServerKey)
			p.End(syscall.SIGTERM)
			<-p.Ended()

			_, secret, _ := strings.Cut(c.Token, ".")
			other := newImposter(t, s.address, secret, certificate)
			for _, command := range everyKindOfCommand {
				for _, flags := range [][]string{nil, {"--server", scheme + s.address}, {"--token", c.Token}} {
					stdout, stderr, code := s.run(append(flags, command...)...)
					require.NotZero(t, code, "%v", command)
					require.Contains(t, stdout+stderr, scheme+s.address+" has the server key "+other.key.String()+
						", not the expected key "+c.ServerKey, "%v", command)
				}
			}
			require.Contains(t, other.received(), client.ProofPath)
			require.NotContains(t, other.received(), secret)
			require.NotContains(t, other.received(), "Authorization")
			require.Equal(t, c.ServerKey, s.contexts().List[0].ServerKey)

			_, stderr, code := s.run("--accept-server", c.ServerKey, "get", "machines")
			require.Equal(t, 4, code, stderr)
			_, stderr, code = s.run("--accept-server", other.key.String()[:40], "get", "machines")
			require.Equal(t, 2, code, stderr)
			require.NotContains(t, other.received(), secret)
			s.ok("--accept-server", other.key.String(), "get", "machines")
			require.Contains(t, other.received(), secret, "the user has accepted exactly this key")
			require.Equal(t, other.key.String(), s.contexts().List[0].ServerKey)
			s.ok("get", "machines")
		})
	}
}

func TestListedAddressWithAnotherCertificateReceivesNoToken(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	selfSigned(t, s.Folder, "", "127.0.0.1")
	p := s.process("server", "--data", s.data, "--tls-cert", filepath.Join(s.Folder, "cert.pem"), "--tls-key",
		filepath.Join(s.Folder, "key.pem"))
	s.eventually("the server answers", func() bool { _, _, code := s.run("get", "machines"); return code == 0 })
	p.End(syscall.SIGTERM)
	<-p.Ended()
	theirs := t.TempDir()
	selfSigned(t, theirs, "", "127.0.0.1")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(theirs, "cert.pem"), filepath.Join(theirs, "key.pem"))
	require.NoError(t, err)
	_, secret, _ := strings.Cut(s.contexts().List[0].Token, ".")
	other := newImposter(t, s.address, secret, &certificate)
	for _, command := range everyKindOfCommand {
		if command[0] == "events" {
			command = []string{"events"} // with -f it waits for another certificate
		}
		stdout, stderr, code := s.run(command...)
		require.NotZero(t, code, "%v", command)
		require.Contains(t, stdout+stderr, "the certificate of https://"+s.address, "%v", command)
	}
	require.Empty(t, other.received(), "nothing is sent after the handshake")
}

func TestUnlistedAddressReceivesNoTokenOfAContext(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	c := s.contexts().List[0]
	_, secret, _ := strings.Cut(c.Token, ".")
	other := newImposter(t, "127.0.0.1:0", secret, nil)
	for _, command := range everyKindOfCommand {
		for _, servers := range []string{other.URL, s.url() + "," + other.URL} {
			stdout, stderr, code := s.run(append([]string{"--server", servers}, command...)...)
			require.NotZero(t, code, "%v", command)
			require.Contains(t, stdout+stderr, other.URL+" is not listed in any of your client contexts", "%v", command)
			require.Contains(t, stdout+stderr, "its server key is "+other.key.String())
		}
	}
	_, _, code := s.run("--server", other.URL, "--accept-server", other.key.String(), "get", "machines")
	require.Equal(t, 4, code, "the token belongs to servers with another key")
	require.NotContains(t, other.received(), secret)
	require.Equal(t, c, s.contexts().List[0])
	s.ok("--server", other.URL, "--token", c.Token, "get", "machines")
	require.Contains(t, other.received(), secret, "the user has named the token")
	require.Equal(t, c, s.contexts().List[0])
}

func TestAnotherServerOfTheClusterIsAddedByItsKey(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	p := s.server()
	second := harnesstest.FreeAddress(t)
	q := s.process("server", "--log", "sqlite:"+filepath.Join(s.data, "drover.db"), "--data",
		filepath.Join(s.Folder, "second"), "--listen", second)
	s.AwaitReady(q, "http://"+second)
	key := s.contexts().List[0].ServerKey
	s.change(func(c *config.Context) { c.Servers = []string{s.url()} }) // as on a machine without a server
	_, stderr, code := s.run("--server", "http://"+second, "get", "servers")
	require.Equal(t, 4, code)
	require.Contains(t, stderr, "it has the same server key as that context: add it with --accept-server "+key)
	s.ok("--server", "http://"+second, "--accept-server", key, "get", "servers")
	require.Equal(t, []string{s.url(), "http://" + second}, s.contexts().List[0].Servers)
	p.End(syscall.SIGKILL)
	<-p.Ended()
	s.ok("get", "servers") // from the second address
}

func TestContextOfAnEarlierVersionPinsTheKeyOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	p := s.server()
	key := s.contexts().List[0].ServerKey
	s.change(func(c *config.Context) { c.ServerKey = "" })
	s.ok("get", "machines")
	require.Equal(t, key, s.contexts().List[0].ServerKey)
	s.change(func(c *config.Context) { c.ServerKey = "dsk_damaged" })
	_, stderr, code := s.run("get", "machines")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `invalid server key "dsk_damaged"`)

	s.change(func(c *config.Context) { c.ServerKey = "" })
	p.End(syscall.SIGTERM)
	<-p.Ended()
	other := newImposter(t, s.address, "another secret", nil)
	_, _, code = s.run("get", "machines")
	require.Equal(t, 4, code)
	require.Empty(t, s.contexts().List[0].ServerKey, "a server that does not know the token is not trusted")
	require.NotContains(t, other.received(), "Authorization")
}

func TestRotatedKeyIsPinnedByItsCommandAndRefusedByOthers(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	p := s.server()
	before := s.contexts().List[0].ServerKey
	require.Equal(t, before, s.ok("server-key", "show"))
	require.Contains(t, s.ok("doctor"), s.url()+" has the server key "+before)
	after := s.ok("server-key", "rotate")
	require.NotEqual(t, before, after)
	require.Equal(t, after, s.contexts().List[0].ServerKey)
	require.Equal(t, after, s.ok("server-key", "show"))
	s.change(func(c *config.Context) { c.ServerKey = before }) // another user, who does not know of the rotation
	_, stderr, code := s.run("get", "machines")
	require.Equal(t, 4, code)
	require.Contains(t, stderr, "--accept-server "+after)
	s.ok("--accept-server", after, "get", "machines")
	s.ok("get", "machines")
	p.End(syscall.SIGTERM)
	<-p.Ended()

	log := "sqlite:" + filepath.Join(s.data, "drover.db")
	require.Equal(t, after, s.ok("server-key", "show", "--log", log))
	last := s.ok("server-key", "rotate", "--log", log)
	require.Equal(t, last, s.ok("server-key", "show", "--log", log))
	s.server()
	s.ok("get", "machines") // a server pins its key for the user who starts it
	require.Equal(t, last, s.contexts().List[0].ServerKey)
}
