package eventstoredb

import (
	"context"
	"errors"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// pageEvents is how many events of an auxiliary stream are held in memory, at most 4 MiB of output.
const pageEvents = 64

// put appends one event to an auxiliary stream and returns its revision. If the stream is not at the expected revision,
// outcomeOf classifies the error as wrongRevision.
func (l *Log) put(ctx context.Context, stream string, expected esdb.ExpectedRevision, event esdb.EventData) (uint64,
	error) {
	options := esdb.AppendToStreamOptions{ExpectedRevision: expected, RequiresLeader: true}
	return retry(ctx, l, func(ctx context.Context, client *esdb.Client) (uint64, error) {
		written, err := client.AppendToStream(ctx, stream, options, event)
		if err != nil {
			return 0, err
		}
		return written.NextExpectedVersion, nil
	})
}

// setMetadata sets the metadata of an auxiliary stream.
func (l *Log) setMetadata(ctx context.Context, stream string, limits esdb.StreamMetadata) error {
	options := esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}, RequiresLeader: true}
	_, err := retry(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.WriteResult, error) {
		return client.SetStreamMetadata(ctx, stream, options, limits)
	})
	return err
}

// page returns the next events of a stream, starting at a revision. Fewer than pageEvents events mean
// the end. A missing stream has none.
func (l *Log) page(ctx context.Context, stream string, from uint64) ([]*esdb.RecordedEvent, error) {
	options := esdb.ReadStreamOptions{From: esdb.Revision(from), RequiresLeader: true}
	events, err := retry(ctx, l, func(ctx context.Context, client *esdb.Client) ([]*esdb.RecordedEvent, error) {
		read, err := client.ReadStream(ctx, stream, options, pageEvents)
		if err != nil {
			return nil, err
		}
		defer read.Close()
		return gather(read)
	})
	if err != nil && outcomeOf(err) == streamMissing {
		return nil, nil
	}
	return events, err
}

func gather(read *esdb.ReadStream) ([]*esdb.RecordedEvent, error) {
	var events []*esdb.RecordedEvent
	for {
		resolved, err := read.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		events = append(events, resolved.OriginalEvent())
	}
}

// walk calls visit for each event of a stream, starting at a revision, until visit returns true.
func (l *Log) walk(ctx context.Context, stream string, from uint64,
	visit func(event *esdb.RecordedEvent) (enough bool)) error {
	for {
		events, err := l.page(ctx, stream, from)
		if err != nil {
			return err
		}
		for _, event := range events {
			if visit(event) {
				return nil
			}
			from = event.EventNumber + 1
		}
		if len(events) < pageEvents {
			return nil
		}
	}
}
