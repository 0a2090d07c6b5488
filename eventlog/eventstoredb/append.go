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
	return l.append(ctx, stream, expected, events, (*attempt).readBack)
}

var _ eventlog.Importer = (*Log)(nil)

// AppendForImport appends without reading the position back, see eventlog.Importer.
func (l *Log) AppendForImport(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) error {
	_, err := l.append(ctx, stream, expected, events, func(*attempt, context.Context) (eventlog.Appended, error) {
		return eventlog.Appended{}, nil
	})
	return err
}

// append writes the events. It returns the result of stored, which it calls when the events are stored.
func (l *Log) append(ctx context.Context, stream string, expected eventlog.Revision, events []eventlog.Event,
	stored func(*attempt, context.Context) (eventlog.Appended, error)) (eventlog.Appended, error) {
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
	if err = a.run(ctx); err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	appended, err := stored(a, ctx)
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

// run sends the append until its outcome is known or ctx is done. It returns nil if the events are stored.
func (a *attempt) run(ctx context.Context) error {
	for failures := 0; ; failures++ {
		_, meaning, err := try(ctx, a.log, a.send)
		switch meaning {
		case done:
			return nil
		case wrongRevision:
			repeat, refusal := a.resolve(ctx)
			if refusal != nil || repeat {
				return refusal
			}
		case refused:
			return a.unknown(a.log.explain(err))
		case unsent:
			return a.unknown(a.log.noClient(ctx, err))
		case lost, late:
			a.sent = true
		}
		if err := a.log.wait(ctx, failures, err); err != nil {
			return a.unknown(err)
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

// readBack reads the last event of an append that is stored. If the event has the mark of another call, another writer
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

// resolve decides what a wrong expected revision means. The server also reports it for a repeat that arrives before its
// first append is indexed, if it remembers the ids from another stream. So resolve compares the ids that the stream
// holds at the place of the append. It also reads the actual revision, which the client reports only inside a message
// text.
//
// It returns true if the events are stored, and *Conflict if the stream has other events. It returns false and nil if
// readers do not see the conflicting append yet, or if the stream has reached the expected revision in the meantime.
// Then the append must be sent again.
func (a *attempt) resolve(ctx context.Context) (repeat bool, err error) {
	actual, err := a.actual(ctx)
	if err != nil {
		return false, a.unknown(err)
	}
	var stored []uuid.UUID
	if a.expected < actual {
		if stored, err = a.stored(ctx); err != nil {
			return false, a.unknown(err)
		}
	}
	sent := make([]eventlog.Event, len(a.events))
	for i, event := range a.events {
		sent[i].ID = event.EventID
	}
	return eventlog.IsRepeat(a.stream, a.expected, actual, sent, stored)
}

// actual returns the last revision of the stream.
func (a *attempt) actual(ctx context.Context) (eventlog.Revision, error) {
	event, err := a.log.last(ctx, a.log.names.events+a.stream)
	if err != nil && outcomeOf(err) == streamMissing {
		return eventlog.NoStream, nil
	}
	if err != nil {
		return 0, err
	}
	return eventlog.Revision(event.EventNumber), nil
}

// stored returns the ids in the stream after the expected revision: at most as many as the append has events, and none
// after the first that differs from the append.
func (a *attempt) stored(ctx context.Context) (ids []uuid.UUID, err error) {
	err = a.log.walk(ctx, a.log.names.events+a.stream, uint64(a.expected+1), func(event *esdb.RecordedEvent) bool {
		ids = append(ids, event.EventID)
		return len(ids) == len(a.events) || event.EventID != a.events[len(ids)-1].EventID
	})
	return ids, err
}

// noClient returns the error of a call that got no client.
func (l *Log) noClient(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), eventlog.ErrClosed) {
		return eventlog.ErrClosed
	}
	return err
}
