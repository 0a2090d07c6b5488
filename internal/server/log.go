package server

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// OpenLog opens the log that a URL means: sqlite:PATH, or with an empty URL the file drover.db in data.
func OpenLog(ctx context.Context, address, data string, logger *zap.Logger) (eventlog.Backend, error) {
	address = addressOf(address, data)
	kind, _, _ := strings.Cut(address, ":")
	path, ok := LogFile(address)
	switch {
	case ok:
		log, err := sqlite.Open(ctx, path, sqlite.Config{Logger: logger})
		if err != nil {
			return nil, err
		}
		return log, nil
	case kind == "postgres" || kind == "postgresql" || kind == "esdb" || kind == "esdb+discover":
		return nil, fmt.Errorf("log %s: logs in %s are not in this build yet; use sqlite:PATH", redacted(address), product(kind))
	}
	return nil, fmt.Errorf("log %s is none that is known; write it as sqlite:PATH", redacted(address))
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

func product(kind string) string {
	if strings.HasPrefix(kind, "postgres") {
		return "PostgreSQL"
	}
	return "EventStoreDB"
}

// redacted is a log's URL without its password.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "URL"
	}
	return fmt.Sprintf("%.200q", u.Redacted())
}
