package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// OpenPooled opens a log whose connections go through released each time they were used.
func OpenPooled(ctx context.Context, url string, released func(*pgx.Conn) bool) (*Log, error) {
	at, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	at.config.AfterRelease = released
	return open(ctx, at, Config{}.withDefaults())
}

// Doubted returns how many appends the writer of l sent whose answer it did not get.
func Doubted(l *Log) int64 { return l.writer.doubted.Load() }

// Taken returns how many appends the writer of l has begun with.
func Taken(l *Log) int64 { return l.writer.taken.Load() }

// Waiting returns how many appends wait for the writer of l.
func Waiting(l *Log) int { return len(l.writer.queue) }

// WithFormats returns a config of a drover whose schema has more formats.
func WithFormats(more ...string) Config { return Config{formats: append(formats[:1:1], more...)} }

// FormatOne are the statements that make the tables of a log as the first version did.
func FormatOne(schema string) string { return inSchema(formatOne, schema) }

// Batches returns how many round trips the writer of l made of what it took.
func Batches(l *Log) int64 { return l.writer.batches.Load() }
