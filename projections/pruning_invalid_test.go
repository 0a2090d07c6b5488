package projections_test

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// strange writes what no server writes: a fold must take any fact, and two views of one log must take it alike.
func (d *day) strange() {
	switch d.IntN(3) {
	case 0:
		d.strangePart()
	case 1:
		d.strangeDeployment()
	default:
		d.strangeWorld()
	}
}

// present is the session and the instance of a machine; at times another's instance.
func (d *day) present(name string) (session, instance domain.ID) {
	session, instance = d.id(), d.id()
	if m := d.keeping.Machines[name]; m != nil {
		session = m.Session
		if d.oneIn(2) {
			instance = m.Instance
		}
	}
	return session, instance
}

func (d *day) strangePart() {
	machine, project, deployment := pick(d, machines), pick(d, projects), d.deployment()
	session, instance := d.present(machine)
	stream := domain.PartStream(deployment, machine)
	switch d.IntN(5) {
	case 0, 1:
		d.now(stream, domain.PartEnded{Project: project, State: pick(d, []domain.PartState{domain.PartSucceeded, domain.PartFailed,
			domain.PartSkipped, domain.PartLost, domain.PartCancelled, "odd"})})
	case 2:
		d.now(stream, domain.PartClaimed{Project: project, Session: session, Instance: instance})
	case 3:
		d.now("project/"+project, domain.PartsReleased{Deployment: deployment, Machines: []string{machine, machine, "nobody"}})
	default:
		d.now("project/"+project, domain.PartsWithdrawn{Deployment: deployment, Machines: pick(d, [][]string{nil, {}, {machine}}), Reason: domain.NotClaimed})
	}
}

func (d *day) strangeDeployment() {
	stream, deployment, machine := "project/"+pick(d, projects), d.deployment(), pick(d, machines)
	switch d.IntN(4) {
	case 0, 1: // its parts may be open still
		d.now(stream, domain.DeploymentEnded{Deployment: deployment, State: pick(d, []domain.DeploymentState{domain.DeploymentSucceeded,
			domain.DeploymentFailed, domain.DeploymentCancelledState})})
	case 2:
		d.now(stream, domain.DeploymentCancelled{Deployment: deployment})
	default: // of a release or an environment that may not be, to a machine twice
		queued := domain.DeploymentQueued{Kind: pick(d, []domain.DeploymentKind{domain.EnvironmentWide, domain.Narrowed, domain.Automatic}),
			Environment: pick(d, append([]string{"nowhere"}, environments...)), Release: pick(d, append([]string{"9.0"}, releases...)), MaxParallel: d.IntN(2)}
		if queued.Kind == domain.EnvironmentWide {
			queued.Exclude = []string{machine}
		} else {
			queued.Machines = []domain.DeploymentMachine{{Name: machine, Triggers: []string{"joins"}}, {Name: machine},
				{Name: pick(d, machines), Triggers: []string{"joins", "again"}}}
		}
		d.now(stream, queued)
	}
}

func (d *day) strangeWorld() {
	machine := pick(d, machines)
	_, instance := d.present(machine)
	minute := domain.Duration(time.Minute)
	switch d.IntN(7) {
	case 0:
		if d.oneIn(4) {
			d.now("environment/"+pick(d, environments), domain.EnvironmentDeleted{})
		}
	case 1:
		d.now("environment/"+pick(d, environments), domain.EnvironmentDefined{})
	case 2:
		d.now("project/"+pick(d, projects), domain.HoldSet{Machine: machine, Instance: instance, Release: pick(d, []string{"", "1.0", "2.0"})})
	case 3:
		d.now("policy/checked", domain.PolicyDefined{Settings: domain.PolicySettings{LostAfter: minute, OfflineAfter: minute,
			HealthCheck: pick(d, []*domain.HealthCheck{nil, {Every: minute, Timeout: domain.Duration(time.Second), Script: "x"}})}})
	case 4:
		d.now("token/"+pick(d, []string{"a", "b"}), domain.TokenUsed{Instance: instance, Machine: machine})
	case 5:
		d.now("watch", domain.LogRestored{Was: d.id(), At: d.clock})
	default:
		d.now("server/"+d.id().String(), domain.ServerStarted{DecisionVersion: 1, Version: "1.0"})
	}
}

// damage writes what no version of drover can read, so that its stream is set aside; what waits there is folded late.
func (d *day) damage() {
	switch d.IntN(5) {
	case 0:
		d.record("machine/"+pick(d, machines), "machine.changed/v1", []byte(`{"environment":7}`))
	case 1:
		d.record("project/"+pick(d, projects), "project.defined/v1", []byte(`{"settings":7}`))
	case 2:
		d.record(domain.PartStream(d.deployment(), pick(d, machines)), "part.claimed/v1", []byte(`{"project":7}`))
	default:
		d.clear()
	}
}

func (d *day) clear() {
	if aside := slices.Sorted(maps.Keys(d.keeping.Aside)); len(aside) > 0 {
		d.now("watch", domain.StreamCleared{Stream: pick(d, aside)})
	}
}

// restart goes on from a snapshot: the newest, or one of long ago, after which some facts come a second time.
func (d *day) restart(newest bool) {
	if newest || len(d.snapshots) == 0 {
		d.loaded = d.load(d.save(d.loaded))
		d.snapshots = append(d.snapshots, snapshot{d.save(d.forgetting), len(d.log)})
		return
	}
	old := pick(d, d.snapshots)
	d.loaded = d.load(old.view)
	for _, rec := range d.log[max(0, old.folded-3):] {
		d.loaded.Apply(rec)
	}
}

func (d *day) save(v *projections.View) []byte {
	var data bytes.Buffer
	if err := v.Save(&data); err != nil {
		d.difference("the view is not saved: %s", err)
	}
	return data.Bytes()
}

func (d *day) load(data []byte) *projections.View {
	d.saves++
	v, err := projections.Load(data)
	if err != nil {
		d.difference("the view is not loaded: %s", err)
	}
	return v
}
