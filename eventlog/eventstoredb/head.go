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

// frontier is what is known of the end of the log, so that only what came since is looked
// at: $all holds the events of all streams, and the client filters no read from the end.
type frontier struct {
	mu sync.Mutex
	// head is the position of the last event of the log that was seen.
	head eventlog.Position
	// scanned is a position in $all up to which no event of the log is later than head.
	scanned eventlog.Position
}

// known returns both positions.
func (f *frontier) known() (head, scanned eventlog.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head, f.scanned
}

// saw takes note of an event of the log.
func (f *frontier) saw(position eventlog.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head = max(f.head, position)
}

// covered takes note that the log was read from one position to another, last the event at head.
func (f *frontier) covered(after, head, end eventlog.Position) {
	if _, scanned := f.known(); after <= scanned {
		f.reached(head, end)
	}
}

// reached takes note that head is the last event of the log up to end.
func (f *frontier) reached(head, end eventlog.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head, f.scanned = max(f.head, head), max(f.scanned, end)
}

// forget is for a cluster whose end lies before what was seen: a backup was restored.
func (f *frontier) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head, f.scanned = 0, 0
}

// farBack is how many events Head looks through from the end of $all before it goes the
// other way, which is longer but gets on even if it is broken off.
const farBack = 4096

// Head returns the position of the last event.
func (l *Log) Head(ctx context.Context) (eventlog.Position, error) {
	if err := l.ready(ctx); err != nil {
		return 0, fmt.Errorf("read head: %w", err)
	}
	head, err := ask(ctx, l, l.head)
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

// errTooFar says that the head was not found among the last events of $all.
var errTooFar = fmt.Errorf("%w: the log's last event lies far from the end", eventlog.ErrUnavailable)

// head reads $all backwards until an event of the log, or what was read before.
func (l *Log) head(ctx context.Context, client *esdb.Client) (eventlog.Position, error) {
	read, err := client.ReadAll(ctx, fromTheEnd, farBack)
	if err != nil {
		return 0, err
	}
	defer read.Close()
	head, scanned := l.frontier.known()
	end := eventlog.Position(0)
	for n := 0; ; n++ {
		resolved, err := read.Recv()
		if errors.Is(err, io.EOF) && n == farBack {
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
				l.frontier.forget()
				head, scanned = 0, 0
			}
		}
		if strings.HasPrefix(event.StreamID, l.names.events) {
			head = position
		} else if position > scanned {
			continue
		}
		l.frontier.reached(head, end)
		return head, nil
	}
}

// fromTheEnd reads $all backwards.
var fromTheEnd = esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}, RequiresLeader: true}

// tail returns the position of the last event of $all, whosever it is; 0 if there is none.
func (l *Log) tail(ctx context.Context) (eventlog.Position, error) {
	event, err := ask(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadAll(ctx, fromTheEnd, 1))
	})
	if err != nil && upshotOf(err) == missing {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return eventlog.Position(event.Position.Commit), nil
}
