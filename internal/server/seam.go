//go:build !failpoints

package server

import (
	"net/http"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
)

// These are the places where a build for fault tests (-tags failpoints) puts something between the server and
// its log, its callers and its wall clock. In the program that people run there is nothing.

func seamLog(log eventlog.Backend) eventlog.Backend { return log }

func seamDoor(*http.Server) {}

func wallClock() clock.System { return clock.New() }
