package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
)

// connection is an open connection to a server. One goroutine can send while another one receives.
type connection interface {
	Send(ctx context.Context, m client.FromAgent) error
	// Receive returns the next supported message. An error means that the connection is closed.
	Receive(ctx context.Context) (client.ToAgent, error)
	// Ping sends a ping and waits for the server's answer. Another goroutine must be calling Receive.
	Ping(ctx context.Context) error
	// Close closes the connection with a handshake; Drop closes it immediately.
	Close()
	Drop()
}

// dialer connects to the agent endpoint of a server. It calls start with the open connection and the headers of the
// request, before it sends the request, and returns the headers of the answer.
type dialer func(ctx context.Context, address string,
	start func(net.Conn, http.Header)) (connection, http.Header, error)

// maxProblemBytes bounds how much is read of a response that refuses a connection.
const maxProblemBytes = 4 << 10

// maxUnsupported bounds how many unsupported messages of one connection are logged.
const maxUnsupported = 10

// webSocketConn is a connection over a WebSocket.
type webSocketConn struct {
	conn        *websocket.Conn
	log         *zap.Logger
	unsupported int
}

// dialWebSocket returns the dialer for a configuration.
func dialWebSocket(c Config) (dialer, error) {
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	t := &files{config: c, now: tlsConfig, httpClient: httpClient(tlsConfig)}
	return func(ctx context.Context, address string, start func(net.Conn, http.Header)) (connection, http.Header, error) {
		endpoint, httpClient := t.endpoint(address)
		options := &websocket.DialOptions{HTTPClient: &http.Client{
			Transport:     starting{httpClient.Transport, start},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		conn, answer, err := websocket.Dial(ctx, endpoint, options)
		if err != nil {
			return nil, nil, dialError(address, answer, err)
		}
		conn.SetReadLimit(client.MaxMessageBytes)
		return &webSocketConn{conn: conn, log: c.Logger}, answer.Header, nil
	}, nil
}

// files reloads the files of certificates before each connection, because an agent can run for longer than a
// certificate is valid.
type files struct {
	config     Config
	now        *tls.Config
	httpClient *http.Client
}

// endpoint returns the URL of the WebSocket at address, and the client that can reach it.
func (t *files) endpoint(address string) (string, *http.Client) {
	if path, ok := client.SocketPath(address); ok {
		return "ws://localhost" + client.AgentPath, client.SocketClient(path)
	}
	return address, t.reload()
}

func httpClient(tlsConfig *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig}}
}

// reload returns an HTTP client that uses what is now in the files. If one is unreadable or invalid, the client uses
// their previous versions.
func (t *files) reload() *http.Client {
	tlsConfig, err := t.config.tlsConfig()
	switch {
	case err != nil:
		t.config.Logger.Warn("could not reload the certificates; using the previous ones", zap.Error(err))
	case !sameFiles(tlsConfig, t.now):
		t.now, t.httpClient = tlsConfig, httpClient(tlsConfig)
	}
	return t.httpClient
}

// sameFiles reports whether two configurations were read from files with the same contents.
func sameFiles(a, b *tls.Config) bool {
	return (a.RootCAs == nil) == (b.RootCAs == nil) && (a.RootCAs == nil || a.RootCAs.Equal(b.RootCAs)) &&
		slices.EqualFunc(a.Certificates, b.Certificates,
			func(a, b tls.Certificate) bool { return a.Leaf.Equal(b.Leaf) })
}

// serverURL returns the URL of a server as people write it, for messages.
func serverURL(address string) string {
	server := strings.TrimSuffix(address, client.AgentPath)
	if rest, ok := strings.CutPrefix(server, "ws"); ok {
		server = "http" + rest
	}
	return server
}

// dialError returns the error that explains why a connection attempt failed.
func dialError(address string, answer *http.Response, err error) error {
	server := serverURL(address)
	if answer != nil && answer.Body != nil {
		start, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblemBytes))
		if client.IsPlainHTTPToTLS(string(start)) {
			return fmt.Errorf("%s uses TLS; use https:// instead of http:// in --server", server)
		}
		problem := &client.Problem{}
		if answer.Header.Get("Content-Type") == client.ProblemType && json.Unmarshal(start, problem) == nil {
			return fmt.Errorf("%s refused the connection: %w", server, problem)
		}
	}
	if refused := (*net.OpError)(nil); errors.As(err, &refused) && refused.Op == "remote error" {
		return fmt.Errorf("%s refused the TLS connection (%w); if it verifies client certificates, check the file that "+
			"--tls-cert names", server, refused)
	}
	if detail, hint := client.ExplainConfiguration(server, err); detail != "" {
		return fmt.Errorf("%s; %s", detail, hint)
	}
	if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the server answered %s; is it a drover server?", answer.Status)
	}
	text := strings.TrimPrefix(err.Error(), "failed to WebSocket dial: ")
	return &attemptError{text: fmt.Sprintf("%.300s", strings.TrimPrefix(text, "failed to send handshake request: ")),
		broken: isBroken(err)}
}

// attemptError is the error of an attempt to connect, without what the library adds to it.
type attemptError struct {
	text   string
	broken bool // see isBroken
}

func (e *attemptError) Error() string { return e.text }

func (l *webSocketConn) Send(ctx context.Context, m client.FromAgent) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return l.conn.Write(ctx, websocket.MessageText, text)
}

func (l *webSocketConn) Receive(ctx context.Context) (client.ToAgent, error) {
	for {
		_, text, err := l.conn.Read(ctx)
		if err != nil {
			return client.ToAgent{}, closeReason(err)
		}
		var m client.ToAgent
		err = json.Unmarshal(text, &m)
		if err == nil && m != (client.ToAgent{}) {
			return m, nil
		}
		l.logUnsupported(text, err)
	}
}

// closeReason returns the server's reason for closing the connection, or err if the server sent none.
func closeReason(err error) error {
	var closed websocket.CloseError
	if errors.As(err, &closed) && closed.Reason != "" {
		return fmt.Errorf("closed by the server: %s", closed.Reason)
	}
	return err
}

// logUnsupported logs that a message was ignored, without its content.
func (l *webSocketConn) logUnsupported(text []byte, err error) {
	if l.unsupported++; l.unsupported > maxUnsupported {
		return
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields)
	names := fmt.Sprintf("%.100q", slices.Sorted(maps.Keys(fields)))
	l.log.Warn("ignored an unsupported message", zap.String("message", names),
		zap.Int("bytes", len(text)), zap.Error(err))
}

func (l *webSocketConn) Ping(ctx context.Context) error { return l.conn.Ping(ctx) }

func (l *webSocketConn) Close() { _ = l.conn.Close(websocket.StatusNormalClosure, "") }

func (l *webSocketConn) Drop() { _ = l.conn.CloseNow() }
