package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/droverhq/drover/eventlog"
)

// headCache caches what this process knows about the end of the log, so that Head reads only newer events. $all
// contains the events of all streams, and the client cannot filter a backward read.
type headCache struct {
	mu sync.Mutex
	// head is the position of the last known event of the log.
	head eventlog.Position
	// scanned is the position in $all up to which the log has no event after head.
	scanned eventlog.Position
}

// known returns both positions.
func (f *headCache) known() (head, scanned eventlog.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head, f.scanned
}

// observe records the position of an event of the log.
func (f *headCache) observe(position eventlog.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head = max(f.head, position)
}

// covered records that the log was read from after to end and that its last event is at head.
func (f *headCache) covered(after, head, end eventlog.Position) {
	if _, scanned := f.known(); after <= scanned {
		f.advance(head, end)
	}
}

// advance records that head is the position of the log's last event up to end.
func (f *headCache) advance(head, end eventlog.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head, f.scanned = max(f.head, head), max(f.scanned, end)
}

// reset clears both positions. They are beyond the end of the cluster, because an older backup was restored.
func (f *headCache) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head, f.scanned = 0, 0
}

// headSearchLimit is how many events of $all Head reads backwards. Beyond it, Head reads forwards: that takes
// longer, but an interrupted read continues where it stopped.
const headSearchLimit = 4096

// Head returns the position of the last event.
func (l *Log) Head(ctx context.Context) (eventlog.Position, error) {
	if err := l.ready(ctx); err != nil {
		return 0, fmt.Errorf("read head: %w", err)
	}
	head, err := retry(ctx, l, l.head)
	if errors.Is(err, errTooFar) {
		_, scanned := l.frontier.known()
		err = nil
		for _, broken := range l.ReadAll(ctx, scanned, 0) {
			err = broken
		}
		head, _ = l.frontier.known()
	}
	if err != nil {
		return 0, fmt.Errorf("read head: %w", err)
	}
	return head, nil
}

// errTooFar reports that the last events of $all include none of the log.
var errTooFar = fmt.Errorf("%w: the log's last event is too far from the end of $all", eventlog.ErrUnavailable)

// head reads $all backwards to the last event of the log, or to what was read before.
func (l *Log) head(ctx context.Context, client *esdb.Client) (eventlog.Position, error) {
	read, err := client.ReadAll(ctx, fromTheEnd, headSearchLimit)
	if err != nil {
		return 0, err
	}
	defer read.Close()
	head, scanned := l.frontier.known()
	end := eventlog.Position(0)
	for n := 0; ; n++ {
		resolved, err := read.Recv()
		if errors.Is(err, io.EOF) && n == headSearchLimit {
			return 0, errTooFar
		}
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		event := resolved.OriginalEvent()
		position := eventlog.Position(event.Position.Commit)
		if n == 0 {
			end = position
			if end < scanned {
				l.frontier.reset()
				head, scanned = 0, 0
			}
		}
		if strings.HasPrefix(event.StreamID, l.names.events) {
			head = position
		} else if position > scanned {
			continue
		}
		l.frontier.advance(head, end)
		return head, nil
	}
}

// fromTheEnd reads $all backwards.
var fromTheEnd = esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}, RequiresLeader: true}

// tail returns the position of the last event of $all in any stream; 0 if $all is empty.
func (l *Log) tail(ctx context.Context) (eventlog.Position, error) {
	event, err := retry(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadAll(ctx, fromTheEnd, 1))
	})
	if err != nil && outcomeOf(err) == streamMissing {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return eventlog.Position(event.Position.Commit), nil
}
