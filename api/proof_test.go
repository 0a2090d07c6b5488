package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
)

// challenge asks for a proof without a token.
func (f *fixture) challenge(id, nonce string) (status int, p client.Proof) {
	c := &client.Client{Servers: []string{f.server.URL}}
	_, err := c.Get(f.t.Context(), client.ProofPath, url.Values{"token": {id}, "nonce": {nonce}}, &p)
	if problem := (*client.Problem)(nil); err != nil {
		require.ErrorAs(f.t, err, &problem)
		return problem.Status, p
	}
	return http.StatusOK, p
}

func TestServerProvesThatItKnowsATokenWithoutReceivingIt(t *testing.T) {
	f := newFixture(t)
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	id, secret, _ := strings.Cut(text, ".")
	const nonce = "0123456789abcdef"
	status, p := f.challenge(id, nonce)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, strings.TrimPrefix(f.server.URL, "http://"), p.Address)
	require.Equal(t, client.ServerProof(client.HashSecret(secret), nonce, p.Address), p.Proof)

	_, again := f.challenge(id, nonce+"x")
	require.NotEqual(t, p.Proof, again.Proof, "a proof is valid for one nonce")
	for _, wrong := range []string{"", "short", strings.Repeat("x", 129)} {
		status, _ := f.challenge(id, wrong)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
}

func TestProofDoesNotRevealWhetherATokenExists(t *testing.T) {
	f := newFixture(t)
	const nonce = "0123456789abcdef"
	status, first := f.challenge("0123456789ab", nonce)
	require.Equal(t, http.StatusOK, status)
	_, second := f.challenge("0123456789ab", nonce)
	require.Equal(t, first, second, "as for a token that exists")
	_, other := f.challenge("ba9876543210", nonce)
	require.NotEqual(t, first.Proof, other.Proof)
}

// relay passes connections on to address, and records what clients send.
func relay(t *testing.T, address string) (url string, sent func() string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	var mu sync.Mutex
	var text strings.Builder
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", address)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { defer in.Close(); _, _ = io.Copy(in, out) }()
			go func() {
				defer out.Close()
				_, _ = io.Copy(out, io.TeeReader(in, writerFunc(func(p []byte) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					return text.Write(p)
				})))
			}()
		}
	}()
	return "http://" + listener.Addr().String(), func() string { mu.Lock(); defer mu.Unlock(); return text.String() }
}

// hold accepts one connection at an address and frees the address. When something listens there again, it passes the
// connection on, and records what the client sends.
func hold(t *testing.T) (address string, held <-chan struct{}, sent func() string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = listener.Addr().String()
	accepted := make(chan struct{})
	var mu sync.Mutex
	var text strings.Builder
	go func() {
		in, err := listener.Accept()
		_ = listener.Close()
		if err != nil {
			return
		}
		defer in.Close()
		close(accepted)
		out, err := net.Dial("tcp", address)
		for ; err != nil && t.Context().Err() == nil; out, err = net.Dial("tcp", address) {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			return
		}
		defer out.Close()
		go func() { defer in.Close(); _, _ = io.Copy(in, out) }()
		_, _ = io.Copy(out, io.TeeReader(in, writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return text.Write(p)
		})))
	}()
	return address, accepted, func() string { mu.Lock(); defer mu.Unlock(); return text.String() }
}

func TestConnectionHeldUntilTheServerStartsReceivesNoToken(t *testing.T) {
	f := newFixture(t)
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	_, secret, _ := strings.Cut(text, ".")
	address, held, sent := hold(t)
	c := &client.Client{Servers: []string{"http://" + address}, Token: text}
	got := make(chan error, 1)
	go func() {
		_, err := c.Get(t.Context(), "/machines", nil, nil)
		got <- err
	}()
	<-held
	again := httptest.NewUnstartedServer(f.server.Config.Handler)
	_ = again.Listener.Close()
	require.Eventually(t, func() (ok bool) {
		listener, err := net.Listen("tcp", address)
		again.Listener = listener
		return err == nil
	}, 5*time.Second, time.Millisecond)
	again.Start()
	t.Cleanup(again.Close)
	err := <-got
	require.Equal(t, client.Unauthorised, client.KindOf(err))
	require.ErrorContains(t, err, "another program passes connections on")
	require.Contains(t, sent(), client.ProofPath)
	require.NotContains(t, sent(), secret)
	_, err = c.Get(t.Context(), "/machines", nil, nil)
	require.NoError(t, err, "on its own connection")
}

