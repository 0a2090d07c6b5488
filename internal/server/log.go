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
	if address == "" {
		address = "sqlite:" + filepath.Join(data, "drover.db")
	}
	kind, path, found := strings.Cut(address, ":")
	switch {
	case found && kind == "sqlite" && strings.Trim(path, "/") != "":
		log, err := sqlite.Open(ctx, strings.TrimPrefix(path, "//"), sqlite.Config{Logger: logger})
		if err != nil {
			return nil, err
		}
		return log, nil
	case kind == "postgres" || kind == "postgresql" || kind == "esdb" || kind == "esdb+discover":
		return nil, fmt.Errorf("log %s: logs in %s are not in this build yet; use sqlite:PATH", redacted(address), product(kind))
	}
	return nil, fmt.Errorf("log %s is none that is known; write it as sqlite:PATH", redacted(address))
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
