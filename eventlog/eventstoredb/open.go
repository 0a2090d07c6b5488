package eventstoredb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
)

// Config configures a Log. The zero value works.
type Config struct {
	// Logger reports when the cluster becomes unreachable and reachable again; nil disables logging.
	Logger *zap.Logger
	// ID is the id of a log that Open creates; the zero id means a random one. An existing log must have this id.
	ID uuid.UUID
	// Existing makes Open return ErrForeign instead of creating a missing log. Read-only tools set it.
	Existing bool
	// Insecure permits nodes on other machines without verified TLS.
	Insecure bool
	// RetryTimeout limits how long a call retries while the cluster does not answer; 0 means 30 s. A context that ends
	// earlier takes precedence.
	RetryTimeout time.Duration
	// Timeout limits how long one attempt of a call waits for an answer; 0 means 5 s.
	Timeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.RetryTimeout <= 0 {
		c.RetryTimeout = 30 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	return c
}

// openTimeout limits how long Open tries to reach the cluster. It is short because a user usually waits for it.
const openTimeout = 10 * time.Second

// format is the newest log layout that this program supports.
const format = 1

// identity is the only event in the identity stream. It marks the log as existing and holds its id.
type identity struct {
	Format int       `json:"format"`
	ID     uuid.UUID `json:"id"`
}

// Open opens the log that a connection string names and creates it if it does not exist. The string is
// esdb://[USER:PASSWORD@]HOST:2113[,HOST:2113]... or esdb+discover://NAME:2113, with the client's parameters (tls,
// tlsCaFile, ...) and log=NAME. The default name is "default". Open returns ErrForeign for a log whose id differs
// from Config.ID, for a newer log format, and for a server older than 23.10.
func Open(ctx context.Context, connectionString string, config Config) (*Log, error) {
	t, err := parse(connectionString)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if reason := t.exposure(); reason != "" && !config.Insecure {
		return nil, fmt.Errorf("open log: %s: remove tls=false and tlsVerifyCert=false from the URL, or permit it with "+
			"--insecure", reason)
	}
	config = config.withDefaults()
	l := &Log{names: namesOf(t.log), config: config, connection: newConnection(t, config)}
	l.alive, l.end = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeoutCause(ctx, min(config.RetryTimeout, openTimeout), errTimeout)
	defer cancel()
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", t.log, err), l.Close())
	}
	return l, nil
}

// prepare finds the log's id and checks that the user may read $all.
func (l *Log) prepare(ctx context.Context) error {
	held, err := l.identify(ctx)
	if err != nil {
		return err
	}
	switch {
	case held.Format > format:
		return fmt.Errorf("%w: the log has format %d, but this drover supports formats up to %d; use a newer drover",
			eventlog.ErrForeign, held.Format, format)
	case held.ID == uuid.Nil:
		return fmt.Errorf("%w: stream %s has no log id", eventlog.ErrForeign, l.names.identity())
	case l.config.ID != uuid.Nil && held.ID != l.config.ID:
		return fmt.Errorf("%w: %s holds the log %s, not %s; check that the URL names the right cluster",
			eventlog.ErrForeign, l.connection.target.shown, held.ID, l.config.ID)
	}
	l.id = held.ID
	_, err = l.tail(ctx)
	return err
}

// identify reads the log's id and writes one if the log does not exist. If several processes do so concurrently, one
// succeeds, because each expects an empty stream.
func (l *Log) identify(ctx context.Context) (identity, error) {
	for {
		held, err := l.readIdentity(ctx)
		if err == nil || outcomeOf(err) != streamMissing {
			return held, err
		}
		if l.config.Existing {
			return identity{}, fmt.Errorf("%w: %s has no log with this name", eventlog.ErrForeign,
				l.connection.target.shown)
		}
		id := l.config.ID
		if id == uuid.Nil {
			id = uuid.New()
		}
		data, err := json.Marshal(identity{Format: format, ID: id})
		if err != nil {
			return identity{}, err
		}
		event := esdb.EventData{EventID: id, EventType: "log.created/v1", ContentType: esdb.ContentTypeJson, Data: data}
		_, err = retry(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.WriteResult, error) {
			return client.AppendToStream(ctx, l.names.identity(),
				esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, event)
		})
		if err != nil && outcomeOf(err) != wrongRevision {
			return identity{}, err
		}
	}
}

// identityEvent returns the event in the identity stream. If the stream is empty, outcomeOf classifies the error as
// streamMissing.
func (l *Log) identityEvent(ctx context.Context) (*esdb.RecordedEvent, error) {
	options := esdb.ReadStreamOptions{From: esdb.Start{}, RequiresLeader: true}
	return retry(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadStream(ctx, l.names.identity(), options, 1))
	})
}

// birth returns the place of the identity event in $all. Open writes that event before any other event of the log, so a
// read of the whole log can begin there. If the stream was deleted and written again, the log may have older events;
// then birth returns the start of $all.
//
// ReadAll calls birth for each read from the beginning, because positions change if another cluster is restored under
// a running server.
func (l *Log) birth(ctx context.Context) (esdb.Position, error) {
	event, err := l.identityEvent(ctx)
	if err != nil && outcomeOf(err) != streamMissing {
		return esdb.Position{}, err
	}
	if err != nil || event.EventNumber != 0 {
		return esdb.Position{}, nil
	}
	return event.Position, nil
}

func (l *Log) readIdentity(ctx context.Context) (held identity, err error) {
	event, err := l.identityEvent(ctx)
	if err != nil {
		return identity{}, err
	}
	if err := json.Unmarshal(event.Data, &held); err != nil {
		return identity{}, fmt.Errorf("%w: stream %s has no log id: %w", eventlog.ErrForeign, l.names.identity(), err)
	}
	return held, nil
}

// last returns the last event of any stream. If the stream is empty, outcomeOf classifies the error as streamMissing.
func (l *Log) last(ctx context.Context, stream string) (*esdb.RecordedEvent, error) {
	options := esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}
	return retry(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadStream(ctx, stream, options, 1))
	})
}

// first returns the only event of a read that is limited to one event, or errEmpty. It reads to the end, because after
// a cancelled read the connection cannot be trusted.
func first(read *esdb.ReadStream, err error) (*esdb.RecordedEvent, error) {
	if err != nil {
		return nil, err
	}
	defer read.Close()
	resolved, err := read.Recv()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errEmpty
	case err != nil:
		return nil, err
	}
	_, _ = read.Recv()
	return resolved.OriginalEvent(), nil
}
