package projections_test

import (
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
	"github.com/droverhq/drover/triggers"
)

// What is in the world of a day. It is small, so that things meet: the same machine is held, deleted, added and deployed to
// many times.
var (
	machines     = []string{"web-1", "web-2", "web-3", "web-4"}
	environments = []string{"production", "staging"}
	projects     = []string{"shop", "blog"}
	releases     = []string{"1.0", "2.0", "3.0"}
)

func pick[T any](d *day, list []T) T { return list[d.IntN(len(list))] }

// oneIn is true once in n times.
func (d *day) oneIn(n int) bool { return d.IntN(n) == 0 }

func (d *day) id() (id domain.ID) {
	for i := range id {
		id[i] = byte(d.Uint32())
	}
	return id
}

// now writes a fact and folds it by all views.
func (d *day) now(stream string, fact domain.Event) {
	name, data, err := domain.Encode(fact)
	require.NoError(d.t, err)
	d.record(stream, name, data)
}

func (d *day) record(stream, name string, data []byte) {
	revision, known := d.revisions[stream]
	if known {
		revision++
	}
	d.revisions[stream] = revision
	d.clock = d.clock.Add(time.Duration(d.IntN(400)) * time.Second)
	id := d.id()
	rec := eventlog.Recorded{Stream: stream, Revision: revision, Position: eventlog.Position(len(d.log) + 1),
		Event: eventlog.Event{ID: uuid.UUID(id), Type: name, Data: data, Time: d.clock}}
	if d.oneIn(3) {
		rec.Command = uuid.UUID(d.id())
	}
	d.log = append(d.log, rec)
	for _, v := range append(d.others(), d.keeping) {
		v.Apply(rec)
	}
	if name == domain.TypeName(domain.DeploymentQueued{}) {
		d.deployments = append(d.deployments, id)
	}
}

// found adds what is missing of the world.
func (d *day) found() {
	for _, name := range environments {
		if d.keeping.Environments[name] == nil && !d.keeping.SetAside("environment/"+name) {
			d.now("environment/"+name, domain.EnvironmentDefined{})
		}
	}
	for _, name := range projects {
		if stream := "project/" + name; d.keeping.Projects[name] == nil && !d.keeping.SetAside(stream) {
			d.project(stream)
		}
	}
	for _, name := range machines {
		if d.keeping.Machines[name] == nil {
			d.join(name)
		}
	}
}

func (d *day) join(name string) {
	d.now("machine/"+name, domain.MachineAdded{Environment: pick(d, environments), Roles: []string{"web"}, Policy: pick(d, []string{"", "checked"})})
	d.online(name)
}

func (d *day) project(stream string) {
	d.now(stream, domain.ProjectDefined{Settings: d.settings()})
	for _, version := range releases {
		d.now(stream, domain.ReleaseCreated{Version: version, Variables: pick(d, []map[string]string{nil, {}, {"x": "y"}}),
			Steps: pick(d, [][]domain.Step{nil, {}, {{Name: "z"}}})})
	}
	joins := []domain.Category{domain.AvailableGroup}
	d.now(stream, domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{Events: joins, Environments: []string{"*"}}})
	d.now(stream, domain.TriggerDefined{Trigger: "again", Settings: domain.TriggerSettings{Events: joins, Environments: environments, Redeploy: true,
		Roles: pick(d, [][]string{nil, {}, {"web"}})}})
}

// settings has empty lists and nil ones: a saved view must keep them apart where the fold does.
func (d *day) settings() domain.ProjectSettings {
	return domain.ProjectSettings{Roles: pick(d, [][]string{nil, nil, {"web"}}), MaxParallel: d.IntN(3), StopAfterFailures: d.IntN(2),
		Unavailable: pick(d, []domain.Unavailable{"", domain.FailUnavailable}), Attempts: 1 + d.IntN(3),
		Variables: pick(d, []map[string]string{nil, {}, {"A": "b"}}), Steps: pick(d, [][]domain.Step{nil, {}, {{Name: "s", Run: "true"}}})}
}

// online brings a machine online: mostly as the instance that it was, at times as a new one.
func (d *day) online(name string) {
	instance := domain.ID{1: 1, 3: name[len(name)-1]}
	if d.oneIn(8) {
		instance = d.id()
	}
	if m := d.keeping.Machines[name]; m != nil && !d.oneIn(6) && !m.Instance.IsZero() {
		instance = m.Instance
	}
	d.now("machine/"+name, domain.MachineCameOnline{Server: pick(d, []domain.ID{{1}, {2}}), Session: d.id(), Instance: instance})
}

