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

// Config says how a log is kept; the zero value works.
type Config struct {
	// Logger hears when the cluster is lost and found; nil is silence.
	Logger *zap.Logger
	// ID is the id of a log that is made now; zero draws one by lot. For a log that is there
	// it must be its id.
	ID uuid.UUID
	// Existing refuses with ErrForeign to make a log where there is none, for those who only look at one.
	Existing bool
	// Patience is how long a call goes on trying while the cluster does not answer, unless
	// its context ends before; 0 is 30 s.
	Patience time.Duration
	// Answer is how long one attempt of a call waits for its answer; 0 is 5 s.
	Answer time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Patience <= 0 {
		c.Patience = 30 * time.Second
	}
	if c.Answer <= 0 {
		c.Answer = 5 * time.Second
	}
	return c
}

// openPatience is how long Open tries to reach the cluster. Somebody waits for it.
const openPatience = 10 * time.Second

// format is the newest layout of a log that this program knows.
const format = 1

// identity is the one event in the stream that says that there is a log, and which.
type identity struct {
	Format int       `json:"format"`
	ID     uuid.UUID `json:"id"`
}

// Open opens the log that a connection string means, and makes it where it is missing:
// esdb://[USER:PASSWORD@]HOST:2113[,HOST:2113]... or esdb+discover://NAME:2113, with the
// client's parameters (tls, tlsCaFile, ...) and log=NAME, without which the name is "default".
// It returns ErrForeign for a log of another id than Config.ID or of a newer format, and
// for a server older than 23.10.
func Open(ctx context.Context, connectionString string, config Config) (*Log, error) {
	t, err := parse(connectionString)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	config = config.withDefaults()
	l := &Log{names: namesOf(t.log), config: config, connection: newConnection(t, config)}
	l.alive, l.end = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeoutCause(ctx, min(config.Patience, openPatience), errPatience)
	defer cancel()
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", t.log, err), l.Close())
	}
	return l, nil
}

// prepare finds the log's id and tries what every server must be able to do.
func (l *Log) prepare(ctx context.Context) error {
	held, err := l.identify(ctx)
	if err != nil {
		return err
	}
	switch {
	case held.Format > format:
		return fmt.Errorf("%w: it has format %d and this drover knows formats up to %d; use a newer drover", eventlog.ErrForeign, held.Format, format)
	case held.ID == uuid.Nil:
		return fmt.Errorf("%w: stream %s holds no id", eventlog.ErrForeign, l.names.identity())
	case l.config.ID != uuid.Nil && held.ID != l.config.ID:
		return fmt.Errorf("%w: %s holds the log %s, not %s; is it another cluster?", eventlog.ErrForeign, l.connection.target.shown, held.ID, l.config.ID)
	}
	l.id = held.ID
	_, err = l.tail(ctx)
	return err
}

// identify reads the log's id, and writes one where there is none. Of several that do so at
// once one wins, because each expects an empty stream.
func (l *Log) identify(ctx context.Context) (identity, error) {
	for {
		held, err := l.readIdentity(ctx)
		if err == nil || upshotOf(err) != missing {
			return held, err
		}
		if l.config.Existing {
			return identity{}, fmt.Errorf("%w: %s has no log of that name", eventlog.ErrForeign, l.connection.target.shown)
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
		_, err = ask(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.WriteResult, error) {
			return client.AppendToStream(ctx, l.names.identity(), esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, event)
		})
		if err != nil && upshotOf(err) != wrong {
			return identity{}, err
		}
	}
}

func (l *Log) readIdentity(ctx context.Context) (held identity, err error) {
	event, err := ask(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadStream(ctx, l.names.identity(), esdb.ReadStreamOptions{From: esdb.Start{}}, 1))
	})
	if err != nil {
		return identity{}, err
	}
	if err := json.Unmarshal(event.Data, &held); err != nil {
		return identity{}, fmt.Errorf("%w: stream %s holds no id: %w", eventlog.ErrForeign, l.names.identity(), err)
	}
	return held, nil
}

// last returns the last event of a stream, whatever it is for. upshotOf calls its error missing if there is none.
func (l *Log) last(ctx context.Context, stream string) (*esdb.RecordedEvent, error) {
	options := esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}
	return ask(ctx, l, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
		return first(client.ReadStream(ctx, stream, options, 1))
	})
}

// first returns the event of a read of one, errEmpty if there is none. It reads to the end,
// because a call that is broken off costs the connection more than that.
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
