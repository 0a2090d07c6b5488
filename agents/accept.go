package agents

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
)

// Accept opens the WebSocket of an agent. The session runs in its own goroutine, so that the memory of the request can
// be freed: there are many agents, and most of them send only heartbeats for hours. protected reports
// whether nobody else can read the connection. Accept returns an error only if it has not written a response.
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request, protected bool) error {
	if !h.gate.Enter() {
		return problem.Unavailable("this server is shutting down")
	}
	budget, ok := h.unproven.enter(r.RemoteAddr)
	if !ok {
		h.gate.Leave()
		h.limited.add(UnprovenLimit)
		return errTooManyUnproven
	}
	g := h.greet(w.Header(), r)
	g.protected, g.budget = protected, budget
	conn, err := websocket.Accept(smallBuffers{w}, r,
		&websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		budget.release()
		h.gate.Leave()
		return nil // the library has written the response
	}
	go h.serve(conn, g)
	return nil
}

// serve runs a session from its hello to its end.
func (h *Hub) serve(conn *websocket.Conn, g greeting) {
	defer h.gate.Leave()
	defer g.budget.release()
	defer conn.CloseNow()
	defer h.recoverPanic(g.remote)
	conn.SetReadLimit(maxHelloBytes)
	s, first := h.openSession(conn, g)
	if s == nil {
		return
	}
	defer h.sessions.drop(s)
	defer s.markLeft()
	s.assumeConditions()
	s.readMessages(first)
}

// openSession reads the hello and admits the agent. It returns the session and the read of its first message. If the
// agent is not admitted, it sends the refusal and returns nil.
func (h *Hub) openSession(conn *websocket.Conn, g greeting) (*session, *earlyRead) {
	ctx, left := context.WithCancel(context.Background())
	defer left()
	hello, refused, err := h.hello(ctx, conn, g.budget)
	if err != nil { // the agent did not accept this server, or is gone
		h.log.Debug("agent left before its hello", zap.String("remote", g.remote), zap.Error(err))
		return nil, nil
	}
	first := readEarly(conn, left)
	var s *session
	if refused == nil {
		s, refused = h.admit(ctx, conn, g, hello)
	}
	switch {
	case refused == nil:
		h.cfg.Access.ClearRefusals(s.machine)
		return s, first
	case ctx.Err() != nil: // nobody is there to be refused
		h.logOfStranger(g).Info("agent left before its welcome", zap.String("machine", bounded(hello.Machine)),
			zap.String("remote", g.remote))
		return nil, nil
	}
	if h.cutOff() == nil { // else it is no fault of the agent
		h.cfg.Access.RecordRefusal(g.remote, bounded(hello.Machine), bounded(refused.Reason))
	}
	h.logOfStranger(g).Info("agent refused", zap.String("machine", bounded(hello.Machine)),
		zap.String("reason", bounded(refused.Reason)), zap.Bool("final", refused.Final))
	h.sendRefusal(ctx, conn, *refused)
	return nil, nil
}

// earlyRead is the read of the first message after the welcome. It begins while the agent is admitted, to notice that the
// agent leaves because that takes too long. Otherwise the late admission would take the session away from the server
// that the agent is connected to by then, and the machine would be silent here.
type earlyRead struct {
	text []byte
	err  error
	done chan struct{}
}

// readEarly starts the read. It calls left if the connection ends.
func readEarly(conn *websocket.Conn, left context.CancelFunc) *earlyRead {
	e := &earlyRead{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		if _, e.text, e.err = conn.Read(context.Background()); e.err != nil {
			left()
		}
	}()
	return e
}

// wait returns what was read.
func (e *earlyRead) wait() ([]byte, error) {
	<-e.done
	return e.text, e.err
}

// recoverPanic recovers from a panic in one session, so that the server keeps running.
func (h *Hub) recoverPanic(remote string) {
	if fault := recover(); fault != nil {
		h.reportPanic(remote, fault)
	}
}

// reportPanic logs a panic in the session of an agent. agent is its machine or its address.
func (h *Hub) reportPanic(agent string, fault any) {
	h.log.Error("internal error in an agent session", zap.String("agent", agent), zap.Any("fault", fault),
		zap.Stack("stack"))
}

// Buffer sizes of an agent's connection. Messages are short.
const (
	readBuffer  = 512
	writeBuffer = 1 << 10
)

// smallBuffers makes Hijack use these buffer sizes instead of 4 KB each.
type smallBuffers struct{ http.ResponseWriter }

// Hijack takes over the connection.
func (l smallBuffers) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err != nil || buffered.Reader.Buffered() > 0 { // buffered input must not be lost
		return conn, buffered, err
	}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, readBuffer), bufio.NewWriterSize(conn, writeBuffer)), nil
}

// helloTimeout bounds the time until the first message of a connection, the hello, has arrived.
const helloTimeout = 15 * time.Second

// hello reads the first message, which must be a hello. It returns an error if the agent sent none.
func (h *Hub) hello(ctx context.Context, conn *websocket.Conn, b *helloBudget) (client.Hello, *client.Refused,
	error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	text, err := readHello(ctx, conn, b)
	if errors.Is(err, errHelloMemory) {
		h.limited.add(UnprovenLimit)
	}
	if err != nil {
		return client.Hello{}, nil, err
	}
	var m client.FromAgent
	if json.Unmarshal(text, &m) != nil || m.Hello == nil {
		return client.Hello{}, &client.Refused{Reason: "the first message must be a hello"}, nil
	}
	return *m.Hello, nil, nil
}

// logOfStranger returns the logger for a line about a connection that has proved nothing. Its network has a limit.
func (h *Hub) logOfStranger(g greeting) *zap.Logger {
	return h.lines.Logger(h.log, "network "+access.NetworkOf(g.remote).String())
}

// logOf returns the logger for a line that the agent of a machine causes. Each machine has a limit.
func (h *Hub) logOf(machine string) *zap.Logger { return h.lines.Logger(h.log, "machine "+machine) }

// sendRefusal sends a refusal and closes the connection.
func (h *Hub) sendRefusal(ctx context.Context, conn *websocket.Conn, r client.Refused) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if sendTo(ctx, conn, client.ToAgent{Refused: &r}) == nil {
		_ = conn.Close(websocket.StatusPolicyViolation, "refused")
	}
}
