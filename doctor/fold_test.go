package doctor

import (
	"testing"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections/projectionstest"
)

// ledger is a history with the deployments that these tests tell of.
type ledger struct{ *projectionstest.History }

var session, instance, server = domain.ID{1: 1}, domain.ID{2: 1}, domain.ID{3: 1}

// shop is an environment with a release that is wanted there, a trigger, and a machine that is online.
func shop(t *testing.T) *ledger {
	l := &ledger{projectionstest.New(t)}
	l.Shop(domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}},
		domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	l.Want("1.0")
	l.Add("machine/web-01", domain.MachineAdded{Environment: "production", Origin: domain.By("agent")},
		domain.MachineCameOnline{Server: server, Session: session, Instance: instance})
	return l
}

// attempt is an automatic deployment to web-01 that ends so.
func (l *ledger) attempt(release string, state domain.PartState, reason domain.PartReason) domain.ID {
	return l.Attempt("web-01", release, state, reason)
}

func old(eventlog.Position) time.Duration { return 24 * time.Hour }
