package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/problem"
)

const (
	// keepAliveInterval is how long a live stream may be silent before the server sends a comment.
	keepAliveInterval = 15 * time.Second
	// chunkTimeout is how long a reader of a live stream or an archive may take to receive one piece.
	chunkTimeout = 10 * time.Second
)

// sse is a live stream of server-sent events.
type sse struct {
	streamCtx context.Context // ends with the reader, its token or the server
	control   *http.ResponseController
	pace      *pace
	sent      time.Time // when the last message was to be sent; only for send

	mu        sync.Mutex // guards the fields below; keepAlive writes concurrently
	w         http.ResponseWriter
	lastWrite time.Time
}

// stream returns the response of a live stream, which run writes. The context of run ends with the reader, with the
// caller's token, or when the server drains. at is the id from which a reader resumes if it has not received a message
// yet; empty means from the beginning.
func (a *API) stream(c access.Caller, at string, run func(context.Context, *sse) error) (*huma.StreamResponse, error) {
	if !a.gate.Enter() {
		return nil, problem.Unavailable("this server is shutting down").WithHint("use another server, or retry later")
	}
	select {
	case a.streams <- struct{}{}:
	default:
		a.gate.Leave()
		return nil, problem.Unavailable("this server already has %d live streams", maxStreams).
			WithHint("close some streams, or use another server")
	}
	pace := a.reads.startStream(c)
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer a.gate.Leave()
		defer func() { <-a.streams }()
		defer pace.stop()
		r, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		streamCtx, cancel := context.WithCancel(r.Context())
		s := &sse{w: w, streamCtx: streamCtx, control: http.NewResponseController(w), lastWrite: time.Now(),
			pace: pace}
		_ = s.control.SetReadDeadline(time.Time{})
		go a.cfg.Access.Watch(streamCtx, callerOf(ctx.Context()), cancel)
		stopped := s.keepAlive(cancel, a.gate.Closed())
		if s.open(at) == nil {
			_ = run(streamCtx, s) // on an error the client reconnects and receives the reason
		}
		cancel()
		<-stopped
		_ = s.control.SetWriteDeadline(time.Time{}) // the connection may be reused
	}}, nil
}

// send writes one message. It disconnects a reader that does not receive it in time.
func (s *sse) send(id, kind string, data any) error {
	s.slowDown()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.streamCtx.Err(); err != nil {
		return err
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(chunkTimeout))
	if id != "" {
		fmt.Fprintf(s.w, "id: %s\n", id)
	}
	if kind != "" {
		fmt.Fprintf(s.w, "event: %s\n", kind)
	}
	fmt.Fprint(s.w, "data: ")
	writeJSON(s.w, data) // ends with a newline
	return s.flush()
}

// slowDown pauses a stream that sends many messages one after another, such as those of a long log or a long output. Between
// messages that are further apart than freeRead, the stream waited and used no processor.
func (s *sse) slowDown() {
	if between := time.Since(s.sent); between < freeRead {
		s.pace.spend(s.streamCtx, between)
	}
	s.sent = time.Now()
}

// open starts the stream. An id without data is not a message; it only sets the reader's position.
func (s *sse) open(at string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at != "" {
		fmt.Fprintf(s.w, "id: %s\n", at)
	}
	return s.comment("begin")
}

// keepAlive sends comments while the stream is silent. It ends the stream when the reader stops reading or the server
// drains. The returned channel is closed when keepAlive has stopped, which is no later than the end of the stream's
// context.
func (s *sse) keepAlive(cancel func(), draining <-chan struct{}) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		defer cancel()
		for {
			left, err := s.keepAliveOnce()
			if err != nil {
				return
			}
			select {
			case <-time.After(left):
			case <-draining:
				return
			case <-s.streamCtx.Done():
				return
			}
		}
	}()
	return stopped
}

// keepAliveOnce writes a comment if the stream was silent for keepAliveInterval, and returns the time until the next
// check.
func (s *sse) keepAliveOnce() (left time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left = keepAliveInterval - time.Since(s.lastWrite); left > 0 {
		return left, nil
	}
	return keepAliveInterval, s.comment("still here")
}

// comment writes a comment. The caller must hold mu.
func (s *sse) comment(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(chunkTimeout))
	fmt.Fprintf(s.w, ": %s\n", text)
	return s.flush()
}

// flush completes and sends the current message. The caller must hold mu.
func (s *sse) flush() error {
	s.lastWrite = time.Now()
	if _, err := fmt.Fprint(s.w, "\n"); err != nil {
		return err
	}
	return s.control.Flush()
}
