package query

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/projections"
)

// Piece is a piece of a part's output. Machine and Sequence identify it.
type Piece struct {
	Machine  string    `json:"machine"`
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"`
	Data     []byte    `json:"data"`
}

// Pieces is a page of a deployment's output, machine by machine.
type Pieces struct {
	Items []Piece `json:"items"`
	// Ended is set if the deployment has ended. Only output that agents send late may still arrive.
	Ended bool `json:"ended"`
	// Next is the value of OutputInput.After for the next page; empty if there is no more output yet.
	Next     string `json:"next"`
	Position string `json:"position"`
}

// OutputInput selects output of a deployment.
type OutputInput struct {
	Deployment string
	// Machine selects one machine; empty selects all machines of the deployment.
	Machine string
	// After selects the pieces after a sequence, or after MACHINE=SEQUENCE,MACHINE=SEQUENCE; empty selects all.
	After string
	// Sees is what the reader may see; nil means everything.
	Sees explain.Sees
}

const (
	// maxPiecesBytes bounds one answer.
	maxPiecesBytes = 16 << 20
	// pollEvery is how often FollowOutput checks for output that another server stored.
	pollEvery = time.Second
	// maxCursor is how many machines a cursor can contain. With more machines, a reader that reconnects starts from the
	// beginning and skips the pieces that it has.
	maxCursor = 100
)

// Output returns a page of a deployment's output.
func (q *Queries) Output(ctx context.Context, in OutputInput) (Pieces, error) {
	r, err := q.outputReader(ctx, in)
	if err != nil {
		return Pieces{}, err
	}
	pieces := Pieces{Items: []Piece{}, Position: q.Position().String(), Ended: r.refresh()}
	size := 0
	complete, err := r.read(ctx, func(piece Piece) bool {
		pieces.Items = append(pieces.Items, piece)
		size += len(piece.Data)
		return size < maxPiecesBytes
	})
	if err != nil || complete {
		return pieces, err
	}
	if pieces.Next = r.cursor(); pieces.Next == "" {
		return pieces, problem.Invalid("the output of deployment %s is too large for one answer", in.Deployment).
			WithHint("read one machine at a time with ?machine=NAME, or read the stream")
	}
	return pieces, nil
}

// Followed is a piece of output. Cursor is the OutputInput.After that resumes after it; it is empty for more than
// maxCursor machines.
type Followed struct {
	Piece
	Cursor string
}

// FollowOutput finds the output of a deployment and returns a sequence that yields it as it arrives. The sequence ends
// when the deployment has ended and everything was yielded, when its context ends, or after an error. It can be used
// once.
func (q *Queries) FollowOutput(ctx context.Context,
	in OutputInput) (follow func(ctx context.Context) iter.Seq2[Followed, error], err error) {
	r, err := q.outputReader(ctx, in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) iter.Seq2[Followed, error] {
		return func(yield func(Followed, error) bool) { r.follow(ctx, yield) }
	}, nil
}

// outputReader reads the output of a deployment, each piece once.
type outputReader struct {
	queries    *Queries
	deployment domain.ID
	only       string           // machine to read; empty for all
	claimed    []string         // machines with a claimed part, when the view last contained the deployment
	all        int64            // sequence after which every machine starts
	after      map[string]int64 // by machine
	machines   []string         // machines that may have more output
	finished   map[string]bool  // machines that ended and were read completely
}

func (q *Queries) outputReader(ctx context.Context, in OutputInput) (*outputReader, error) {
	r := &outputReader{queries: q, only: in.Machine, finished: map[string]bool{}}
	id, err := domain.ParseID(in.Deployment)
	known, hasPart := false, false
	look := func(v *projections.View) {
		if d := v.Deployments[id]; d != nil && err == nil && (in.Sees == nil || in.Sees(d.Project.Name, d.Environment)) {
			known, hasPart = true, in.Machine == "" || d.Parts[in.Machine] != nil
			r.updateClaimed(d)
		}
	}
	q.cfg.Engine.Read(look)
	past, failure := q.viewWithPruned(ctx, id)
	if past != nil {
		look(past)
	}
	switch {
	case failure != nil:
		return nil, failure
	case !known:
		return nil, noDeployment(in.Deployment)
	case !hasPart:
		return nil, problem.NotFound("deployment %s has no part on machine %.80q", id,
			in.Machine).WithHint("`drover describe deployment %s` lists its machines", id)
	}
	r.deployment = id
	if r.all, r.after, err = readCursor(in.After); err != nil {
		return nil, problem.Invalid("invalid sequence %.60q", in.After).WithHint("use 12, or web-01=12,web-02=3")
	}
	return r, nil
}

