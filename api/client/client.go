package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/google/uuid"
)

// PositionHeader is the header in which every answer says where the log stood.
const PositionHeader = "Drover-Position"

// KeyHeader is the header with the id that the sender of a write chose. The same write under the same
// key is done once.
const KeyHeader = "Idempotency-Key"

// ViaHeader says what the sender of a request is, such as "cli".
const ViaHeader = "Drover-Via"

// maxAnswerBytes bounds what is read of one answer.
const maxAnswerBytes = 256 << 20

// Client speaks to drover's HTTP API. It may be used from many goroutines once its fields are set.
type Client struct {
	// Servers are addresses such as http://127.0.0.1:7070; the next is tried where one does not answer.
	Servers []string
	// Token is sent with every request; empty: none.
	Token string
	// Via is what the sender is, such as domain.ViaCLI; events record it. Empty: any program.
	Via domain.Via
	// HTTP carries the requests; nil: http.DefaultClient. Redirects are never followed.
	HTTP *http.Client
	// Silence is how long a server may take to begin its answer before the next one is asked, and a live stream
	// may bring nothing before Follow connects anew; 0: 45 s.
	Silence time.Duration
	// Lost is told by Follow whenever its stream has broken off, before it connects anew; err is nil where the server
	// ended it in order. May be nil.
	Lost func(err error)

	last atomic.Int64 // index of the server that answered last
}

// Written is the answer to a write.
type Written struct {
	// Position is that of the last event written; pass it as ?after= to see it on any server.
	Position string   `json:"position"`
	Events   []string `json:"events"` // empty: no change
	Repeat   bool     `json:"repeat"` // the same write had been accepted before
	// Deployment is the one that was queued, if any.
	Deployment string `json:"deployment,omitempty"`
}

// Get reads path, such as /machines, into what into points to; nil passes over the answer. It returns
// the position that the answer was given at.
func (c *Client) Get(ctx context.Context, path string, query url.Values, into any) (position string, err error) {
	return c.call(ctx, request{method: http.MethodGet, path: path, query: query}, into)
}

// Post writes body to path and reads the answer into what into points to. key makes a repeat of
// the same write harmless; empty: a new one is chosen, under which this call itself may repeat.
func (c *Client) Post(ctx context.Context, path, key string, body, into any) error {
	_, err := c.write(ctx, http.MethodPost, path, key, body, into)
	return err
}

// Write posts what is answered by Written: every command.
func (c *Client) Write(ctx context.Context, path, key string, body any) (Written, error) {
	var written Written
	_, err := c.write(ctx, http.MethodPost, path, key, body, &written)
	return written, err
}

// Delete deletes what path names.
func (c *Client) Delete(ctx context.Context, path, key string) (Written, error) {
	var written Written
	_, err := c.write(ctx, http.MethodDelete, path, key, nil, &written)
	return written, err
}

// Download copies path to out, however large it is. An answer that was cut off is an error.
func (c *Client) Download(ctx context.Context, path string, out io.Writer) error {
	answer, server, err := c.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	stalled := time.AfterFunc(stall, func() { _ = answer.Body.Close() })
	defer stalled.Stop()
	var lost error // what reading came to; a full disk here is not the server's fault
	read := readerFunc(func(p []byte) (int, error) {
		n, err := answer.Body.Read(p)
		stalled.Reset(stall)
		if lost = err; errors.Is(err, io.EOF) {
			lost = nil
		}
		return n, err
	})
	n, err := io.Copy(out, read)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lost != nil:
		return &Problem{Title: "Cut off", Kind: Unavailable, Detail: fmt.Sprintf("the answer of %s was cut off after %d bytes: %v", server, n, bare(lost)),
			Hint: "try again; the server's own log may say more", cause: lost}
	case err != nil:
		return fmt.Errorf("write what %s answers: %w", server, err)
	}
	return nil
}

