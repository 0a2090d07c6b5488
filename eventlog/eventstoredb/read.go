package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/droverhq/drover/eventlog"
)

// ahead is how many events a read fetches and checks ahead of its consumer.
const ahead = 256

// searchWindow is how many events of $all the server scans between two checkpoints.
const searchWindow = 4096

// result is one result of a read: an event, or a checkpoint in $all after which the read may continue.
type result struct {
	event      eventlog.Recorded
	checkpoint *esdb.Position // nil for an event
}

// emit receives a result of a read. If it returns an error, the read ends.
type emit func(result) error

// cursor is a read in progress. If its connection breaks, it continues after the last event.
type cursor struct {
	log *Log
	// receive reads from the cursor's place and emits the results until the end.
	receive func(ctx context.Context, client *esdb.Client, emit emit) error
	// advance checks that a result follows the previous one and moves the cursor after it.
	advance func(result) error
	limit   int // 0 means no limit
	read    int
}

// errStop ends a read whose consumer needs no more events.
var errStop = errors.New("read stopped by its consumer")

// run yields events until the end, the limit, or an error that a retry cannot resolve. It reports whether it
// reached the end.
func (c *cursor) run(ctx context.Context, what string, yield func(eventlog.Recorded, error) bool) (complete bool) {
	ctx, cancel := c.log.untilClosed(ctx)
	defer cancel()
	err := eventlog.CheckLimit(c.limit)
	if err == nil {
		err = c.log.ready(ctx)
	}
	for failures := 0; err == nil; failures++ {
		before := c.read
		var meaning outcome
		if meaning, err = c.attempt(ctx, yield); err == nil || errors.Is(err, errStop) || meaning == streamMissing {
			return err == nil
		}
		if c.read > before {
			failures = 0
		}
		err = c.retry(ctx, meaning, failures, err)
	}
	yield(eventlog.Recorded{}, fmt.Errorf("%s: %w", what, err))
	return false
}

// retry waits before the next attempt. It returns an error if there must not be another one.
func (c *cursor) retry(ctx context.Context, meaning outcome, failures int, last error) error {
	switch {
	case ctx.Err() != nil:
		return c.log.timedOut(ctx, last)
	case meaning == refused:
		return c.log.explain(last)
	case meaning == unsent:
		return last
	}
	if failures >= maxReadFailures {
		return fmt.Errorf("%w: no event after %d attempts", c.log.explain(last), failures)
	}
	return c.log.wait(ctx, failures, last)
}

// maxReadFailures is how many attempts in a row may fail without an event before a read fails.
const maxReadFailures = 12