// step lets something happen.
func (d *day) step() {
	switch n := d.IntN(100); {
	case n < 22:
		d.agent(pick(d, machines))
	case n < 47:
		d.engine()
	case n < 57:
		d.command(d.deploying())
	case n < 65:
		d.command(d.arranging())
	case n < 71:
		d.lateReport()
	case n < 79:
		d.comeAndGo(pick(d, machines))
	case n < 81:
		d.found()
	case n < 88:
		if !d.plain {
			d.strange()
		}
	case n < 90:
		d.damage()
	case n < 92:
		d.clear()
	default:
		d.restart(n < 97)
	}
}

// command is decided on each view. Only an agent may be refused for another reason: of the parts of a forgotten deployment
// less is known.
func (d *day) command(c domain.Command) {
	facts, refusal := c.Decide(d.keeping.World())
	for n, v := range d.others() {
		other, otherRefusal := c.Decide(v.World())
		if len(facts)+len(other) > 0 && !reflect.DeepEqual(facts, other) {
			d.difference("%T %+v comes to %+v, by %s to %+v", c, c, facts, otherNames[n], other)
		}
		if !ofAPart(c) && !reflect.DeepEqual(refusal, otherRefusal) {
			d.difference("%T %+v is refused as %v, by %s as %v", c, c, refusal, otherNames[n], otherRefusal)
		}
	}
	if len(facts) == 0 || d.keeping.SetAside(c.Stream(d.keeping.World())) {
		return
	}
	for n, v := range d.others() {
		if kept, other := d.keeping.Revision(c.Stream(d.keeping.World())), v.Revision(c.Stream(v.World())); kept != other {
			d.difference("%T appends to %s at revision %d, by %s at %d", c, c.Stream(d.keeping.World()), kept, otherNames[n], other)
		}
	}
	if end, ends := c.(domain.EndPart); ends && d.forgetting.Deployments[end.Deployment] == nil {
		d.owed++
	}
	for _, fact := range facts {
		d.now(c.Stream(d.keeping.World()), fact)
	}
}

func ofAPart(c domain.Command) bool {
	switch c.(type) {
	case domain.ClaimPart, domain.EndPart:
		return true
	}
	return false
}

// deploying is a command about a deployment.
func (d *day) deploying() domain.Command {
	project, environment, release := pick(d, projects), pick(d, environments), pick(d, releases)
	switch d.IntN(10) {
	case 0, 1:
		return domain.Deploy{Project: project, Release: release, Environment: environment, Origin: domain.By("ann")}
	case 2:
		return domain.Deploy{Project: project, Release: release, Environment: environment, Origin: domain.By("ann"), Exclude: d.some(machines)}
	case 3, 4, 5:
		return domain.Deploy{Project: project, Release: release, Environment: environment, Origin: domain.By("ann"), Machines: d.some(machines)}
	case 6:
		return domain.Rollback{Project: project, Environment: environment, Origin: domain.By("ann")}
	case 7:
		return domain.CancelDeployment{Deployment: d.deployment(), Origin: domain.By("ann")}
	default:
		return domain.Retry{Project: project, Machine: pick(d, machines), Origin: domain.By("ann")}
	}
}

func (d *day) some(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(string) bool { return !d.oneIn(3) })
}

// deployment is one of the day, of late more often than of long ago.
func (d *day) deployment() domain.ID {
	n := len(d.deployments)
	switch {
	case n == 0:
		return d.id()
	case d.oneIn(2):
		return d.deployments[max(0, n-1-d.IntN(6))]
	default:
		return pick(d, d.deployments)
	}
}

