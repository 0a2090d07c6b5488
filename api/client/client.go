package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/serverkey"
)

// PositionHeader is the header of every response with the log position that the response was read at.
const PositionHeader = "Drover-Position"

// KeyHeader is the header with the idempotency key of a write, which the sender chooses. Writes with the same key are
// executed once.
const KeyHeader = "Idempotency-Key"

// ViaHeader is the header with the channel of a request, such as "cli".
const ViaHeader = "Drover-Via"

// ExpiryHeader is the header of the responses to a token that expires within a week: the time at which it expires.
const ExpiryHeader = "Drover-Token-Expires"

// maxResponseBytes limits the size of a response, except for downloads.
const maxResponseBytes = 256 << 20

// Client is a client of drover's HTTP API. It is safe for concurrent use once its fields are set.
type Client struct {
	// Servers lists server addresses such as http://127.0.0.1:7070 or unix:///PATH. If a server is unavailable, the client tries the
	// next.
	Servers []string
	// Token is sent with every request; empty: no token. Without TLS it is sent only to a server that has proved that it
	// knows the token.
	Token string
	// Relayed accepts a server that is reached through a program that passes connections on, such as a tunnel or a proxy
	// without TLS. Such a program sees the token.
	Relayed bool
	// Key is the server key that a server must prove before it receives the token, with TLS too. The zero key accepts any
	// server that has proved that it knows the token.
	Key serverkey.Public
	// OnProof is called each time a server has proved that it knows the token and has a server key. With TLS too, every
	// server is then asked for the proof, and one of an older version that has none is accepted. May be nil.
	OnProof func(server string, key serverkey.Public)
	// Via is the channel of the requests, such as domain.ViaCLI. Events record it. Empty: domain.ViaAPI.
	Via domain.Via
	// HTTP sends the requests; nil: a default client. Redirects are never followed.
	HTTP *http.Client
	// IdleTimeout limits the wait for the start of a response, after which the client tries the next server. It also
	// limits the time without data on a live stream, after which Follow reconnects. 0: 45 s.
	IdleTimeout time.Duration
	// OnDisconnect is called by Follow when its stream has ended early, before it reconnects. err is nil if the server
	// closed the stream. May be nil.
	OnDisconnect func(err error)
	// OnExpiry is called for each response that says when the token expires, because that is soon. May be nil.
	OnExpiry func(at time.Time)

	last   atomic.Int64 // index of the server that responded last
	mu     sync.Mutex
	proven map[string]http.RoundTripper // by server that must prove itself; guarded by mu
}

// Written is the response to a write.
type Written struct {
	// Position is the position of the last event. Pass it as ?after= to read at or after this position from any server.
	Position string   `json:"position"`
	Events   []string `json:"events"` // names of the events; empty: no change
	Repeat   bool     `json:"repeat"` // the same write was accepted before
	// Deployment is the id of the deployment that was queued, if any.
	Deployment string `json:"deployment,omitempty"`
}

// Get reads path, such as /machines, and decodes the response into the value that into points to, unless into is nil.
// It returns the position of the response.
func (c *Client) Get(ctx context.Context, path string, query url.Values, into any) (position string, err error) {
	return c.call(ctx, request{method: http.MethodGet, path: path, query: query}, into)
}

// Post sends body to path and decodes the response into the value that into points to, unless into is nil. key is the
// idempotency key; if it is empty, Post chooses a new key, so that it can safely try several servers.
func (c *Client) Post(ctx context.Context, path, key string, body, into any) error {
	_, err := c.write(ctx, http.MethodPost, path, key, body, into)
	return err
}

// Write sends a command to path. See Post for key.
func (c *Client) Write(ctx context.Context, path, key string, body any) (Written, error) {
	var written Written
	_, err := c.write(ctx, http.MethodPost, path, key, body, &written)
	return written, err
}

// Delete deletes the resource at path. See Post for key.
func (c *Client) Delete(ctx context.Context, path, key string) (Written, error) {
	var written Written
	_, err := c.write(ctx, http.MethodDelete, path, key, nil, &written)
	return written, err
}

