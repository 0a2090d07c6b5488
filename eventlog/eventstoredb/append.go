package eventstoredb

import (
	"context"
	"errors"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// maxServerBytes is what servers take in one append unless they are told otherwise. They
// count metadata too, and a type twice.
const maxServerBytes = 1 << 20

// attempt is one call of Append on its way.
type attempt struct {
	log      *Log
	stream   string
	expected eventlog.Revision
	events   []esdb.EventData
	// id marks what this call wrote.
	id uuid.UUID
	// sent says that an attempt was made whose outcome is not known.
	sent bool
}

// Append writes all events or none, see eventlog.Log. Where an attempt gets no answer, the
// same ids are sent again at the same expected revision, for which the server's answer is exact.
func (l *Log) Append(ctx context.Context, stream string, expected eventlog.Revision, events ...eventlog.Event) (eventlog.Appended, error) {
	prepared, err := eventlog.Check(stream, expected, events)
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
	a := &attempt{log: l, stream: stream, expected: expected, id: uuid.New(), events: make([]esdb.EventData, len(events))}
	size := 0
	for i, event := range events {
		var err error
		if a.events[i], err = encode(stream, expected+1+eventlog.Revision(i), event, a.id); err != nil {
			return nil, fmt.Errorf("%w: event %d of %d: %w", eventlog.ErrInvalid, i+1, len(events), err)
		}
		size += len(a.events[i].Data) + len(a.events[i].Metadata) + 2*len(event.Type)
	}
	if size > maxServerBytes {
		return nil, fmt.Errorf("%w: %d bytes with types, causes and checksums, the server takes %d", eventlog.ErrTooLarge, size, maxServerBytes)
	}
	return a, nil
}

// run sends the append until its outcome is known or ctx has ended.
func (a *attempt) run(ctx context.Context) (eventlog.Appended, error) {
	for failures := 0; ; failures++ {
		_, meaning, err := try(ctx, a.log, a.send)
		switch meaning {
		case done:
			return a.place(ctx)
		case wrong:
			if refusal := a.conflict(ctx); refusal != nil {
				return eventlog.Appended{}, refusal
			}
			continue
		case refused:
			return eventlog.Appended{}, a.unknown(a.log.explain(err))
		case unsent:
			return eventlog.Appended{}, a.unknown(a.log.gone(ctx, err))
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

// unknown says that nobody knows the outcome, if an attempt may have come through.
func (a *attempt) unknown(err error) error {
	if a.sent {
		return fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, err)
	}
	return err
}

// place reads back the last event of the append, which the server says is in the log. That
// it bears another mark says that somebody else wrote it before.
func (a *attempt) place(ctx context.Context) (eventlog.Appended, error) {
	a.sent = true
	last := a.expected + eventlog.Revision(len(a.events))
	options := esdb.ReadStreamOptions{From: esdb.Revision(uint64(last)), RequiresLeader: true}
	resolved, err := ask(ctx, a.log, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
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
		return eventlog.Appended{}, fmt.Errorf("%w: stream %s holds event %s at revision %d, where the server says that %s is",
			eventlog.ErrDamaged, a.stream, recorded.ID, recorded.Revision, a.events[len(a.events)-1].EventID)
	}
	a.log.frontier.saw(recorded.Position)
	return eventlog.Appended{Revision: last, Position: recorded.Position, Repeat: e.Append != a.id}, nil
}

// conflict reads where the stream stands, which the client tells in prose alone. It is nil
// if the stream has come to stand where it was expected meanwhile.
func (a *attempt) conflict(ctx context.Context) error {
	actual := eventlog.NoStream
	event, err := a.log.last(ctx, a.log.names.events+a.stream)
	switch {
	case err == nil:
		actual = eventlog.Revision(event.EventNumber)
	case upshotOf(err) != missing:
		return err
	}
	if actual == a.expected {
		return nil
	}
	return &eventlog.Conflict{Stream: a.stream, Expected: a.expected, Actual: actual}
}

// gone is the error of a call that found no client.
func (l *Log) gone(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), eventlog.ErrClosed) {
		return eventlog.ErrClosed
	}
	return err
}
