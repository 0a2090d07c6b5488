package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
)

const (
	// maxPageBytes bounds the data in one page of events; the page ends early.
	maxPageBytes = 8 << 20
	// streamPage is how many events are read from the log at a time for a live stream.
	streamPage = 200
	// quietFor is how long a live stream may be silent before a comment shows that it lives.
	quietFor = 15 * time.Second
	// takeWithin is how long the reader of a live stream may take for one message.
	takeWithin = 10 * time.Second
)

func isDamage(err error) bool { return errors.Is(err, eventlog.ErrDamaged) }

type eventsInput struct {
	After string `query:"after" doc:"Events after this position; default: from the beginning."`
	Limit int    `query:"limit" minimum:"1" maximum:"5000" default:"500"`
	Next  string `query:"next" doc:"The same as after, for lists alike."`
}

func (a *API) routeEvents() {
	huma.Register(a.router, route(http.MethodGet, "/events", "Events in log order", domain.ReadScope),
		func(ctx context.Context, in *eventsInput) (*answer[explain.List[explain.Event]], error) {
			ctx, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			after, p := position(in.After, in.Next)
			if p != nil {
				return nil, p
			}
			list, err := a.events(ctx, after, in.Limit)
			if err != nil {
				return nil, problemOf(err)
			}
			return &answer[explain.List[explain.Event]]{Position: list.Position, Body: list}, nil
		})
	op := route(http.MethodGet, "/events/stream", "Events as they happen (server-sent events)", domain.ReadScope)
	huma.Register(a.router, op, func(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
		after, p := position(in.LastEventID, in.After)
		if p != nil {
			return nil, p
		}
		if in.LastEventID == "" && in.After == "" {
			after = a.newest(ctx)
		} else if p := a.reached(ctx, after); p != nil {
			return nil, p
		}
		return a.stream(after.String(), func(ctx context.Context, s *sse) error { return a.follow(ctx, s, after) })
	})
}

// reached refuses a position behind the end of the log: what the caller has read there the log has lost, and it would
// miss whatever is written up to it.
func (a *API) reached(ctx context.Context, after eventlog.Position) *Problem {
	head, err := a.cfg.Log.Head(ctx)
	if err == nil && after > head {
		return problem(client.Conflict, fmt.Sprintf("the log ends at position %s, before %s: was it restored from a backup?", head, after), "begin again after "+head.String())
	}
	return nil // a log that cannot be read now is waited for
}

// newest is the position of the last event that anyone has written, as far as it can be known now.
func (a *API) newest(ctx context.Context) eventlog.Position {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_ = a.cfg.Engine.CatchUp(ctx) // with a log that cannot be read now, what this server has seen is all there is
	return a.cfg.Engine.Position()
}

type streamInput struct {
	After       string `query:"after" doc:"Begin after this position; default: with what happens from now on."`
	LastEventID string `header:"Last-Event-ID"`
}

// position reads the first of texts that is there; none is the beginning.
func position(texts ...string) (eventlog.Position, *Problem) {
	for _, text := range texts {
		if text == "" {
			continue
		}
		p, err := eventlog.ParsePosition(text)
		if err != nil {
			return 0, invalid("%.40q is no position", text).hint("use a position as an event has it")
		}
		return p, nil
	}
	return 0, nil
}

func (a *API) events(ctx context.Context, after eventlog.Position, limit int) (explain.List[explain.Event], error) {
	list := explain.List[explain.Event]{Items: []explain.Event{}, Position: a.cfg.Engine.Position().String()}
	size := 0
	for rec, err := range a.cfg.Log.ReadAll(ctx, after, limit+1) {
		if err != nil {
			return list, fmt.Errorf("read events after position %s: %w", after, err)
		}
		if size += len(rec.Data); len(list.Items) == limit || size > maxPageBytes && len(list.Items) > 0 {
			list.Next = list.Items[len(list.Items)-1].Position
			break
		}
		list.Items = append(list.Items, explain.EventOf(rec))
	}
	return list, nil
}