// attempt reads once, until an error or the end.
func (c *cursor) attempt(ctx context.Context, yield func(eventlog.Recorded, error) bool) (outcome, error) {
	bounded, stop := c.log.bounded(ctx)
	s, err := c.log.connection.client(bounded)
	stop()
	if err != nil {
		return unsent, err
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, ahead)
	answers := start(reading, c.log.connection, s, func(ctx context.Context, client *esdb.Client) (struct{}, error) {
		defer close(results)
		return struct{}{}, c.receive(ctx, client, func(f result) error {
			select {
			case results <- f:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	err = c.consume(ctx, results, yield)
	switch {
	case errors.Is(err, errSilent):
		c.log.connection.discardGeneration(s)
		return late, err
	case err != nil:
		return refused, err
	}
	a := <-answers // the goroutine has closed results, so it does not block
	return a.meaning, a.err
}

// errSilent reports that the server has stopped sending.
var errSilent = fmt.Errorf("%w: the server has stopped sending", eventlog.ErrUnavailable)

// consume yields results until there are no more.
func (c *cursor) consume(ctx context.Context, results <-chan result, yield func(eventlog.Recorded, error) bool) error {
	silence := time.NewTimer(c.log.config.Timeout)
	defer silence.Stop()
	for {
		select {
		case f, more := <-results:
			if !more {
				return nil
			}
			if err := c.deliver(ctx, f, yield); err != nil {
				return err
			}
			silence.Reset(c.log.config.Timeout)
		case <-silence.C:
			return errSilent
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *cursor) deliver(ctx context.Context, f result, yield func(eventlog.Recorded, error) bool) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if err := c.advance(f); err != nil || f.checkpoint != nil {
		return err
	}
	c.read++
	if !yield(f.event, nil) || c.read == c.limit {
		return errStop
	}
	return nil
}

// ReadStream yields the events of one stream, see eventlog.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, from eventlog.Revision,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		next := max(from, 0)
		c := &cursor{log: l, limit: limit}
		c.receive = func(ctx context.Context, client *esdb.Client, emit emit) error {
			options := esdb.ReadStreamOptions{From: esdb.Revision(uint64(next)), RequiresLeader: true}
			read, err := client.ReadStream(ctx, l.names.events+stream, options, wanted(limit, c.read))
			if err != nil {
				return err
			}
			defer read.Close()
			return l.drain(read, emit)
		}
		c.advance = func(f result) error {
			if f.event.Revision != next {
				return fmt.Errorf("%w: revision %d of stream %s is missing; restore a backup", eventlog.ErrDamaged,
					next, stream)
			}
			next++
			return nil
		}
		c.run(ctx, "read stream "+stream, yield)
	}
}

// wanted returns how many events the server should send.
func wanted(limit, read int) uint64 {
	if limit == 0 {
		return math.MaxInt64
	}
	return uint64(limit - read)
}

// drain emits the results of a stream read.
func (l *Log) drain(read *esdb.ReadStream, emit emit) error {
	for {
		resolved, err := read.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		event, _, err := l.decode(resolved)
		if err != nil {
			return err
		}
		if err := emit(result{event: event}); err != nil {
			return err
		}
	}
}

// ReadAll yields the events of the whole log, see eventlog.Log. It ends at the position that was the end of $all
// when it began. The client filters only subscriptions, and a subscription would never end for a consumer that
// appends. A read of the whole log begins where the log was created, because a cluster may have many older events of
// other applications.
func (l *Log) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		what := "read after position " + after.String()
		err := eventlog.CheckLimit(limit)
		var tail eventlog.Position
		if err == nil {
			err = l.ready(ctx)
		}
		if err == nil {
			tail, err = l.tail(ctx)
		}
		if err != nil {
			yield(eventlog.Recorded{}, fmt.Errorf("%s: %w", what, err))
			return
		}
		if after >= tail {
			return
		}
		behind := at(after)
		if after == 0 {
			if behind, err = l.birth(ctx); err != nil {
				yield(eventlog.Recorded{}, fmt.Errorf("%s: %w", what, err))
				return
			}
		}
		l.readAll(ctx, after, behind, tail, limit, yield)
	}
}

// readAll yields the events after one position and up to another. The log has no events between after and behind, the
// place in $all where the read begins.
func (l *Log) readAll(ctx context.Context, after eventlog.Position, behind esdb.Position, tail eventlog.Position,
	limit int, yield func(eventlog.Recorded, error) bool) {
	last, head := after, eventlog.Position(0) // the cursor's position, and that of the last event found
	c := &cursor{log: l, limit: limit}
	c.receive = func(ctx context.Context, client *esdb.Client, emit emit) error {
		from := last
		err := l.follow(ctx, client, behind, tail, emit)
		if !invalidPosition(err) {
			return err
		}
		before, err := l.before(ctx, client, from)
		if err != nil {
			return err
		}
		return l.follow(ctx, client, at(before), tail, func(f result) error {
			if f.checkpoint == nil && f.event.Position <= from {
				return nil
			}
			return emit(f)
		})
	}
	c.advance = func(f result) error {
		if f.checkpoint != nil {
			if f.checkpoint.Commit > uint64(last) {
				behind = *f.checkpoint
			}
			return nil
		}
		if f.event.Position <= last {
			return fmt.Errorf("%w: position %s follows %s", eventlog.ErrDamaged, f.event.Position, last)
		}
		last, head, behind = f.event.Position, f.event.Position, at(f.event.Position)
		l.frontier.observe(head)
		return nil
	}
	if c.run(ctx, "read after position "+after.String(), yield) {
		l.frontier.covered(after, head, tail)
	}
}

// follow emits the events of the log between the positions behind (exclusive) and tail (inclusive).
func (l *Log) follow(ctx context.Context, client *esdb.Client, behind esdb.Position, tail eventlog.Position,
	emit emit) error {
	subscription, err := client.SubscribeToAll(ctx, esdb.SubscribeToAllOptions{
		From:            from(behind),
		MaxSearchWindow: searchWindow,
		Filter:          &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{l.names.events}},
		RequiresLeader:  true,
	})
	if err != nil {
		return err
	}
	defer subscription.Close() //nolint:errcheck // it returns nil
	for {
		next := subscription.Recv()
		switch {
		case next.SubscriptionDropped != nil:
			return next.SubscriptionDropped.Error
		case next.EventAppeared != nil:
			event, _, err := l.decode(next.EventAppeared)
			if err != nil {
				return err
			}
			if event.Position > tail {
				return nil
			}
			if err := emit(result{event: event}); err != nil {
				return err
			}
			if event.Position == tail {
				return nil
			}
		case next.CheckPointReached != nil:
			if covers(*next.CheckPointReached, tail) {
				return nil
			}
			if err := emit(result{checkpoint: next.CheckPointReached}); err != nil {
				return err
			}
		case next.CaughtUp != nil:
			return nil
		}
	}
}

// invalidPosition reports whether the server refused a read because no event of $all starts at its position.
func invalidPosition(err error) bool {
	return err != nil && status.Code(unwrapped(err)) == codes.InvalidArgument &&
		strings.Contains(err.Error(), "invalid position")
}

// before returns the position of an event of $all before position, at which no event starts. The result is close to
// position if position is close to the end; 0 means the start of $all.
func (l *Log) before(ctx context.Context, client *esdb.Client, position eventlog.Position) (eventlog.Position, error) {
	read, err := client.ReadAll(ctx, fromTheEnd, headSearchLimit)
	if err != nil {
		return 0, err
	}
	defer read.Close()
	for {
		resolved, err := read.Recv()
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if at := eventlog.Position(resolved.OriginalEvent().Position.Commit); at < position {
			return at, nil
		}
	}
}

// at returns the place of an event in $all.
func at(position eventlog.Position) esdb.Position {
	return esdb.Position{Commit: uint64(position), Prepare: uint64(position)}
}

// covers reports whether a checkpoint is at or after an event. The server places checkpoints between events: one
// that shares only the commit position of an event precedes it.
func covers(checkpoint esdb.Position, event eventlog.Position) bool {
	return checkpoint.Commit > uint64(event) || checkpoint.Commit == uint64(event) &&
		checkpoint.Prepare >= uint64(event)
}

// from returns the place after which a subscription starts. The event at that place is excluded.
func from(behind esdb.Position) esdb.AllPosition {
	if behind == (esdb.Position{}) {
		return esdb.Start{}
	}
	return behind
}
