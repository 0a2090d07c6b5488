package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// plan is one append to a stream. It is safe to send it more than once.
type plan struct {
	kind     string
	stream   string
	expected eventlog.Revision
	events   []eventlog.Event
	facts    []domain.Event
}

// planned gives decisions their ids and expected revisions. Decisions for the same stream are appended one after the
// other, each at the revision after the one before.
func (e *Engine) planned(decisions []domain.Decision) []plan {
	var plans []plan
	e.Read(func(v *projections.View) {
		ends := map[string]plan{}
		for _, d := range decisions {
			expected, newest := v.Revision(d.Stream), v.Newest(d.Stream)
			if before, ok := ends[d.Stream]; ok {
				expected = before.expected + eventlog.Revision(len(before.events))
				newest = domain.ID(before.events[len(before.events)-1].ID)
			}
			p, err := e.plan(d, expected, newest)
			if err != nil {
				e.log.Error("could not encode a decision", zap.String("kind", d.Kind), zap.String("stream", d.Stream),
					zap.Error(err))
				continue
			}
			ends[d.Stream] = p
			plans = append(plans, p)
		}
	})
	return plans
}

func (e *Engine) plan(d domain.Decision, expected eventlog.Revision, newest domain.ID) (plan, error) {
	p := plan{kind: d.Kind, stream: d.Stream, expected: expected, facts: d.Events}
	for i, fact := range d.Events {
		event, err := e.event(fact, d.Causes)
		if err != nil {
			return plan{}, err
		}
		event.ID = e.decisionID(d.Kind, d.Stream, newest, i, event)
		p.events = append(p.events, event)
	}
	return p, nil
}

// event encodes a fact. The caller sets the id.
func (e *Engine) event(fact domain.Event, causes []domain.ID) (eventlog.Event, error) {
	typeName, data, err := domain.Encode(fact)
	if err != nil {
		return eventlog.Event{}, err
	}
	event := eventlog.Event{Type: typeName, Data: data, Time: e.cfg.Clock.Now().UTC().Truncate(time.Microsecond)}
	for _, cause := range causes {
		if !cause.IsZero() {
			event.Causes = append(event.Causes, uuid.UUID(cause))
		}
	}
	return event, nil
}

// decisionID is a pure function of the input of a decision: two servers that decide the same write the same event, and
// the same decision taken again later gets another id. It includes the type, because facts of two types may have the
// same data.
func (e *Engine) decisionID(kind, stream string, newest domain.ID, index int, event eventlog.Event) uuid.UUID {
	var name strings.Builder
	fmt.Fprintf(&name, "%d\x00%s\x00%s\x00%s\x00%d\x00%s\x00", e.cfg.Rules.Version, kind, stream, newest, index,
		event.Type)
	name.Write(event.Data)
	return uuid.NewSHA1(e.logID(), []byte(name.String()))
}

// appendAll sends plans: plans for the same stream in order, and different streams in parallel. After a conflict it
// skips the remaining plans of that stream. It returns the plans that are in the log and the first error that is not a
// conflict.
func (e *Engine) appendAll(ctx context.Context, plans []plan) (appended []plan, err error) {
	byStream := map[string][]plan{}
	var order []string
	for _, p := range plans {
		if byStream[p.stream] == nil {
			order = append(order, p.stream)
		}
		byStream[p.stream] = append(byStream[p.stream], p)
	}
	var mu sync.Mutex
	each := func(stream string) {
		done, failure := e.appendStream(ctx, byStream[stream])
		mu.Lock()
		defer mu.Unlock()
		appended = append(appended, done...)
		if err == nil {
			err = failure
		}
	}
	if e.cfg.Parallel <= 1 {
		for _, stream := range order {
			each(stream)
		}
		return appended, err
	}
	e.inParallel(order, each)
	return appended, err
}

func (e *Engine) inParallel(streams []string, each func(string)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, e.cfg.Parallel)
	for _, stream := range streams {
		slots <- struct{}{}
		wg.Go(func() {
			each(stream)
			<-slots
		})
	}
	wg.Wait()
}

func (e *Engine) appendStream(ctx context.Context, plans []plan) (done []plan, err error) {
	for _, p := range plans {
		_, err := e.append(ctx, p)
		var conflict *eventlog.Conflict
		if errors.As(err, &conflict) {
			return done, nil // another writer was faster; the next pass decides again
		}
		if err != nil {
			return done, fmt.Errorf("append %s to %s: %w", p.kind, p.stream, err)
		}
		done = append(done, p)
	}
	return done, nil
}

// maxUnknownRetries is how often an append with unknown outcome is sent, with the same ids at the same expected
// revision, before the caller gets an error. The log answers a repeat exactly.
const maxUnknownRetries = 5

func (e *Engine) append(ctx context.Context, p plan) (eventlog.Appended, error) {
	for try := 1; ; try++ {
		appended, err := e.cfg.Log.Append(ctx, p.stream, p.expected, p.events...)
		e.faults.append(ctx, err)
		if !errors.Is(err, eventlog.ErrUnknownOutcome) || try == maxUnknownRetries || ctx.Err() != nil {
			return appended, err
		}
	}
}