func TestHandshakeOnAHeldConnectionIsRefused(t *testing.T) {
	f := newFixture(t)
	on := handshake.Connection{Address: f.server.Listener.Addr().String(), Client: "127.0.0.1:1"}
	own := handshake.NewCredential(handshake.AgentName(uuid.NewString()), "secret").Start(on)
	d, answer := f.open(http.Header{handshake.Header: {own.First()}})
	d.conn.CloseNow()
	_, err := own.Answer(answer.Get(handshake.Header))
	require.ErrorIs(t, err, handshake.ErrRelayed)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestClientSendsItsTokenOnlyToAServerThatKnowsIt(t *testing.T) {
	f := newFixture(t)
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	read := func(c *client.Client) string {
		_, err := c.Get(context.Background(), "/machines", nil, nil)
		return client.KindOf(err)
	}
	require.Empty(t, read(&client.Client{Servers: []string{f.server.URL}, Token: text}))

	var mu sync.Mutex
	var got strings.Builder
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = r.Write(&got)
		_, _ = io.WriteString(w, `{"address":"`+r.Host+`","proof":"cHJvb2Y="}`)
	}))
	t.Cleanup(thief.Close)
	_, secret, _ := strings.Cut(text, ".")
	require.Equal(t, client.Unauthorised, read(&client.Client{Servers: []string{thief.URL}, Token: text}))
	for _, nothing := range []string{"no-separator-at-all", text} {
		require.Equal(t, client.Unauthorised, read(&client.Client{Servers: []string{thief.URL}, Token: nothing}))
	}
	mu.Lock()
	require.NotContains(t, got.String(), secret)
	require.NotContains(t, got.String(), "no-separator", "a text of another form is not sent either")
	mu.Unlock()

	require.Empty(t, read(&client.Client{Servers: []string{thief.URL, f.server.URL}, Token: text}),
		"the next server is tried")
}

func TestClientSendsNoTokenToTheUnixSocketOfAnotherProgram(t *testing.T) {
	text := newFixture(t).token(domain.TokenSettings{Scope: domain.ReadScope})
	_, secret, _ := strings.Cut(text, ".")
	folder, err := os.MkdirTemp("", "s") // short enough for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	listener, err := net.Listen("unix", filepath.Join(folder, "s"))
	require.NoError(t, err)
	received := make(chan string, 10)
	thief := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received <- r.URL.String() + r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `{"address":"","proof":"cHJvb2Y="}`)
	}))
	thief.Listener = listener
	thief.Start()
	t.Cleanup(thief.Close)
	c := &client.Client{Servers: []string{client.SocketPrefix + listener.Addr().String()}, Token: text}
	_, err = c.Get(t.Context(), "/machines", nil, nil)
	require.Equal(t, client.Unauthorised, client.KindOf(err))
	require.Len(t, received, 1)
	require.NotContains(t, <-received, secret)
}

func TestClientSendsItsTokenThroughARelayOnlyIfThatIsPermitted(t *testing.T) {
	f := newFixture(t)
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	_, secret, _ := strings.Cut(text, ".")
	address, sent := relay(t, strings.TrimPrefix(f.server.URL, "http://"))
	_, err := (&client.Client{Servers: []string{address}, Token: text}).Get(t.Context(), "/machines", nil, nil)
	require.ErrorContains(t, err, "passes connections on")
	require.Contains(t, sent(), client.ProofPath)
	require.NotContains(t, sent(), secret)
	_, err = (&client.Client{Servers: []string{address}, Token: text, Relayed: true}).Get(t.Context(), "/machines", nil, nil)
	require.NoError(t, err)
	require.Contains(t, sent(), secret)
}
