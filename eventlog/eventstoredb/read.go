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

// searchWindow is how many events of $all the server looks through between two checkpoints.
const searchWindow = 4096

// found is what a read finds: an event, or a checkpoint in $all behind which it may go on.
type found struct {
	event      eventlog.Recorded
	checkpoint *esdb.Position // nil for an event
}

// hand hands on what was found; its error ends the read.
type hand func(found) error

// cursor is a read under way. Where its connection breaks it goes on behind the last event.
type cursor struct {
	log *Log
	// receive reads from where the cursor stands, and hands on what it finds until it is at the end.
	receive func(ctx context.Context, client *esdb.Client, hand hand) error
	// advance checks that what was found is a next one and moves the cursor behind it.
	advance func(found) error
	limit   int // 0 is none
	read    int
}

// errEnough ends a read whose consumer wants no more.
var errEnough = errors.New("enough")

// all yields until the end, the limit, or an error that no other client heals. It says whether it came to the end.
func (c *cursor) all(ctx context.Context, what string, yield func(eventlog.Recorded, error) bool) (whole bool) {
	ctx, cancel := c.log.living(ctx)
	defer cancel()
	err := eventlog.CheckLimit(c.limit)
	if err == nil {
		err = c.log.ready(ctx)
	}
	for failures := 0; err == nil; failures++ {
		before := c.read
		var meaning upshot
		if meaning, err = c.some(ctx, yield); err == nil || errors.Is(err, errEnough) || meaning == missing {
			return err == nil
		}
		if c.read > before {
			failures = 0
		}
		err = c.again(ctx, meaning, failures, err)
	}
	yield(eventlog.Recorded{}, fmt.Errorf("%s: %w", what, err))
	return false
}

// again waits before the next attempt, unless there is none.
func (c *cursor) again(ctx context.Context, meaning upshot, failures int, last error) error {
	switch {
	case ctx.Err() != nil:
		return c.log.gaveUp(ctx, last)
	case meaning == refused:
		return c.log.explain(last)
	case meaning == unsent:
		return last
	}
	if failures >= patientFailures {
		return fmt.Errorf("%w: gave up after %d attempts", c.log.explain(last), failures)
	}
	return c.log.wait(ctx, failures, last)
}

// patientFailures is how often in a row a read fails without an event before it gives up.
const patientFailures = 12

