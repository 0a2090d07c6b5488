package explain

import (
	"testing"
	"time"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections/projectionstest"
)

var session, instance, server = projectionstest.Session, projectionstest.Instance, projectionstest.Server

func shop(t *testing.T) *projectionstest.History { return projectionstest.OneMachine(t) }

func old(eventlog.Position) time.Duration { return 24 * time.Hour }

func fresh(eventlog.Position) time.Duration { return 0 }
