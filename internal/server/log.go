package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// LogConfig configures OpenLog. Address or Data is required.
type LogConfig struct {
	// Address is the URL of the log. If it is empty, the log is the file drover.db in Data.
	Address, Data string
	// ID is the id of a new log. If it is zero, a random id is used.
	ID uuid.UUID
	// Existing requires that the log exists. It prevents commands that only read from creating a log.
	Existing bool
	// EventsOnly declares that the caller uses only events, not leases or output, so that no file is created beside the
	// log.
	EventsOnly bool
	// Insecure permits a database on another machine without verified TLS.
	Insecure bool
	// Logger may be nil.
	Logger *zap.Logger
}

// OpenLog opens a log. It creates a missing log unless c.Existing is set.
func OpenLog(ctx context.Context, c LogConfig) (eventlog.Backend, error) {
	address := addressOf(c.Address, c.Data)
	kind, _, _ := strings.Cut(address, ":")
	open := openers[kind]
	if open == nil {
		return nil, fmt.Errorf("unsupported log URL %s: use sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or "+
			"esdb://HOST:2113",
			redacted(address))
	}
	return open(ctx, address, c)
}

// openers maps the scheme of a log URL to the function that opens the log.
var openers = map[string]func(ctx context.Context, address string, c LogConfig) (eventlog.Backend, error){
	"sqlite":             openSQLite,
	"postgres":           openPostgres,
	"postgresql":         openPostgres,
	"esdb":               openEventStore,
	"esdb+discover":      openEventStore,
	"kurrentdb":          openEventStore,
	"kurrentdb+discover": openEventStore,
	"kurrent":            openEventStore,
	"kurrent+discover":   openEventStore,
}

func openSQLite(ctx context.Context, address string, c LogConfig) (eventlog.Backend, error) {
	path, ok := LogFile(address)
	if !ok {
		return nil, fmt.Errorf("log URL %s does not name a file: use sqlite:PATH", redacted(address))
	}
	info, err := os.Stat(path)
	if c.Existing && (errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() && info.Size() == 0) {
		return nil, fmt.Errorf("there is no log at %.200q", path)
	}
	return opened(sqlite.Open(ctx, path, sqlite.Config{Logger: c.Logger, ID: c.ID, EventsOnly: c.EventsOnly}))
}

func openPostgres(ctx context.Context, address string, c LogConfig) (eventlog.Backend, error) {
	return opened(postgres.Open(ctx, address, postgres.Config{Logger: c.Logger, ID: c.ID, Existing: c.Existing,
		Insecure: c.Insecure}))
}

func openEventStore(ctx context.Context, address string, c LogConfig) (eventlog.Backend, error) {
	return opened(eventstoredb.Open(ctx, address, eventstoredb.Config{Logger: c.Logger, ID: c.ID, Existing: c.Existing,
		Insecure: c.Insecure}))
}

// opened converts a log to a Backend that is nil on an error.
func opened[L eventlog.Backend](log L, err error) (eventlog.Backend, error) {
	if err != nil {
		return nil, err
	}
	return log, nil
}

func addressOf(address, data string) string {
	if address == "" {
		return "sqlite:" + filepath.Join(data, "drover.db")
	}
	return address
}

// LogFile returns the file that a log URL names, and false if the log is not a file.
func LogFile(address string) (path string, ok bool) {
	path, ok = strings.CutPrefix(address, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	return path, ok && strings.Trim(path, "/") != ""
}

// redacted returns a log URL as a quoted string without its password.
func redacted(address string) string {
	shown := Redacted(address)
	if shown == "URL" {
		return shown
	}
	return fmt.Sprintf("%.200q", shown)
}

// Redacted returns a log URL without passwords, including those in its query. It returns the word URL if the URL cannot
// be parsed.
func Redacted(address string) string {
	if _, isFile := LogFile(address); isFile {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "URL"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "password") {
			query.Set(name, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}
