package agents

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
)

// Accept opens the WebSocket of an agent. The session goes on in a goroutine of its own, so that nothing of the
// request stays in memory: agents are many, and most of them send only heartbeats for hours. It returns an error only if
// nothing was answered.
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request) error {
	if !h.gate.Enter() {
		return problem.Unavailable("this server is shutting down")
	}
	conn, err := websocket.Accept(lean{w}, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		h.gate.Leave()
		return nil // the library has answered
	}
	go h.attend(conn, r.RemoteAddr)
	return nil
}

// attend runs a session from its hello to its end.
func (h *Hub) attend(conn *websocket.Conn, remote string) {
	defer h.gate.Leave()
	defer conn.CloseNow()
	defer h.survive(remote)
	conn.SetReadLimit(maxHelloBytes)
	ctx := context.Background()
	s := h.receive(ctx, conn, remote)
	if s == nil {
		return
	}
	defer h.sessions.drop(s)
	defer s.leave()
	conn.SetReadLimit(client.MaxMessageBytes)
	s.listen(ctx)
}

// receive lets an agent in, or says why not.
func (h *Hub) receive(ctx context.Context, conn *websocket.Conn, remote string) *session {
	hello, refused := h.hello(ctx, conn)
	var s *session
	if refused == nil {
		s, refused = h.admit(ctx, conn, remote, hello)
	}
	if refused != nil {
		h.cfg.Access.Refused(remote, bounded(hello.Machine), bounded(refused.Reason))
		h.turnAway(ctx, conn, hello.Machine, *refused)
		return nil
	}
	h.cfg.Access.Forgive(s.machine)
	return s
}

// survive keeps a panic in one session from ending the server.
func (h *Hub) survive(remote string) {
	if fault := recover(); fault != nil {
		h.log.Error("session failed by a fault of this server", zap.String("remote", remote),
			zap.Any("fault", fault), zap.Stack("stack"))
	}
}

// Buffers of an agent's connection: messages are short.
const (
	readBuffer  = 512
	writeBuffer = 1 << 10
)

// lean hijacks a connection with buffers of that size, instead of 4 KB each.
type lean struct{ http.ResponseWriter }

// Hijack takes the connection over.
func (l lean) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err != nil || buffered.Reader.Buffered() > 0 { // what was read ahead must not be lost
		return conn, buffered, err
	}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, readBuffer), bufio.NewWriterSize(conn, writeBuffer)), nil
}

// Bounds of the first message of a connection, which says who the agent is.
const (
	helloWithin   = 15 * time.Second
	maxHelloBytes = 1 << 20
)

func (h *Hub) hello(ctx context.Context, conn *websocket.Conn) (client.Hello, *client.Refused) {
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	_, text, err := conn.Read(ctx)
	var m client.FromAgent
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil || m.Hello == nil {
		return client.Hello{}, &client.Refused{Reason: "the first message must be a hello"}
	}
	return *m.Hello, nil
}

func (h *Hub) turnAway(ctx context.Context, conn *websocket.Conn, machine string, r client.Refused) {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	h.log.Info("agent refused", zap.String("machine", bounded(machine)), zap.String("reason", r.Reason),
		zap.Bool("final", r.Final))
	if sendTo(ctx, conn, client.ToAgent{Refused: &r}) == nil {
		_ = conn.Close(websocket.StatusPolicyViolation, "refused")
	}
}