// Download copies the response for path to out without a size limit. A truncated response is an error.
func (c *Client) Download(ctx context.Context, path string, out io.Writer) error {
	response, server, err := c.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	timeout := time.AfterFunc(downloadTimeout, func() { _ = response.Body.Close() })
	defer timeout.Stop()
	var readErr error // distinguishes errors of reading the response from errors of writing to out
	read := readerFunc(func(p []byte) (int, error) {
		n, err := response.Body.Read(p)
		timeout.Reset(downloadTimeout)
		if readErr = err; errors.Is(err, io.EOF) {
			readErr = nil
		}
		return n, err
	})
	n, err := io.Copy(out, read)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case readErr != nil:
		return &Problem{Title: "Connection lost", Kind: Unavailable,
			Detail: fmt.Sprintf("the response from %s was cut off after %d bytes: %v", server, n, reason(readErr)),
			Hint:   "try again; see the server's log for details", cause: readErr}
	case err != nil:
		return fmt.Errorf("write the response from %s: %w", server, err)
	}
	return nil
}

// downloadTimeout is how long a download may receive no data.
const downloadTimeout = 2 * time.Minute

type readerFunc func(p []byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (c *Client) write(ctx context.Context, method, path, key string, body, into any) (string, error) {
	if key == "" {
		key = uuid.NewString()
	}
	r := request{method: method, path: path, key: key}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return "", fmt.Errorf("encode the body for %s: %w", path, err)
		}
		r.body = text
	}
	return c.call(ctx, r, into)
}

// Path escapes and joins path segments: Path("projects", "shop") is "/projects/shop".
func Path(segments ...string) string {
	var b strings.Builder
	for _, segment := range segments {
		escaped := url.PathEscape(segment)
		if strings.Trim(segment, ".") == "" {
			escaped = strings.Repeat("%2E", len(segment)) // a dot segment would change the path
		}
		b.WriteString("/" + escaped)
	}
	return b.String()
}

type request struct {
	method, path, key, accept string
	query                     url.Values
	body                      []byte
	lastEvent                 string
}

// call sends a request and decodes the response.
func (c *Client) call(ctx context.Context, r request, into any) (position string, err error) {
	response, server, err := c.send(ctx, r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes+1))
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", connectionProblem(server, err)
	case len(text) > maxResponseBytes:
		return "", &Problem{Title: "Response too large", Kind: Internal,
			Detail: fmt.Sprintf("the response from %s is larger than %d bytes", server, maxResponseBytes),
			Hint:   "use a smaller limit"}
	}
	return response.Header.Get(PositionHeader), decode(server, text, into)
}

func decode(server string, text []byte, into any) error {
	if plain, ok := into.(*string); ok {
		*plain = string(text)
		return nil
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return &Problem{Title: "Invalid response", Kind: Internal,
			Detail: fmt.Sprintf("invalid response from %s: %v", server, err),
			Hint:   "check that client and server have the same version", cause: err}
	}
	return nil
}

// send sends a request to one server after another, beginning with the one that responded last. It tries the next
// server only if the result is a problem of kind Unavailable. It returns the successful response, or the problem from
// the last server that it tried. A write has an idempotency key, so sending it to another server is safe even if the
// first server has executed it.
func (c *Client) send(ctx context.Context, r request) (*http.Response, string, error) {
	if len(c.Servers) == 0 {
		return nil, "", &Problem{Title: "No server", Kind: Unavailable, Detail: "no server is configured",
			Hint: "use --server URL, or start `drover server` here once"}
	}
	first := int(c.last.Load())
	var problem error
	for i := range c.Servers {
		at := (first + i) % len(c.Servers)
		response, err := c.sendTo(ctx, c.Servers[at], r)
		if err == nil {
			c.last.Store(int64(at))
			return response, c.Servers[at], nil
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		problem = err
		if KindOf(err) != Unavailable && !errors.Is(err, errUnproven) {
			break
		}
	}
	return nil, "", problem
}

func (c *Client) sendTo(ctx context.Context, server string, r request) (*http.Response, error) {
	waiting, cancel := context.WithCancel(ctx)
	req, err := c.request(waiting, server, r)
	if err != nil {
		cancel()
		return nil, err
	}
	if !slow[r.path] {
		defer time.AfterFunc(cmp.Or(c.IdleTimeout, defaultIdleTimeout), cancel).Stop()
	}
	response, err := c.http(server).Do(req)
	if err != nil {
		defer cancel()
		return nil, orTimeout(waiting, ctx, server, connectionProblem(server, err))
	}
	response.Body = &body{response.Body, cancel}
	if at, err := time.Parse(time.RFC3339, response.Header.Get(ExpiryHeader)); err == nil && c.OnExpiry != nil {
		c.OnExpiry(at)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return nil, problemOf(server, response, body)
}

// slow contains the paths for which a server may take a long time to respond.
var slow = map[string]bool{"/log/verify": true, "/log/export": true, "/log/backup": true, "/apply": true}

// body is the body of a response. Close also cancels the context of the request.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body and cancels the context of the request.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func (c *Client) request(ctx context.Context, server string, r request) (*http.Request, error) {
	base, err := baseURL(server)
	if err != nil {
		return nil, err
	}
	path := r.path
	if !strings.HasPrefix(path, "/api/") && !rootPaths[path] {
		path = "/api/v1" + path
	}
	address := base + path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, &Problem{Title: "Invalid request", Kind: Invalid, Detail: err.Error(), cause: err}
	}
	headers := map[string]string{KeyHeader: r.key, ViaHeader: string(c.Via), "Accept": r.accept,
		"Last-Event-ID": r.lastEvent}
	for header, value := range headers {
		if value != "" {
			req.Header.Set(header, value)
		}
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return req, nil
}

// baseURL returns the URL that the paths of requests are appended to. On a Unix socket the host has no meaning.
func baseURL(server string) (string, error) {
	if _, ok := SocketPath(server); ok {
		return "http://localhost", nil
	}
	if err := CheckSocket(server); err != nil {
		return "", &Problem{Title: "Invalid address", Kind: Invalid, Detail: err.Error(), cause: err}
	}
	if err := CheckURL(server); err != nil {
		return "", &Problem{Title: "Invalid address", Kind: Invalid, Detail: err.Error(), cause: err}
	}
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return "", &Problem{Title: "Invalid address", Kind: Invalid,
			Detail: fmt.Sprintf("invalid server address %.200q", server),
			Hint:   "write it as http://HOST:PORT or https://HOST:PORT", cause: errors.Join(err)}
	}
	return strings.TrimSuffix(server, "/"), nil
}

