package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
)

// line is one open connection to a server. One goroutine may send and one receive at a time.
type line interface {
	Send(ctx context.Context, m client.FromAgent) error
	// Receive returns the next message that it understands; an error means that the
	// connection is over.
	Receive(ctx context.Context) (client.ToAgent, error)
	// Ping returns when the server has answered; it needs a Receive under way.
	Ping(ctx context.Context) error
	// Close ends the connection in order; Drop at once.
	Close()
	Drop()
}

// dialer opens a line to the agents' door of a server.
type dialer func(ctx context.Context, address string) (line, error)

// maxOddMessages bounds how many messages of a connection are complained about.
const maxOddMessages = 10

// webSocketLine is a line over a WebSocket.
type webSocketLine struct {
	conn *websocket.Conn
	log  *zap.Logger
	odd  int
}

// dialWebSocket makes the dialer for a configuration.
func dialWebSocket(c Config) (dialer, error) {
	secure, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	t := &trust{config: c, now: secure, carrier: carrier(secure)}
	return func(ctx context.Context, address string) (line, error) {
		conn, answer, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: t.renewed()})
		if err != nil {
			return nil, dialError(address, answer, err)
		}
		conn.SetReadLimit(client.MaxMessageBytes)
		return &webSocketLine{conn: conn, log: c.Logger}, nil
	}, nil
}

// trust follows the file of authorities: an agent runs for longer than certificates are good for.
type trust struct {
	config  Config
	now     *tls.Config
	carrier *http.Client
}

func carrier(secure *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure}}
}

// renewed trusts what the file holds now; if that is nothing, what it held before.
func (t *trust) renewed() *http.Client {
	secure, err := t.config.tlsConfig()
	switch {
	case err != nil:
		t.config.Logger.Warn("the authorities are those from before", zap.Error(err))
	case secure.RootCAs != nil && !secure.RootCAs.Equal(t.now.RootCAs):
		t.now, t.carrier = secure, carrier(secure)
	}
	return t.carrier
}

// dialError is what is worth telling of why there is no connection.
func dialError(address string, answer *http.Response, err error) error {
	server := strings.TrimSuffix("http"+strings.TrimPrefix(address, "ws"), client.AgentPath)
	if answer != nil && answer.Body != nil {
		if start, _ := io.ReadAll(io.LimitReader(answer.Body, 200)); client.PlainToTLS(string(start)) {
			return fmt.Errorf("%s speaks TLS; write https:// instead of http:// in --server", server)
		}
	}
	if detail, hint := client.Misled(server, err); detail != "" {
		return fmt.Errorf("%s; %s", detail, hint)
	}
	if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the server answered %s; is it a drover server?", answer.Status)
	}
	text := strings.TrimPrefix(err.Error(), "failed to WebSocket dial: ")
	return fmt.Errorf("%.300s", strings.TrimPrefix(text, "failed to send handshake request: "))
}

func (l *webSocketLine) Send(ctx context.Context, m client.FromAgent) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return l.conn.Write(ctx, websocket.MessageText, text)
}

func (l *webSocketLine) Receive(ctx context.Context) (client.ToAgent, error) {
	for {
		_, text, err := l.conn.Read(ctx)
		if err != nil {
			return client.ToAgent{}, err
		}
		var m client.ToAgent
		err = json.Unmarshal(text, &m)
		if err == nil && m != (client.ToAgent{}) {
			return m, nil
		}
		l.complain(text, err)
	}
}

// complain says that a message was passed over, without its content.
func (l *webSocketLine) complain(text []byte, err error) {
	if l.odd++; l.odd > maxOddMessages {
		return
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields)
	names := fmt.Sprintf("%.100q", slices.Sorted(maps.Keys(fields)))
	l.log.Warn("a message was passed over because this agent does not know it", zap.String("message", names),
		zap.Int("bytes", len(text)), zap.Error(err))
}

func (l *webSocketLine) Ping(ctx context.Context) error { return l.conn.Ping(ctx) }

func (l *webSocketLine) Close() { _ = l.conn.Close(websocket.StatusNormalClosure, "") }

func (l *webSocketLine) Drop() { _ = l.conn.CloseNow() }
