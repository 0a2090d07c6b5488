package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/droverhq/drover/api/problem"
)

const (
	// quietFor is how long a live stream may be silent before a comment shows that it lives.
	quietFor = 15 * time.Second
	// takeWithin is how long the reader of a live stream or an archive may take for one piece of it.
	takeWithin = 10 * time.Second
)

// sse is one live stream of server-sent events.
type sse struct {
	life    context.Context // ends with the reader, with its token, or with the server
	control *http.ResponseController

	mu    sync.Mutex // guards what follows: keepAlive writes beside the stream
	w     http.ResponseWriter
	spoke time.Time
}

// stream returns the answer of a live stream. run writes it; its context ends with the reader, with the caller's token, or
// when the server drains. A reader that has received no message yet resumes at the id at; empty: from the beginning.
func (a *API) stream(at string, run func(context.Context, *sse) error) (*huma.StreamResponse, error) {
	if !a.gate.Enter() {
		return nil, problem.Unavailable("this server is shutting down").WithHint("ask another, or this one later")
	}
	select {
	case a.streams <- struct{}{}:
	default:
		a.gate.Leave()
		return nil, problem.Unavailable("this server has %d live streams already", maxStreams).
			WithHint("end some, or ask another server")
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer a.gate.Leave()
		defer func() { <-a.streams }()
		r, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		life, end := context.WithCancel(r.Context())
		s := &sse{w: w, life: life, control: http.NewResponseController(w), spoke: time.Now()}
		_ = s.control.SetReadDeadline(time.Time{})
		go a.cfg.Access.Watch(life, callerOf(ctx.Context()), end)
		stopped := s.keepAlive(end, a.gate.Closed())
		if s.begin(at) == nil {
			_ = run(life, s) // it ends with its reader; one that was refused asks again and is told why
		}
		end()
		<-stopped
		_ = s.control.SetWriteDeadline(time.Time{}) // the connection may serve other requests
	}}, nil
}

// send writes one message. A reader that does not take it in time is dropped.
func (s *sse) send(id, kind string, data any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.life.Err(); err != nil {
		return err
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(takeWithin))
	if id != "" {
		fmt.Fprintf(s.w, "id: %s\n", id)
	}
	if kind != "" {
		fmt.Fprintf(s.w, "event: %s\n", kind)
	}
	fmt.Fprint(s.w, "data: ")
	writeJSON(s.w, data) // ends its line
	return s.flush()
}

// begin opens the stream. An id without data is no message: it only tells where the reader stands.
func (s *sse) begin(at string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at != "" {
		fmt.Fprintf(s.w, "id: %s\n", at)
	}
	return s.comment("begin")
}

// keepAlive shows a silent reader that the stream lives, and ends the stream when its reader takes nothing any more or
// the server drains. The channel that it returns is closed when it has stopped, at the latest with the stream's life.
func (s *sse) keepAlive(end func(), draining <-chan struct{}) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		defer end()
		for {
			left, err := s.remind()
			if err != nil {
				return
			}
			select {
			case <-time.After(left):
			case <-draining:
				return
			case <-s.life.Done():
				return
			}
		}
	}()
	return stopped
}

// remind writes a comment if the stream was silent for quietFor, and says when it may be due again.
func (s *sse) remind() (left time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left = quietFor - time.Since(s.spoke); left > 0 {
		return left, nil
	}
	return quietFor, s.comment("still here")
}

// comment writes a comment. The caller holds mu.
func (s *sse) comment(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(takeWithin))
	fmt.Fprintf(s.w, ": %s\n", text)
	return s.flush()
}

// flush ends what was written and sends it. The caller holds mu.
func (s *sse) flush() error {
	s.spoke = time.Now()
	if _, err := fmt.Fprint(s.w, "\n"); err != nil {
		return err
	}
	return s.control.Flush()
}
