package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Piece is a piece of a part's output. Machine and sequence together name it.
type Piece struct {
	Machine  string    `json:"machine"`
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"`
	Data     []byte    `json:"data"`
}

// Pieces is what a deployment has put out, machine by machine.
type Pieces struct {
	Items []Piece `json:"items"`
	// Ended says that the deployment has: no more will come but what agents report late.
	Ended bool `json:"ended"`
	// Next is the after that asks for the rest; empty if this is all there is now.
	Next     string `json:"next"`
	Position string `json:"position"`
}

// OutputOf names the output of a deployment.
type OutputOf struct {
	ID      string `path:"id"`
	Machine string `query:"machine" doc:"Default: every machine of the deployment."`
	After   string `query:"after" doc:"Pieces after this sequence, or MACHINE=SEQUENCE,MACHINE=SEQUENCE."`
}

type outputStreamInput struct {
	OutputOf
	LastEventID string `header:"Last-Event-ID"`
}

const (
	// maxPiecesBytes bounds one answer.
	maxPiecesBytes = 16 << 20
	// pollEvery is how often output that another server took is looked for.
	pollEvery = time.Second
	// maxCursor is how many machines an event's id can tell the sequence of. Beyond it, a reader that comes back
	// begins anew and drops what it has by machine and sequence.
	maxCursor = 100
)

func (a *API) routeOutput() {
	huma.Register(a.router, route(http.MethodGet, "/deployments/{id}/output", "What the parts of a deployment have put out", domain.ReadScope),
		func(ctx context.Context, in *OutputOf) (*answer[Pieces], error) {
			ctx, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			r, p := a.outputReader(ctx, *in, in.After)
			if p != nil {
				return nil, p
			}
			pieces := Pieces{Items: []Piece{}, Position: a.cfg.Engine.Position().String(), Ended: r.refresh()}
			size := 0
			complete, err := r.read(ctx, func(piece Piece) bool {
				pieces.Items = append(pieces.Items, piece)
				size += len(piece.Data)
				return size < maxPiecesBytes
			})
			if err != nil {
				return nil, problemOf(err)
			}
			if !complete {
				if pieces.Next = r.cursor(); pieces.Next == "" {
					return nil, invalid("the output of deployment %s is more than one answer holds", in.ID).hint("ask for one machine after the other with ?machine=NAME, or for the stream")
				}
			}
			return &answer[Pieces]{Position: pieces.Position, Body: pieces}, nil
		})
	op := route(http.MethodGet, "/deployments/{id}/output/stream", "The same as it comes (server-sent events); event: end is its last", domain.ReadScope)
	huma.Register(a.router, op, func(ctx context.Context, in *outputStreamInput) (*huma.StreamResponse, error) {
		after := in.After
		if in.LastEventID != "" {
			after = in.LastEventID
		}
		r, p := a.outputReader(ctx, in.OutputOf, after)
		if p != nil {
			return nil, p
		}
		return a.stream("", r.follow)
	})
}

// outputReader reads the output of a deployment, each piece once.
type outputReader struct {
	api        *API
	deployment domain.ID
	only       string           // machine, empty: all
	claimed    []string         // the machines that had claimed a part when the view last had the deployment
	all        int64            // the sequence that every machine begins after
	after      map[string]int64 // by machine
	machines   []string         // that may have more
	finished   map[string]bool  // ended and read to the end
}

func (a *API) outputReader(ctx context.Context, in OutputOf, after string) (*outputReader, *Problem) {
	r := &outputReader{api: a, only: in.Machine, finished: map[string]bool{}}
	id, err := domain.ParseID(in.ID)
	known, hasPart := false, false
	look := func(v *projections.View) {
		if d := v.Deployments[id]; d != nil && err == nil {
			known, hasPart = true, in.Machine == "" || d.Parts[in.Machine] != nil
			r.look(d)
		}
	}
	a.cfg.Engine.Read(look)
	past, failure := a.longAgo(ctx, id)
	if past != nil {
		look(past)
	}
	switch {
	case failure != nil:
		return nil, problemOf(failure)
	case !known:
		return nil, noDeployment(in.ID)
	case !hasPart:
		return nil, missing("deployment %s has no part on machine %.80q", id, in.Machine).hint("`drover describe deployment " + id.String() + "` lists its machines")
	}
	r.deployment = id
	if r.all, r.after, err = readCursor(after); err != nil {
		return nil, invalid("after=%.60q is no sequence", after).hint("write 12, or web-01=12,web-02=3")
	}
	return r, nil
}

