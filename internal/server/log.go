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

// LogConfig says which log is opened; the zero value of all but Address and Data works.
type LogConfig struct {
	// Address is the log's URL; empty: the file drover.db in Data.
	Address, Data string
	// ID is the id of a log that is made now; zero: one chosen at random.
	ID uuid.UUID
	// Existing says that the log must be there already: one that is only looked at is not made.
	Existing bool
	// EventsOnly says that neither leases nor output are asked for, so nothing is made beside the log.
	EventsOnly bool
	// Logger hears what happens to the log; nil: nobody does.
	Logger *zap.Logger
}

// OpenLog opens a log, and makes it where there is none and may be one.
func OpenLog(ctx context.Context, c LogConfig) (eventlog.Backend, error) {
	address := addressOf(c.Address, c.Data)
	kind, _, _ := strings.Cut(address, ":")
	open := openers[kind]
	if open == nil {
		return nil, fmt.Errorf("unsupported log URL %s: write it as sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or esdb://HOST:2113", redacted(address))
	}
	return open(ctx, address, c)
}

// openers are the kinds of log, by the scheme of their URLs.
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
		return nil, fmt.Errorf("log %s names no file; write it as sqlite:PATH", redacted(address))
	}
	info, err := os.Stat(path)
	if c.Existing && (errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() && info.Size() == 0) {
		return nil, fmt.Errorf("there is no log at %.200q", path)
	}
	return opened(sqlite.Open(ctx, path, sqlite.Config{Logger: c.Logger, ID: c.ID, EventsOnly: c.EventsOnly}))
}

func openPostgres(ctx context.Context, address string, c LogConfig) (eventlog.Backend, error) {
	return opened(postgres.Open(ctx, address, postgres.Config{Logger: c.Logger, ID: c.ID, Existing: c.Existing}))
}

func openEventStore(ctx context.Context, address string, c LogConfig) (eventlog.Backend, error) {
	return opened(eventstoredb.Open(ctx, address, eventstoredb.Config{Logger: c.Logger, ID: c.ID, Existing: c.Existing}))
}

// opened is a log as a backend, which is nil where there is none.
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

// LogFile is the file that a log's URL names, if it names one.
func LogFile(address string) (path string, ok bool) {
	path, ok = strings.CutPrefix(address, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	return path, ok && strings.Trim(path, "/") != ""
}

// redacted is a log's URL as a sentence quotes it.
func redacted(address string) string {
	shown := Redacted(address)
	if shown == "URL" {
		return shown
	}
	return fmt.Sprintf("%.200q", shown)
}

// Redacted is a log's URL without its password, which may stand in its query too; URL where none can be told apart in it.
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
