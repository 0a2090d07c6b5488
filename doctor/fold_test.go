package doctor

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// ledger is a view that a test folds events into.
type ledger struct {
	t *testing.T
	*projections.View
}

func newLedger(t *testing.T) *ledger { return &ledger{t: t, View: projections.New()} }

// id is that of the event at a position.
func id(position int) domain.ID {
	return domain.ID{0: 0xe0, 14: byte(position >> 8), 15: byte(position)}
}

// now folds facts of one stream, a second apart, and returns the id of the last.
func (l *ledger) now(stream string, facts ...domain.Event) domain.ID {
	l.t.Helper()
	for _, fact := range facts {
		name, data, err := domain.Encode(fact)
		require.NoError(l.t, err)
		position := l.Position + 1
		l.Apply(eventlog.Recorded{Stream: stream, Revision: l.Revision(stream) + 1, Position: position,
			Event: eventlog.Event{ID: uuid.UUID(id(int(position))), Type: name, Data: data,
				Time: time.Date(2026, 1, 1, 9, 0, int(position), 0, time.UTC)}})
	}
	return id(int(l.Position))
}

var session, instance, server = domain.ID{1: 1}, domain.ID{2: 1}, domain.ID{3: 1}

// shop is an environment with a release that is wanted there, a trigger, and a machine that is online.
func shop(t *testing.T) *ledger {
	l := newLedger(t)
	l.now("environment/production", domain.EnvironmentDefined{})
	l.now("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{}},
		domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}},
		domain.ReleaseCreated{Version: "1.0", Steps: []domain.Step{{Name: "install", Run: "true"}}})
	l.deploy("1.0")
	l.now("machine/web-01", domain.MachineAdded{Environment: "production", By: "agent"},
		domain.MachineCameOnline{Server: server, Session: session, Instance: instance})
	return l
}

// deploy is an environment-wide deployment that succeeds at once.
func (l *ledger) deploy(release string) domain.ID {
	d := l.now("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: release, By: "ann"})
	l.now("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	return d
}

// attempt is an automatic deployment to web-01 that ends so.
func (l *ledger) attempt(release string, state domain.PartState, reason domain.PartReason) domain.ID {
	d := l.now("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: release, Reason: "behind",
		Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}, Reason: "behind"}}})
	l.now("part/"+d.String()+"/web-01", domain.PartClaimed{Project: "shop", Session: session, Instance: instance},
		domain.PartEnded{Project: "shop", State: state, Reason: reason, Session: session})
	l.now("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentState(state)})
	return d
}

func old(eventlog.Position) time.Duration { return 24 * time.Hour }