// readCursor reads what cursor wrote, or one sequence for all machines.
func readCursor(text string) (all int64, after map[string]int64, err error) {
	after = map[string]int64{}
	if text == "" {
		return 0, after, nil
	}
	for _, each := range strings.Split(text, ",") {
		machine, number, named := strings.Cut(each, "=")
		if !named {
			number = machine
		}
		sequence, err := strconv.ParseInt(number, 10, 64)
		if err != nil || sequence < 0 {
			return 0, nil, fmt.Errorf("%q is no sequence", number)
		}
		if !named {
			all = sequence
			continue
		}
		after[machine] = sequence
	}
	return all, after, nil
}

// cursor is where the reader stands; empty beyond maxCursor machines.
func (r *outputReader) cursor() string {
	if len(r.after) > maxCursor {
		return ""
	}
	var parts []string
	for machine, sequence := range r.after {
		parts = append(parts, fmt.Sprintf("%s=%d", machine, sequence))
	}
	return strings.Join(parts, ",")
}

// refresh finds the machines that may have more to tell, and says whether the deployment has ended.
func (r *outputReader) refresh() (ended bool) {
	r.machines = r.machines[:0]
	r.api.cfg.Engine.Read(func(v *projections.View) {
		d := v.Deployments[r.deployment]
		ended = d == nil || d.Ended // the view has forgotten it long after it ended
		if d != nil {
			r.look(d)
		}
		for _, name := range r.claimed {
			if !r.finished[name] {
				r.machines = append(r.machines, name)
				r.finished[name] = d == nil || d.Parts[name].EndedAt > 0 // once it is read now
			}
		}
	})
	return ended
}

// look notes the machines that have claimed.
func (r *outputReader) look(d *projections.Deployment) {
	r.claimed = r.claimed[:0]
	for _, name := range d.Order {
		if d.Parts[name].Claimed > 0 && (r.only == "" || r.only == name) {
			r.claimed = append(r.claimed, name)
		}
	}
}

// read hands over what is new; take says whether to go on. complete says that nothing is left now.
func (r *outputReader) read(ctx context.Context, take func(Piece) bool) (complete bool, err error) {
	for _, machine := range r.machines {
		if _, seen := r.after[machine]; !seen && r.all > 0 {
			r.after[machine] = r.all
		}
		page, err := r.page(ctx, machine)
		for len(page) > 0 && err == nil {
			for _, chunk := range page {
				r.after[machine] = chunk.Sequence
				if !take(Piece{Machine: machine, Sequence: chunk.Sequence, Time: chunk.Time.UTC(), Data: chunk.Data}) {
					return false, nil
				}
			}
			page, err = r.page(ctx, machine)
		}
		if err != nil {
			return false, fmt.Errorf("read the output of machine %s: %w", machine, err)
		}
	}
	return true, nil
}

// page reads some chunks into memory, so that no slow reader keeps the log waiting.
func (r *outputReader) page(ctx context.Context, machine string) (page []eventlog.Item, err error) {
	key := eventlog.OutputKey(uuid.UUID(r.deployment), machine)
	for chunk, err := range r.api.cfg.Log.Items(ctx, eventlog.Output, key, r.after[machine], 32) {
		if err != nil {
			return nil, err
		}
		page = append(page, chunk)
	}
	return page, nil
}

// follow sends output as it comes, until the deployment has ended.
func (r *outputReader) follow(ctx context.Context, s *sse) error {
	for {
		changed := r.api.output.next(r.deployment)
		ended := r.refresh()
		var sending error
		_, err := r.read(ctx, func(piece Piece) bool {
			sending = s.send(r.cursor(), "", piece)
			return sending == nil
		})
		switch {
		case err != nil:
			return err
		case sending != nil:
			return sending
		case ended:
			return s.send("", "end", map[string]bool{"ended": true})
		}
		if err := s.wait(ctx, changed, pollEvery); err != nil {
			return err
		}
	}
}

// watchers wakes those who follow the output that comes to this server.
type watchers struct {
	mu sync.Mutex
	by map[domain.ID]chan struct{}
}

// next is closed when there is more output of a deployment.
func (w *watchers) next(deployment domain.ID) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[domain.ID]chan struct{}{}
	}
	if w.by[deployment] == nil {
		w.by[deployment] = make(chan struct{})
	}
	return w.by[deployment]
}

func (w *watchers) wake(deployment domain.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if more := w.by[deployment]; more != nil {
		close(more)
		delete(w.by, deployment)
	}
}
