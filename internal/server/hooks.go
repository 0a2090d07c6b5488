//go:build !failpoints

package server

import (
	"net/http"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
)

// A build for fault tests (-tags failpoints) intercepts the log, the HTTP server and the wall clock here. In a normal
// build the hooks do nothing.

func hookLog(log eventlog.Backend) eventlog.Backend { return log }

func hookServer(*http.Server) {}

func wallClock() clock.System { return clock.New() }
