package rollout_test

import (
	"testing"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
	"github.com/droverhq/drover/rollout"
)

// lostAfter is the LostAfter of the default policy. timeout is the timeout of the one step of release 1.0.
const (
	lostAfter = 10 * time.Minute
	timeout   = 3 * time.Hour
)

// settings are the settings of every project in these tests. The one step may run for timeout.
var settings = domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true",
	Timeout: domain.Duration(timeout)}}}

// joins is a trigger that asks for every machine.
var joins = domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
	Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}}

// fleet is a history with project shop. Production wants its release 1.0.
type fleet struct {
	*projectionstest.History
	server  domain.ID     // the deciding server; Join connects all machines to the zero id
	silence time.Duration // since the last heartbeat of every machine
}

func newFleet(t *testing.T, machines ...string) *fleet {
	f := &fleet{History: projectionstest.New(t)}
	f.Shop(settings, joins)
	f.Want("1.0")
	f.Join(machines...)
	return f
}

// decide calls rollout.Decide for a server that folded each fact when it was appended.
func (f *fleet) decide() []domain.Decision { return rollout.Decide(f.View, f.measured()) }

// measured returns what that server has measured.
func (f *fleet) measured() rollout.Measured {
	return rollout.Measured{Age: f.Age, Silence: func(m *projections.Machine) (time.Duration, bool) {
		return f.silence, m.Server == f.server
	}}
}

// queue queues a deployment of project shop.
func (f *fleet) queue(d domain.DeploymentQueued) domain.ID { return f.Add("project/shop", d) }

// wide returns a person's deployment of 1.0 to all of production.
func wide() domain.DeploymentQueued {
	return domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0",
		Unavailable: domain.SkipUnavailable}
}

// narrowed returns a person's deployment of 1.0 to machines in production.
func narrowed(machines ...string) domain.DeploymentQueued {
	d := wide()
	d.Kind = domain.Narrowed
	for _, name := range machines {
		d.Machines = append(d.Machines, domain.DeploymentMachine{Name: name})
	}
	return d
}

// automatic returns an automatic deployment of 1.0 to machines in production, for trigger joins.
func automatic(machines ...string) domain.DeploymentQueued {
	d := narrowed(machines...)
	d.Kind = domain.Automatic
	for i := range d.Machines {
		d.Machines[i].Triggers = []string{"joins"}
	}
	return d
}

// block makes the agent of a machine report that its disk is full.
func (f *fleet) block(machine string) {
	f.Add("machine/"+machine, domain.MachineConditionsChanged{Conditions: []domain.Condition{{Kind: domain.DiskFull}}})
}

// bounded sets maxParallel of a deployment.
func bounded(maxParallel int, d domain.DeploymentQueued) domain.DeploymentQueued {
	d.MaxParallel = domain.Count(maxParallel)
	return d
}

// run lets each machine claim its part and end it.
func (f *fleet) run(d domain.ID, state domain.PartState, machines ...string) {
	for _, name := range machines {
		f.Claim(d, name)
		f.End(d, name, state, "")
	}
}

// ended returns the decision of a server to end a part.
func ended(d domain.ID, machine string, state domain.PartState, reason domain.PartReason) domain.Decision {
	return domain.Decision{Kind: "end-part", Stream: domain.PartStream(d, machine), Causes: []domain.ID{d},
		Events: []domain.Event{domain.PartEnded{Project: "shop", State: state, Reason: reason}}}
}

// withdrawn returns the decision to withdraw parts of a deployment of project shop, all of them without machines.
func withdrawn(d domain.ID, reason domain.PartReason, machines ...string) domain.Decision {
	return domain.Decision{Kind: "withdraw-parts", Stream: "project/shop", Causes: []domain.ID{d},
		Events: []domain.Event{domain.PartsWithdrawn{Deployment: d, Machines: machines, Reason: reason}}}
}

// released returns the decision to release parts of a deployment of project shop.
func released(d domain.ID, machines ...string) domain.Decision {
	return domain.Decision{Kind: "release-parts", Stream: "project/shop", Causes: []domain.ID{d},
		Events: []domain.Event{domain.PartsReleased{Deployment: d, Machines: machines}}}
}

// finished returns the decision to end a deployment of project shop.
func finished(d domain.ID, state domain.DeploymentState, reason string) domain.Decision {
	return domain.Decision{Kind: "end-deployment", Stream: "project/shop", Causes: []domain.ID{d},
		Events: []domain.Event{domain.DeploymentEnded{Deployment: d, State: state, Reason: reason}}}
}
