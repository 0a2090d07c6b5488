package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// OpenPooled opens a log that calls released each time a connection returns to its pool.
func OpenPooled(ctx context.Context, url string, released func(*pgx.Conn) bool) (*Log, error) {
	at, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	at.config.AfterRelease = released
	return open(ctx, at, Config{}.withDefaults())
}

// LostAnswers returns the number of appends that the writer sent without receiving an answer.
func LostAnswers(l *Log) int64 { return l.writer.lost.Load() }

// Taken returns the number of appends that the writer has taken.
func Taken(l *Log) int64 { return l.writer.taken.Load() }

// Waiting returns the number of appends that wait for the writer.
func Waiting(l *Log) int { return len(l.writer.queue) }

// WithFormats returns the config of a newer version with more formats of the schema.
func WithFormats(more ...string) Config { return Config{formats: append(formats[:1:1], more...)} }

// FormatOne returns the statements that create the tables of a log in the first version.
func FormatOne(schema string) string { return inSchema(formatOne, schema) }

// Batches returns the number of batches that the writer has sent.
func Batches(l *Log) int64 { return l.writer.batches.Load() }
