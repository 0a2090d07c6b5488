package rollout_test

import (
	"testing"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
	"github.com/droverhq/drover/rollout"
)

// lostAfter is that of the default policy, timeout that of the one step of release 1.0.
const (
	lostAfter = 10 * time.Minute
	timeout   = 3 * time.Hour
)

// settings are those of every project here: one step, so that a part may take timeout.
var settings = domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true", Timeout: domain.Duration(timeout)}}}

// joins is a trigger that asks for every machine.
var joins = domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
	Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}}

// fleet is a history with project shop, whose release 1.0 is wanted in production.
type fleet struct{ *projectionstest.History }

func newFleet(t *testing.T, machines ...string) *fleet {
	f := &fleet{projectionstest.New(t)}
	f.Shop(settings, joins)
	f.Want("1.0")
	f.Join(machines...)
	return f
}

// decide is rollout.Decide for a server that has folded each fact as it came.
func (f *fleet) decide() []domain.Decision { return rollout.Decide(f.View, f.Age) }

// queue queues a deployment of project shop.
func (f *fleet) queue(d domain.DeploymentQueued) domain.ID { return f.Add("project/shop", d) }

// wide is a person's deployment of 1.0 to all of production.
func wide() domain.DeploymentQueued {
	return domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0", Unavailable: domain.SkipUnavailable}
}

// narrowed is a person's deployment of 1.0 to machines in production.
func narrowed(machines ...string) domain.DeploymentQueued {
	d := wide()
	d.Kind = domain.Narrowed
	for _, name := range machines {
		d.Machines = append(d.Machines, domain.DeploymentMachine{Name: name})
	}
	return d
}

// automatic is the engine's deployment of 1.0 to machines in production, which trigger joins asked for.
func automatic(machines ...string) domain.DeploymentQueued {
	d := narrowed(machines...)
	d.Kind = domain.Automatic
	for i := range d.Machines {
		d.Machines[i].Triggers = []string{"joins"}
	}
	return d
}

// bounded is a deployment with a maxParallel.
func bounded(maxParallel int, d domain.DeploymentQueued) domain.DeploymentQueued {
	d.MaxParallel = maxParallel
	return d
}

// run lets each machine claim its part and end it.
func (f *fleet) run(d domain.ID, state domain.PartState, machines ...string) {
	for _, name := range machines {
		f.Claim(d, name)
		f.End(d, name, state, "")
	}
}

// ended is the decision that a server ends a part.
func ended(d domain.ID, machine string, state domain.PartState, reason domain.PartReason) domain.Decision {
	return domain.Decision{Kind: "end-part", Stream: domain.PartStream(d, machine), Causes: []domain.ID{d},
		Events: []domain.Event{domain.PartEnded{Project: "shop", State: state, Reason: reason}}}
}

// withdrawn is the decision that parts of a deployment of project shop are withdrawn; of no machine means all.
func withdrawn(d domain.ID, reason domain.PartReason, machines ...string) domain.Decision {
	return domain.Decision{Kind: "withdraw-parts", Stream: "project/shop", Causes: []domain.ID{d},
		Events: []domain.Event{domain.PartsWithdrawn{Deployment: d, Machines: machines, Reason: reason}}}
}

// released is the decision that parts of a deployment of project shop may be claimed.
func released(d domain.ID, machines ...string) domain.Decision {
	return domain.Decision{Kind: "release-parts", Stream: "project/shop", Causes: []domain.ID{d},
		Events: []domain.Event{domain.PartsReleased{Deployment: d, Machines: machines}}}
}

// finished is the decision that a deployment of project shop has ended.
func finished(d domain.ID, state domain.DeploymentState, reason string) domain.Decision {
	return domain.Decision{Kind: "end-deployment", Stream: "project/shop", Causes: []domain.ID{d},
		Events: []domain.Event{domain.DeploymentEnded{Deployment: d, State: state, Reason: reason}}}
}