// rootPaths contains the paths that are not under /api/v1.
var rootPaths = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

// http returns an HTTP client that follows no redirects, so that the token is sent only to the configured servers.
func (c *Client) http(server string) *http.Client {
	h := http.Client{}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	path, isSocket := SocketPath(server)
	switch {
	case c.mustProve(server):
		h.Transport = c.provenTransport(server, h.Transport)
	case isSocket:
		h = *SocketClient(path)
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &h
}

// mustProve reports whether a server must prove itself before it receives a request. With TLS its certificate is
// sufficient, unless its key matters.
func (c *Client) mustProve(server string) bool {
	return c.Token != "" && (!hasTLS(server) || !c.Key.IsZero() || c.OnProof != nil)
}

// provenTransport returns the transport for a server that must prove itself. It has the settings of base, except that
// without TLS it uses no proxy, and that its connections are proven.
func (c *Client) provenTransport(server string, base http.RoundTripper) http.RoundTripper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.proven[server]; t != nil {
		return t
	}
	if c.proven == nil {
		c.proven = map[string]http.RoundTripper{}
	}
	c.proven[server] = c.newProvenTransport(server, base)
	return c.proven[server]
}

func (c *Client) newProvenTransport(server string, base http.RoundTripper) http.RoundTripper {
	settings, ok := base.(*http.Transport)
	if !ok {
		settings, _ = http.DefaultTransport.(*http.Transport)
	}
	t := settings.Clone()
	p := prover{server: server, token: c.Token, relayed: c.Relayed, key: c.Key, dial: t.DialContext}
	if c.OnProof != nil {
		p.proven = func(key serverkey.Public) { c.OnProof(server, key) }
	}
	if p.dial == nil {
		p.dial = (&net.Dialer{}).DialContext
	}
	path, isSocket := SocketPath(server)
	switch {
	case isSocket:
		p.relayed, p.dial = true, dialSocket(path) // a socket has no address that could be compared
	case hasTLS(server):
		if usesProxy(t, server) {
			return &proxied{prover: p, base: t}
		}
		if p.tls = t.TLSClientConfig; p.tls == nil {
			p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		t.Proxy, t.DialTLSContext = nil, p.dialContext
		return t
	}
	t.Proxy, t.DialContext = nil, p.dialContext
	return t
}

// usesProxy reports whether a transport reaches a server through an HTTP proxy.
func usesProxy(t *http.Transport, server string) bool {
	if t.Proxy == nil {
		return false
	}
	request, err := http.NewRequest(http.MethodGet, server, nil)
	if err != nil {
		return false
	}
	proxy, err := t.Proxy(request)
	return proxy != nil || err != nil
}
