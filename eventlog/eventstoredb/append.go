package eventstoredb

import (
	"context"
	"errors"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// maxServerBytes is the default limit of a server for one append. The limit includes metadata, and counts the type
// twice.
const maxServerBytes = 1 << 20

// attempt is the state of one call of Append.
type attempt struct {
	log      *Log
	stream   string
	expected eventlog.Revision
	events   []esdb.EventData
	// id marks the events that this call wrote.
	id uuid.UUID
	// sent means that the outcome of an earlier attempt is unknown.
	sent bool
}

// Append writes all events or none, see eventlog.Log. If an attempt gets no answer, Append sends the same ids again at
// the same expected revision. The server's answer then shows whether the first attempt succeeded.
func (l *Log) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	prepared, err := eventlog.CheckAppend(stream, expected, events)
	if err != nil {
		return eventlog.Appended{}, err
	}
	if err := l.ready(ctx); err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	a, err := l.attempt(stream, expected, prepared)
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	appended, err := a.run(ctx)
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	return appended, nil
}

func (l *Log) attempt(stream string, expected eventlog.Revision, events []eventlog.Event) (*attempt, error) {
	a := &attempt{log: l, stream: stream, expected: expected, id: uuid.New(),
		events: make([]esdb.EventData, len(events))}
	size := 0
	for i, event := range events {
		var err error
		if a.events[i], err = encode(stream, expected+1+eventlog.Revision(i), event, a.id); err != nil {
			return nil, fmt.Errorf("%w: event %d of %d: %w", eventlog.ErrInvalid, i+1, len(events), err)
		}
		size += len(a.events[i].Data) + len(a.events[i].Metadata) + 2*len(event.Type)
	}
	if size > maxServerBytes {
		return nil, fmt.Errorf("%w: %d bytes including types, causes and checksums; the server accepts at most %d",
			eventlog.ErrTooLarge, size, maxServerBytes)
	}
	return a, nil
}

// run sends the append until its outcome is known or ctx is done.
func (a *attempt) run(ctx context.Context) (eventlog.Appended, error) {
	for failures := 0; ; failures++ {
		_, meaning, err := try(ctx, a.log, a.send)
		switch meaning {
		case done:
			return a.readBack(ctx)
		case wrongRevision:
			if refusal := a.conflict(ctx); refusal != nil {
				return eventlog.Appended{}, refusal
			}
			continue
		case refused:
			return eventlog.Appended{}, a.unknown(a.log.explain(err))
		case unsent:
			return eventlog.Appended{}, a.unknown(a.log.noClient(ctx, err))
		case lost, late:
			a.sent = true
		}
		if err := a.log.wait(ctx, failures, err); err != nil {
			return eventlog.Appended{}, a.unknown(err)
		}
	}
}

func (a *attempt) send(ctx context.Context, client *esdb.Client) (*esdb.WriteResult, error) {
	options := esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}, RequiresLeader: true}
	if a.expected >= 0 {
		options.ExpectedRevision = esdb.Revision(uint64(a.expected))
	}
	return client.AppendToStream(ctx, a.log.names.events+a.stream, options, a.events...)
}

// unknown wraps err in ErrUnknownOutcome if an attempt may have succeeded.
func (a *attempt) unknown(err error) error {
	if a.sent {
		return fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, err)
	}
	return err
}

// readBack reads the last event of a successful append. If the event has the mark of another call, another writer
// wrote the same ids first.
func (a *attempt) readBack(ctx context.Context) (eventlog.Appended, error) {
	a.sent = true
	last := a.expected + eventlog.Revision(len(a.events))
	options := esdb.ReadStreamOptions{From: esdb.Revision(uint64(last)), RequiresLeader: true}
	resolved, err := retry(ctx, a.log, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadStream(ctx, a.log.names.events+a.stream, options, 1))
	})
	if err != nil {
		return eventlog.Appended{}, a.unknown(err)
	}
	recorded, e, err := a.log.decode(&esdb.ResolvedEvent{Event: resolved})
	if err != nil {
		return eventlog.Appended{}, err
	}
	if recorded.Revision != last || recorded.ID != a.events[len(a.events)-1].EventID {
		return eventlog.Appended{},
			fmt.Errorf("%w: stream %s has event %s at revision %d, but the server confirmed event %s there",
				eventlog.ErrDamaged, a.stream, recorded.ID, recorded.Revision, a.events[len(a.events)-1].EventID)
	}
	a.log.frontier.observe(recorded.Position)
	return eventlog.Appended{Revision: last, Position: recorded.Position, Repeat: e.Append != a.id}, nil
}

// conflict reads the actual revision of the stream, because the client reports it only inside a message text. It
// returns nil if the stream has reached the expected revision in the meantime.
func (a *attempt) conflict(ctx context.Context) error {
	actual := eventlog.NoStream
	event, err := a.log.last(ctx, a.log.names.events+a.stream)
	switch {
	case err == nil:
		actual = eventlog.Revision(event.EventNumber)
	case outcomeOf(err) != streamMissing:
		return err
	}
	if actual == a.expected {
		return nil
	}
	return &eventlog.Conflict{Stream: a.stream, Expected: a.expected, Actual: actual}
}

// noClient returns the error of a call that got no client.
func (l *Log) noClient(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), eventlog.ErrClosed) {
		return eventlog.ErrClosed
	}
	return err
}
