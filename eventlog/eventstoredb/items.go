package eventstoredb

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// The item under a key of a durable collection is the last event of that key's own stream, which retains no other
// event. That event may also be a tombstone, which means that the item was dropped. Every change expects the revision
// that it has read, so only one of several concurrent changes succeeds.
//
// A directory stream lists the keys of a collection. Each line names a revision of the key's stream, and lines are
// compared by that revision, not by their order. A writer lists a new key, with the revision that it expects, before it
// writes the item. A writer that drops an item writes the tombstone first and then lists the tombstone's revision. A
// key exists if its newest listing is not older than its newest tombstone. A process that dies between two writes can
// therefore leave a listed key without an item, which readers skip, but never an item that is not listed.

// Types of the auxiliary events for items and of the lines in their directory.
const (
	itemPut     = "item.put/v1"
	itemDropped = "item.dropped/v1"
)

// noRevision is the revision of a stream that does not exist.
const noRevision = -1

// itemLine is a line of the directory.
type itemLine struct {
	Key string `json:"key"`
	// Revision is, for a put, the revision at which the writer found the end of the key's stream; for a drop, the revision
	// of the tombstone.
	Revision int64 `json:"revision"`
}

// lastItem is the end of a key's stream.
type lastItem struct {
	eventlog.Item // the zero Item if the key has no item
	revision      int64
}

// expected returns the revision that the next change of the stream expects.
func (h lastItem) expected() esdb.ExpectedRevision {
	if h.revision == noRevision {
		return esdb.NoStream{}
	}
	return esdb.Revision(uint64(h.revision))
}

// readItem returns the item under a key.
func (l *Log) readItem(ctx context.Context, c eventlog.Collection, key string) (lastItem, error) {
	options := esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}, RequiresLeader: true}
	event, err := retry(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadStream(ctx, l.names.item(c, key), options, 1))
	})
	switch {
	case err != nil && outcomeOf(err) == streamMissing:
		return lastItem{revision: noRevision}, nil
	case err != nil:
		return lastItem{}, err
	case event.EventType != itemPut:
		return lastItem{revision: int64(event.EventNumber)}, nil
	}
	item, err := decodeItem(key, event)
	return lastItem{item, int64(event.EventNumber)}, err
}

// putItem stores item unless skip returns true or an error for the current item.
func (l *Log) putItem(ctx context.Context, c eventlog.Collection, item eventlog.Item,
	skip func(current eventlog.Item) (bool, error)) error {
	note, err := json.Marshal(itemNote{Sequence: item.Sequence, Time: item.Time})
	if err != nil {
		return err
	}
	event := esdb.EventData{EventID: uuid.New(), EventType: itemPut, Data: item.Data, Metadata: note}
	for {
		current, err := l.readItem(ctx, c, item.Key)
		if err != nil {
			return err
		}
		if done, err := skip(current.Item); err != nil || done {
			return err
		}
		if current.Sequence == 0 {
			if err := l.listItem(ctx, c, itemPut, itemLine{item.Key, current.revision}); err != nil {
				return err
			}
			if err := l.setMetadata(ctx, l.names.item(c, item.Key), onlyLast()); err != nil {
				return err
			}
		}
		if err := l.change(ctx, c, item.Key, current, event); err == nil || outcomeOf(err) != wrongRevision {
			return err
		}
	}
}

// dropItem replaces an item with a tombstone.
func (l *Log) dropItem(ctx context.Context, c eventlog.Collection, key string) error {
	tombstone := esdb.EventData{EventID: uuid.New(), EventType: itemDropped}
	for {
		current, err := l.readItem(ctx, c, key)
		if err != nil || current.Sequence == 0 {
			return err
		}
		err = l.change(ctx, c, key, current, tombstone)
		if err == nil {
			return l.listItem(ctx, c, itemDropped, itemLine{key, current.revision + 1})
		}
		if outcomeOf(err) != wrongRevision {
			return err
		}
	}
}

// change appends event to a key's stream at the revision that was read. If the stream has changed since, outcomeOf
// classifies the error as wrongRevision.
func (l *Log) change(ctx context.Context, c eventlog.Collection, key string, current lastItem,
	event esdb.EventData) error {
	options := esdb.AppendToStreamOptions{ExpectedRevision: current.expected(), RequiresLeader: true}
	_, uncertain, err := retryWrite(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.WriteResult, error) {
		return client.AppendToStream(ctx, l.names.item(c, key), options, event)
	})
	if uncertain {
		return fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, err)
	}
	return err
}

// listItem writes a line into the directory of a collection.
func (l *Log) listItem(ctx context.Context, c eventlog.Collection, kind string, line itemLine) error {
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	event := esdb.EventData{EventID: uuid.New(), EventType: kind, ContentType: esdb.ContentTypeJson, Data: data}
	_, err = l.put(ctx, l.names.itemDirectory(c), esdb.Any{}, event)
	return err
}

// readItems returns the item under each key of a collection.
func (l *Log) readItems(ctx context.Context, c eventlog.Collection) (map[string]eventlog.Item, error) {
	keys, err := l.itemKeys(ctx, c)
	if err != nil {
		return nil, err
	}
	found := map[string]eventlog.Item{}
	for _, key := range keys {
		current, err := l.readItem(ctx, c, key)
		if err != nil {
			return nil, err
		}
		if current.Sequence > 0 {
			found[key] = current.Item
		}
	}
	return found, nil
}

// itemKeys reads the directory of a collection from its beginning: it may be shorter than before, if the cluster
// was restored.
func (l *Log) itemKeys(ctx context.Context, c eventlog.Collection) (keys []string, err error) {
	type last struct{ put, dropped int64 }
	lasts := map[string]last{}
	var damaged error
	err = l.walk(ctx, l.names.itemDirectory(c), 0, func(event *esdb.RecordedEvent) (enough bool) {
		var line itemLine
		if damaged = json.Unmarshal(event.Data, &line); damaged != nil {
			damaged = fmt.Errorf("%w: revision %d of %s: %w", eventlog.ErrDamaged, event.EventNumber, event.StreamID,
				damaged)
			return true
		}
		at, known := lasts[line.Key]
		if !known {
			at = last{put: math.MinInt64, dropped: math.MinInt64}
		}
		if event.EventType == itemPut {
			at.put = max(at.put, line.Revision)
		} else {
			at.dropped = max(at.dropped, line.Revision)
		}
		lasts[line.Key] = at
		return false
	})
	if err == nil {
		err = damaged
	}
	if err != nil {
		return nil, err
	}
	for key, at := range lasts {
		if at.put >= at.dropped {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func decodeItem(key string, event *esdb.RecordedEvent) (eventlog.Item, error) {
	var note itemNote
	if err := json.Unmarshal(event.UserMetadata, &note); err != nil || note.Sequence < 1 {
		return eventlog.Item{}, fmt.Errorf("%w: revision %d of %s has no sequence", eventlog.ErrDamaged,
			event.EventNumber, event.StreamID)
	}
	return eventlog.Item{Key: key, Sequence: note.Sequence, Time: note.Time, Data: append([]byte{}, event.Data...)}, nil
}