// arranging is a command about what is to be deployed and where to.
func (d *day) arranging() domain.Command {
	project, environment, machine := pick(d, projects), pick(d, environments), pick(d, machines)
	until := d.clock.Add(time.Hour).In(time.FixedZone("", 7200))
	switch d.IntN(12) {
	case 0:
		return domain.SetPin{Project: project, Release: pick(d, releases), Environment: environment, Until: pick(d, []*time.Time{nil, &until})}
	case 1:
		return domain.LiftPin{Project: project, Environment: environment}
	case 2:
		return domain.SetHold{Project: project, Machine: machine, Unproven: d.oneIn(3), Origin: domain.By("ann")}
	case 3, 4:
		return domain.LiftHold{Project: project, Machine: machine}
	case 5:
		return domain.SetMachineEnabled{Name: machine, Enabled: !d.oneIn(3)}
	case 6:
		return domain.SetProjectEnabled{Name: project, Enabled: !d.oneIn(4)}
	case 7:
		if d.oneIn(4) {
			return domain.DeleteProject{Name: project}
		}
		return domain.DeleteMachine{Name: machine}
	case 8:
		return domain.SetTriggerEnabled{Project: project, Name: pick(d, []string{"joins", "again"}), Enabled: !d.oneIn(3)}
	case 9:
		return domain.ApplyMachine{Name: machine, Environment: environment, Roles: pick(d, [][]string{nil, {"web"}, {"db", "web"}}),
			Policy: pick(d, []string{"", "checked"})}
	case 10:
		return domain.ApplyProject{Name: project, Settings: d.settings()}
	default:
		return domain.CreateRelease{Project: project, Version: pick(d, releases)}
	}
}

// agent goes on with the first part on its machine that it can go on with.
func (d *day) agent(name string) {
	m := d.keeping.Machines[name]
	if name == d.slow && !d.oneIn(10) {
		return
	}
	for _, part := range d.keeping.OpenPartsOn(name) {
		switch {
		case m == nil:
		case part.State == domain.PartRunning && !d.oneIn(3):
			d.command(domain.EndPart{Deployment: part.Deployment.ID, Machine: name, Instance: part.Instance, Session: part.Session,
				State: pick(d, []domain.PartState{domain.PartSucceeded, domain.PartSucceeded, domain.PartFailed})})
			return
		case part.State == domain.PartReleased && !d.oneIn(4):
			d.command(domain.ClaimPart{Deployment: part.Deployment.ID, Machine: name, Session: m.Session, Instance: m.Instance})
			return
		}
	}
}

// lateReport is of an agent that was cut off for long: it reports what was called lost, or works on what is over. Reports for
// forgotten deployments are the rare ones, and what is reported before can not be reported after: they come first.
func (d *day) lateReport() {
	var forgotten, lost, over []*projections.Part
	for _, id := range d.deployments {
		deployment := d.keeping.Deployments[id]
		if deployment == nil {
			continue
		}
		for _, name := range deployment.Order {
			switch part := deployment.Parts[name]; {
			case part.Claimed == 0 || part.Reported:
				over = append(over, part)
			case d.forgetting.Deployments[id] == nil:
				forgotten = append(forgotten, part)
			default:
				lost = append(lost, part)
			}
		}
	}
	from := pick(d, [][]*projections.Part{forgotten, forgotten, forgotten, over, over, lost})
	if len(from) == 0 {
		return
	}
	part := pick(d, from)
	if m := d.keeping.Machines[part.Machine]; m != nil && d.oneIn(4) {
		d.command(domain.ClaimPart{Deployment: part.Deployment.ID, Machine: part.Machine, Instance: m.Instance, Session: m.Session})
	}
	d.command(domain.EndPart{Deployment: part.Deployment.ID, Machine: part.Machine, Instance: part.Instance,
		State: pick(d, []domain.PartState{domain.PartSucceeded, domain.PartFailed})})
}

// comeAndGo is what a server notes of a machine.
func (d *day) comeAndGo(name string) {
	switch m := d.keeping.Machines[name]; {
	case m == nil:
		d.join(name)
	case m.Online && d.oneIn(3):
		d.now("machine/"+name, domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance})
	case d.oneIn(3):
		d.now("machine/"+name, domain.MachineHealthChanged{Status: pick(d, []domain.Health{domain.Healthy, domain.Unhealthy, domain.Warning}), Session: m.Session})
	default:
		d.online(name)
	}
}

// engine writes most of what it decides; some of it is lost to a conflict.
func (d *day) engine() {
	older := pick(d, d.ages)
	decided := rollout.Decide(d.keeping, projections.Age(ages(d.keeping, older)))
	if len(decided) == 0 || d.oneIn(3) {
		decided = append(decided, triggers.Plan(d.keeping, triggers.Decide(d.keeping, projections.Age(ages(d.keeping, older))))...)
	}
	for _, decision := range decided {
		if d.oneIn(5) || d.keeping.SetAside(decision.Stream) {
			continue
		}
		for _, fact := range decision.Events {
			d.now(decision.Stream, fact)
		}
	}
}