// some makes one attempt.
func (c *cursor) some(ctx context.Context, yield func(eventlog.Recorded, error) bool) (upshot, error) {
	patient, stop := c.log.bounded(ctx)
	s, err := c.log.connection.client(patient)
	stop()
	if err != nil {
		return unsent, err
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	finds := make(chan found, ahead)
	answers := start(reading, c.log.connection, s, func(ctx context.Context, client *esdb.Client) (struct{}, error) {
		defer close(finds)
		return struct{}{}, c.receive(ctx, client, func(f found) error {
			select {
			case finds <- f:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	err = c.take(ctx, finds, yield)
	switch {
	case errors.Is(err, errSilent):
		c.log.connection.suspect(s)
		return late, err
	case err != nil:
		return refused, err
	}
	a := <-answers // the goroutine has closed finds, so it waits for nobody
	return a.meaning, a.err
}

// errSilent is a read whose server sends nothing more.
var errSilent = fmt.Errorf("%w: the server has stopped sending", eventlog.ErrUnavailable)

// take yields what comes until there is no more.
func (c *cursor) take(ctx context.Context, finds <-chan found, yield func(eventlog.Recorded, error) bool) error {
	silence := time.NewTimer(c.log.config.Answer)
	defer silence.Stop()
	for {
		select {
		case f, more := <-finds:
			if !more {
				return nil
			}
			if err := c.one(ctx, f, yield); err != nil {
				return err
			}
			silence.Reset(c.log.config.Answer)
		case <-silence.C:
			return errSilent
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *cursor) one(ctx context.Context, f found, yield func(eventlog.Recorded, error) bool) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if err := c.advance(f); err != nil || f.checkpoint != nil {
		return err
	}
	c.read++
	if !yield(f.event, nil) || c.read == c.limit {
		return errEnough
	}
	return nil
}

// ReadStream yields events of one stream, see eventlog.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, from eventlog.Revision, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		next := max(from, 0)
		c := &cursor{log: l, limit: limit}
		c.receive = func(ctx context.Context, client *esdb.Client, hand hand) error {
			options := esdb.ReadStreamOptions{From: esdb.Revision(uint64(next)), RequiresLeader: true}
			read, err := client.ReadStream(ctx, l.names.events+stream, options, wanted(limit, c.read))
			if err != nil {
				return err
			}
			defer read.Close()
			return l.drain(read, hand)
		}
		c.advance = func(f found) error {
			if f.event.Revision != next {
				return fmt.Errorf("%w: stream %s lacks its revision %d; restore a backup", eventlog.ErrDamaged, stream, next)
			}
			next++
			return nil
		}
		c.all(ctx, "read stream "+stream, yield)
	}
}

// wanted is how many events the server shall send.
func wanted(limit, read int) uint64 {
	if limit == 0 {
		return math.MaxInt64
	}
	return uint64(limit - read)
}

// drain hands on what a read of a stream brings.
func (l *Log) drain(read *esdb.ReadStream, hand hand) error {
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
		if err := hand(found{event: event}); err != nil {
			return err
		}
	}
}

// ReadAll yields events of the whole log, see eventlog.Log. It ends at the end of $all that
// stood when it began: the client has a filter for subscriptions alone, and one of those
// would run after a consumer that appends.
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
		l.readAll(ctx, after, tail, limit, yield)
	}
}

// readAll yields events after one position and up to another.
func (l *Log) readAll(ctx context.Context, after, tail eventlog.Position, limit int, yield func(eventlog.Recorded, error) bool) {
	last, head := after, eventlog.Position(0) // the last event, and the last one that was found
	behind := at(after)
	c := &cursor{log: l, limit: limit}
	c.receive = func(ctx context.Context, client *esdb.Client, hand hand) error {
		from := last
		err := l.follow(ctx, client, behind, tail, hand)
		if !between(err) {
			return err
		}
		before, err := l.before(ctx, client, from)
		if err != nil {
			return err
		}
		return l.follow(ctx, client, at(before), tail, func(f found) error {
			if f.checkpoint == nil && f.event.Position <= from {
				return nil
			}
			return hand(f)
		})
	}
	c.advance = func(f found) error {
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
		l.frontier.saw(head)
		return nil
	}
	if c.all(ctx, "read after position "+after.String(), yield) {
		l.frontier.covered(after, head, tail)
	}
}

// follow hands on the events of the log behind a place and up to a position.
func (l *Log) follow(ctx context.Context, client *esdb.Client, behind esdb.Position, tail eventlog.Position, hand hand) error {
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
			if err := hand(found{event: event}); err != nil {
				return err
			}
			if event.Position == tail {
				return nil
			}
		case next.CheckPointReached != nil:
			if covers(*next.CheckPointReached, tail) {
				return nil
			}
			if err := hand(found{checkpoint: next.CheckPointReached}); err != nil {
				return err
			}
		case next.CaughtUp != nil:
			return nil
		}
	}
}

// between says that a read was refused because no event of $all begins where it should.
func between(err error) bool {
	return err != nil && status.Code(unwrapped(err)) == codes.InvalidArgument && strings.Contains(err.Error(), "invalid position")
}

// before returns the position of an event of $all before a position at which none begins,
// near if that lies near the end; 0 is before all.
func (l *Log) before(ctx context.Context, client *esdb.Client, position eventlog.Position) (eventlog.Position, error) {
	read, err := client.ReadAll(ctx, fromTheEnd, farBack)
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

// at is where an event is in $all.
func at(position eventlog.Position) esdb.Position {
	return esdb.Position{Commit: uint64(position), Prepare: uint64(position)}
}

// covers says that a checkpoint lies at or behind an event. One of which only the commit
// position is that of the event lies before it: the server puts checkpoints between events.
func covers(checkpoint esdb.Position, event eventlog.Position) bool {
	return checkpoint.Commit > uint64(event) || checkpoint.Commit == uint64(event) && checkpoint.Prepare >= uint64(event)
}

// from is where a subscription begins, which leaves out the event at that place.
func from(behind esdb.Position) esdb.AllPosition {
	if behind == (esdb.Position{}) {
		return esdb.Start{}
	}
	return behind
}