// follow sends what the log holds after a position, and what is appended from then on. It reads the log
// itself, so its reader gets every event once and in order, however slow it is.
func (a *API) follow(ctx context.Context, s *sse, after eventlog.Position) error {
	for {
		changed := a.cfg.Engine.Changed()
		page, err := a.page(ctx, after)
		if err != nil {
			return err
		}
		for _, rec := range page {
			if err := s.send(rec.Position.String(), "", explain.EventOf(rec)); err != nil {
				return err
			}
			after = rec.Position
		}
		if len(page) > 0 {
			continue
		}
		if a.reached(ctx, after) != nil {
			return nil // the reader comes back and is told
		}
		if err := s.wait(ctx, changed, quietFor); err != nil {
			return err
		}
	}
}

// page reads some events into memory, so that no slow reader keeps the log waiting.
func (a *API) page(ctx context.Context, after eventlog.Position) (page []eventlog.Recorded, err error) {
	size := 0
	for rec, err := range a.cfg.Log.ReadAll(ctx, after, streamPage) {
		if err != nil {
			return nil, err
		}
		page = append(page, rec)
		if size += len(rec.Data); size > maxPageBytes/8 {
			break
		}
	}
	return page, nil
}

// sse is one live stream of server-sent events.
type sse struct {
	w        http.ResponseWriter
	life     context.Context // ends with the reader, or with its token
	control  *http.ResponseController
	draining <-chan struct{}
	spoke    time.Time
}

// stream makes the answer of a live stream; run writes it until it returns or the server drains. at is the id
// that a reader resumes with who has not had a message yet; empty: it begins anew.
func (a *API) stream(at string, run func(context.Context, *sse) error) (*huma.StreamResponse, error) {
	if !a.enter() {
		return nil, problem(client.Unavailable, "this server is about to stop", "ask another, or this one later")
	}
	select {
	case a.streams <- struct{}{}:
	default:
		a.open.Done()
		return nil, problem(client.Unavailable, fmt.Sprintf("this server has %d live streams already", maxStreams), "end some, or ask another server")
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer a.open.Done()
		defer func() { <-a.streams }()
		r, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		life, end := context.WithCancel(r.Context())
		defer end()
		s := &sse{w: w, life: life, control: http.NewResponseController(w), draining: a.draining}
		_ = s.control.SetReadDeadline(time.Time{})
		go a.whileItStands(life, callerOf(ctx.Context()), end)
		if s.begin(at) == nil {
			_ = run(life, s) // it ends with its reader; one that was refused asks again and is told why
		}
		_ = s.control.SetWriteDeadline(time.Time{}) // the connection may serve other requests
	}}, nil
}

// send writes one message. A reader that does not take it in time is dropped.
func (s *sse) send(id, kind string, data any) error {
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
	if at != "" {
		fmt.Fprintf(s.w, "id: %s\n", at)
	}
	return s.comment("begin")
}

func (s *sse) comment(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(takeWithin))
	fmt.Fprintf(s.w, ": %s\n", text)
	return s.flush()
}

func (s *sse) flush() error {
	s.spoke = time.Now()
	if _, err := fmt.Fprint(s.w, "\n"); err != nil {
		return err
	}
	return s.control.Flush()
}

var errDraining = errors.New("the server drains")

// wait returns when there may be more to send, at the latest after limit; it shows in time that the stream lives.
func (s *sse) wait(ctx context.Context, changed <-chan struct{}, limit time.Duration) error {
	timer := time.NewTimer(min(limit, quietFor))
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-timer.C:
		if time.Since(s.spoke) < quietFor {
			return nil
		}
		return s.comment("still here")
	case <-s.draining:
		return errDraining
	case <-ctx.Done():
		return ctx.Err()
	}
}
