package doctor

import (
	"testing"
	"time"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections/projectionstest"
)

var instance, server = projectionstest.Instance, projectionstest.Server

func shop(t *testing.T) *projectionstest.History { return projectionstest.OneMachine(t) }

func old(eventlog.Position) time.Duration { return 24 * time.Hour }