// readCursor parses the result of cursor, or one sequence for all machines.
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
			return 0, nil, fmt.Errorf("invalid sequence %q", number)
		}
		if !named {
			all = sequence
			continue
		}
		after[machine] = sequence
	}
	return all, after, nil
}

// cursor returns the OutputInput.After that resumes here; empty for more than maxCursor machines.
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

// refresh updates the machines that may have more output, and reports whether the deployment has ended.
func (r *outputReader) refresh() (ended bool) {
	r.machines = r.machines[:0]
	r.queries.cfg.Engine.Read(func(v *projections.View) {
		d := v.Deployments[r.deployment]
		ended = d == nil || d.Ended // a deployment that the view has pruned ended long ago
		if d != nil {
			r.updateClaimed(d)
		}
		for _, name := range r.claimed {
			if !r.finished[name] {
				r.machines = append(r.machines, name)
				r.finished[name] = d == nil || d.Parts[name].EndedAt > 0 // the read after this refresh returns the rest
			}
		}
	})
	return ended
}

// updateClaimed records the machines with a claimed part.
func (r *outputReader) updateClaimed(d *projections.Deployment) {
	r.claimed = r.claimed[:0]
	for _, name := range d.Order {
		if d.Parts[name].Claimed > 0 && (r.only == "" || r.only == name) {
			r.claimed = append(r.claimed, name)
		}
	}
}

// read passes new pieces to take until it returns false. complete reports whether there is no more output now.
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

// page reads some chunks into memory, so that a slow reader does not block the log.
func (r *outputReader) page(ctx context.Context, machine string) (page []eventlog.Item, err error) {
	key := eventlog.OutputKey(uuid.UUID(r.deployment), machine)
	for chunk, err := range r.queries.cfg.Log.Items(ctx, eventlog.Output, key, r.after[machine], 32) {
		if err != nil {
			return nil, err
		}
		page = append(page, chunk)
	}
	return page, nil
}

// follow implements FollowOutput.
func (r *outputReader) follow(ctx context.Context, yield func(Followed, error) bool) {
	for {
		changed := r.queries.arrived.next(r.deployment)
		ended, stopped := r.refresh(), false
		_, err := r.read(ctx, func(piece Piece) bool {
			stopped = !yield(Followed{piece, r.cursor()}, nil)
			return !stopped
		})
		if stopped || err == nil && ended {
			return
		}
		if err == nil {
			err = clock.Wait(ctx, pollEvery, changed)
		}
		if err != nil {
			yield(Followed{}, err)
			return
		}
	}
}

// OutputArrived wakes the readers that follow the output of a deployment, after this server has stored a piece of it.
func (q *Queries) OutputArrived(deployment domain.ID) { q.arrived.wake(deployment) }

// arrivals wakes readers when this server stores output.
type arrivals struct {
	mu      sync.Mutex // guards changed
	changed map[domain.ID]chan struct{}
}

// next returns a channel that is closed when more output of a deployment arrives.
func (a *arrivals) next(deployment domain.ID) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changed == nil {
		a.changed = map[domain.ID]chan struct{}{}
	}
	if a.changed[deployment] == nil {
		a.changed[deployment] = make(chan struct{})
	}
	return a.changed[deployment]
}

func (a *arrivals) wake(deployment domain.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if more := a.changed[deployment]; more != nil {
		close(more)
		delete(a.changed, deployment)
	}
}