// stall is how long a download may stand still before it counts as cut off.
const stall = 2 * time.Minute

type readerFunc func(p []byte) (int, error)

// Read is the function itself.
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

// Path joins escaped segments: Path("projects", "shop").
func Path(segments ...string) string {
	var b strings.Builder
	for _, segment := range segments {
		escaped := url.PathEscape(segment)
		if strings.Trim(segment, ".") == "" {
			escaped = strings.Repeat("%2E", len(segment)) // or it would be a way to another place
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

// call tries one server after another, beginning with the one that answered last. A write carries its
// key, so it may be sent to the next although the first may have done it.
func (c *Client) call(ctx context.Context, r request, into any) (position string, err error) {
	answer, server, err := c.send(ctx, r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", unreached(server, err)
	case len(text) > maxAnswerBytes:
		return "", &Problem{Title: "Answer too large", Kind: Internal, Detail: fmt.Sprintf("the answer of %s is larger than %d bytes", server, maxAnswerBytes), Hint: "use a smaller limit"}
	}
	return answer.Header.Get(PositionHeader), decode(server, text, into)
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
		return &Problem{Title: "Answer not understood", Kind: Internal, Detail: fmt.Sprintf("%s answered what this client cannot read: %v", server, err),
			Hint: "are client and server of one version?", cause: err}
	}
	return nil
}

// send returns the first answer that is a success, else the problem of the last server tried.
func (c *Client) send(ctx context.Context, r request) (*http.Response, string, error) {
	if len(c.Servers) == 0 {
		return nil, "", &Problem{Title: "No server", Kind: Unavailable, Detail: "no server is named", Hint: "use --server URL, or start `drover server` here once"}
	}
	first := int(c.last.Load())
	var problem error
	for i := range c.Servers {
		at := (first + i) % len(c.Servers)
		answer, err := c.sendTo(ctx, c.Servers[at], r)
		if err == nil {
			c.last.Store(int64(at))
			return answer, c.Servers[at], nil
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		problem = err
		if KindOf(err) != Unavailable {
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
		defer time.AfterFunc(cmp.Or(c.Silence, silence), cancel).Stop()
	}
	answer, err := c.http().Do(req)
	if err != nil {
		defer cancel()
		return nil, silenced(waiting, ctx, server, unreached(server, err))
	}
	answer.Body = &body{answer.Body, cancel}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 8<<20))
	return nil, asProblem(server, answer, body)
}

// slow are the paths on which a server may work for long before it answers.
var slow = map[string]bool{"/log/verify": true, "/log/export": true, "/log/backup": true, "/apply": true}

// body is that of an answer; closing it frees what the request held.
type body struct {
	io.ReadCloser
	free context.CancelFunc
}

// Close ends the reading.
func (b *body) Close() error {
	defer b.free()
	return b.ReadCloser.Close()
}

func (c *Client) request(ctx context.Context, server string, r request) (*http.Request, error) {
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &Problem{Title: "Bad address", Kind: Invalid, Detail: fmt.Sprintf("invalid server address %.200q", server),
			Hint: "write it as http://HOST:PORT or https://HOST:PORT", cause: errors.Join(err)}
	}
	path := r.path
	if !strings.HasPrefix(path, "/api/") && !outside[path] {
		path = "/api/v1" + path
	}
	address := strings.TrimSuffix(server, "/") + path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, &Problem{Title: "Bad request", Kind: Invalid, Detail: err.Error(), cause: err}
	}
	for header, value := range map[string]string{KeyHeader: r.key, "Accept": r.accept, "Last-Event-ID": r.lastEvent, ViaHeader: string(c.Via)} {
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

// outside are the paths that are not under /api/v1.
var outside = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

// http is the carrier, less redirects: a token goes to the named servers alone.
func (c *Client) http() *http.Client {
	carrier := http.Client{}
	if c.HTTP != nil {
		carrier = *c.HTTP
	}
	carrier.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &carrier
}
