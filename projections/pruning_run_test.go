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

// The objects of a run. There are few, so that the same machine is held, deleted, added and deployed to many times.
var (
	machines     = []string{"web-1", "web-2", "web-3", "web-4"}
	environments = []string{"production", "staging"}
	projects     = []string{"shop", "blog"}
	releases     = []string{"1.0", "2.0", "3.0"}
)

func pick[T any](s *simulation, list []T) T { return list[s.IntN(len(list))] }

// oneIn returns true once in n calls, on average.
func (s *simulation) oneIn(n int) bool { return s.IntN(n) == 0 }

func (s *simulation) id() (id domain.ID) {
	for i := range id {
		id[i] = byte(s.Uint32())
	}
	return id
}

// append appends a fact and folds it into all views.
func (s *simulation) append(stream string, fact domain.Event) {
	name, data, err := domain.Encode(fact)
	require.NoError(s.t, err)
	s.record(stream, name, data)
}

func (s *simulation) record(stream, name string, data []byte) {
	revision, known := s.revisions[stream]
	if known {
		revision++
	}
	s.revisions[stream] = revision
	s.clock = s.clock.Add(time.Duration(s.IntN(400)) * time.Second)
	id := s.id()
	rec := eventlog.Recorded{Stream: stream, Revision: revision, Position: eventlog.Position(len(s.log) + 1),
		Event: eventlog.Event{ID: uuid.UUID(id), Type: name, Data: data, Time: s.clock}}
	if s.oneIn(3) {
		rec.Command = uuid.UUID(s.id())
	}
	s.log = append(s.log, rec)
	for _, v := range append(s.others(), s.full) {
		v.Apply(rec)
	}
	if name == domain.TypeName(domain.DeploymentQueued{}) {
		s.deployments = append(s.deployments, id)
	}
}

// addMissing adds the missing objects.
func (s *simulation) addMissing() {
	for _, name := range environments {
		if s.full.Environments[name] == nil && !s.full.SetAside("environment/"+name) {
			s.append("environment/"+name, domain.EnvironmentDefined{})
		}
	}
	for _, name := range projects {
		if stream := "project/" + name; s.full.Projects[name] == nil && !s.full.SetAside(stream) {
			s.project(stream)
		}
	}
	for _, name := range machines {
		if s.full.Machines[name] == nil {
			s.join(name)
		}
	}
}

func (s *simulation) join(name string) {
	s.append("machine/"+name, domain.MachineAdded{Environment: pick(s, environments), Roles: []string{"web"},
		Policy: pick(s, []string{"", "checked"})})
	s.online(name)
}

func (s *simulation) project(stream string) {
	s.append(stream, domain.ProjectDefined{Settings: s.settings()})
	for _, version := range releases {
		s.append(stream, domain.ReleaseCreated{Version: version,
			Variables: pick(s, []map[string]string{nil, {}, {"x": "y"}}),
			Steps:     pick(s, [][]domain.Step{nil, {}, {{Name: "z"}}})})
	}
	joins := []domain.Category{domain.AvailableGroup}
	s.append(stream, domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{Events: joins,
		Environments: []string{"*"}}})
	s.append(stream, domain.TriggerDefined{Trigger: "again", Settings: domain.TriggerSettings{Events: joins,
		Environments: environments, Redeploy: true,
		Roles: pick(s, [][]string{nil, {}, {"web"}})}})
}

// settings uses empty lists and nil lists: a saved view must distinguish them where the fold does.
func (s *simulation) settings() domain.ProjectSettings {
	return domain.ProjectSettings{Roles: pick(s, [][]string{nil, nil, {"web"}}), MaxParallel: domain.Count(s.IntN(3)),
		StopAfterFailures: s.IntN(2),
		Unavailable:       pick(s, []domain.Unavailable{"", domain.FailUnavailable}), Attempts: 1 + s.IntN(3),
		Variables: pick(s, []map[string]string{nil, {}, {"A": "b"}}),
		Steps:     pick(s, [][]domain.Step{nil, {}, {{Name: "s", Run: "true"}}})}
}

// online brings a machine online, mostly as its current instance, sometimes as a new one.
func (s *simulation) online(name string) {
	instance := domain.ID{1: 1, 3: name[len(name)-1]}
	if s.oneIn(8) {
		instance = s.id()
	}
	if m := s.full.Machines[name]; m != nil && !s.oneIn(6) && !m.Instance.IsZero() {
		instance = m.Instance
	}
	s.append("machine/"+name, domain.MachineCameOnline{Server: pick(s, []domain.ID{{1}, {2}}), Session: s.id(),
		Instance: instance})
}

// step performs one random action.
func (s *simulation) step() {
	switch n := s.IntN(100); {
	case n < 22:
		s.agent(pick(s, machines))
	case n < 47:
		s.engine()
	case n < 57:
		s.command(s.deployCommand())
	case n < 65:
		s.command(s.otherCommand())
	case n < 71:
		s.lateReport()
	case n < 79:
		s.changeMachine(pick(s, machines))
	case n < 81:
		s.addMissing()
	case n < 88:
		if !s.plain {
			s.appendInvalid()
		}
	case n < 90:
		s.damage()
	case n < 92:
		s.clear()
	default:
		s.restart(n < 97)
	}
}

// command decides a command on each view. The rejections may differ only for agents: less is known about the parts of a
// pruned deployment.
func (s *simulation) command(c domain.Command) {
	facts, refusal := c.Decide(s.full.World())
	for n, v := range s.others() {
		other, otherRefusal := c.Decide(v.World())
		if len(facts)+len(other) > 0 && !reflect.DeepEqual(facts, other) {
			s.fail("%T %+v decides %+v, on %s %+v", c, c, facts, otherNames[n], other)
		}
		if !aboutPart(c) && !reflect.DeepEqual(refusal, otherRefusal) {
			s.fail("%T %+v is rejected with %v, on %s with %v", c, c, refusal, otherNames[n], otherRefusal)
		}
	}
	if len(facts) == 0 || s.full.SetAside(c.Stream(s.full.World())) {
		return
	}
	for n, v := range s.others() {
		if full, other := s.full.Revision(c.Stream(s.full.World())), v.Revision(c.Stream(v.World())); full != other {
			s.fail("%T appends to %s at revision %d, on %s at %d", c, c.Stream(s.full.World()), full, otherNames[n],
				other)
		}
	}
	if end, ends := c.(domain.EndPart); ends && s.pruning.Deployments[end.Deployment] == nil {
		s.late++
	}
	for _, fact := range facts {
		s.append(c.Stream(s.full.World()), fact)
	}
}

func aboutPart(c domain.Command) bool {
	switch c.(type) {
	case domain.ClaimPart, domain.EndPart:
		return true
	}
	return false
}

// deployCommand returns a random command about a deployment.
func (s *simulation) deployCommand() domain.Command {
	project, environment, release := pick(s, projects), pick(s, environments), pick(s, releases)
	switch s.IntN(10) {
	case 0, 1:
		return domain.Deploy{Project: project, Release: release, Environment: environment, Origin: domain.By("ann")}
	case 2:
		return domain.Deploy{Project: project, Release: release, Environment: environment, Origin: domain.By("ann"),
			Exclude: s.some(machines)}
	case 3, 4, 5:
		return domain.Deploy{Project: project, Release: release, Environment: environment, Origin: domain.By("ann"),
			Machines: s.some(machines)}
	case 6:
		return domain.Rollback{Project: project, Environment: environment, Origin: domain.By("ann")}
	case 7:
		return domain.CancelDeployment{Deployment: s.deployment(), Origin: domain.By("ann")}
	default:
		return domain.Retry{Project: project, Machine: pick(s, machines), Origin: domain.By("ann")}
	}
}

func (s *simulation) some(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(string) bool { return !s.oneIn(3) })
}

// deployment returns a deployment of the run, more often a recent one.
func (s *simulation) deployment() domain.ID {
	n := len(s.deployments)
	switch {
	case n == 0:
		return s.id()
	case s.oneIn(2):
		return s.deployments[max(0, n-1-s.IntN(6))]
	default:
		return pick(s, s.deployments)
	}
}

// otherCommand returns a random command about machines, projects, pins and holds.
func (s *simulation) otherCommand() domain.Command {
	project, environment, machine := pick(s, projects), pick(s, environments), pick(s, machines)
	until := s.clock.Add(time.Hour).In(time.FixedZone("", 7200))
	switch s.IntN(13) {
	case 0:
		return domain.SetPin{Project: project, Release: pick(s, releases), Environment: environment,
			Until: pick(s, []*time.Time{nil, &until})}
	case 1:
		return domain.LiftPin{Project: project, Environment: environment}
	case 2:
		return domain.SetHold{Project: project, Machine: machine, Unproven: s.oneIn(3), Origin: domain.By("ann")}
	case 3, 4:
		return domain.LiftHold{Project: project, Machine: machine}
	case 5:
		return domain.SetMachineEnabled{Name: machine, Enabled: !s.oneIn(3)}
	case 6:
		return domain.SetProjectEnabled{Name: project, Enabled: !s.oneIn(4)}
	case 7:
		if s.oneIn(4) {
			return domain.DeleteProject{Name: project}
		}
		return domain.DeleteMachine{Name: machine}
	case 8:
		return domain.SetTriggerEnabled{Project: project, Name: pick(s, []string{"joins", "again"}),
			Enabled: !s.oneIn(3)}
	case 9:
		return domain.ApplyMachine{Name: machine, Environment: environment,
			Roles:  pick(s, [][]string{nil, {"web"}, {"db", "web"}}),
			Policy: pick(s, []string{"", "checked"})}
	case 11:
		if s.oneIn(2) {
			return domain.RestoreRelease{Project: project, Release: pick(s, releases)}
		}
		return domain.RetireRelease{Project: project, Release: pick(s, releases), Reason: "wrong"}
	case 10:
		return domain.ApplyProject{Name: project, Settings: s.settings()}
	default:
		return domain.CreateRelease{Project: project, Version: pick(s, releases)}
	}
}

// agent advances the first part on its machine that it can advance.
func (s *simulation) agent(name string) {
	m := s.full.Machines[name]
	if name == s.slow && !s.oneIn(10) {
		return
	}
	for _, part := range s.full.OpenPartsOn(name) {
		switch {
		case m == nil:
		case part.State == domain.PartRunning && !s.oneIn(3):
			s.command(domain.EndPart{Deployment: part.Deployment.ID, Machine: name, Instance: part.Instance,
				Session: part.Session,
				State:   pick(s, []domain.PartState{domain.PartSucceeded, domain.PartSucceeded, domain.PartFailed})})
			return
		case part.State == domain.PartReleased && !s.oneIn(4):
			s.command(domain.ClaimPart{Deployment: part.Deployment.ID, Machine: name, Session: m.Session,
				Instance: m.Instance})
			return
		}
	}
}

// lateReport is from an agent that was disconnected for a long time: it reports a part that was declared lost, or one
// that is over. Reports for pruned deployments are preferred, because they are rare.
func (s *simulation) lateReport() {
	var pruned, lost, over []*projections.Part
	for _, id := range s.deployments {
		deployment := s.full.Deployments[id]
		if deployment == nil {
			continue
		}
		for _, name := range deployment.Order {
			switch part := deployment.Parts[name]; {
			case part.Claimed == 0 || part.Reported:
				over = append(over, part)
			case s.pruning.Deployments[id] == nil:
				pruned = append(pruned, part)
			default:
				lost = append(lost, part)
			}
		}
	}
	from := pick(s, [][]*projections.Part{pruned, pruned, pruned, over, over, lost})
	if len(from) == 0 {
		return
	}
	part := pick(s, from)
	if m := s.full.Machines[part.Machine]; m != nil && s.oneIn(4) {
		s.command(domain.ClaimPart{Deployment: part.Deployment.ID, Machine: part.Machine, Instance: m.Instance,
			Session: m.Session})
	}
	s.command(domain.EndPart{Deployment: part.Deployment.ID, Machine: part.Machine, Instance: part.Instance,
		State: pick(s, []domain.PartState{domain.PartSucceeded, domain.PartFailed})})
}

// changeMachine appends a change of a machine's presence or health.
func (s *simulation) changeMachine(name string) {
	switch m := s.full.Machines[name]; {
	case m == nil:
		s.join(name)
	case m.Online && s.oneIn(3):
		s.append("machine/"+name, domain.MachineWentOffline{Connect: m.Connect, Session: m.Session,
			Instance: m.Instance})
	case s.oneIn(3):
		s.append("machine/"+name, domain.MachineHealthChanged{Status: pick(s, []domain.Health{domain.Healthy,
			domain.Unhealthy, domain.Warning}), Session: m.Session})
	default:
		s.online(name)
	}
}

// engine appends most of its decisions. The others are lost, as in a conflict.
func (s *simulation) engine() {
	older := pick(s, s.ages)
	decided := rollout.Decide(s.full, rollout.Measured{Age: ages(s.full, older)})
	if len(decided) == 0 || s.oneIn(3) {
		decided = append(decided, triggers.Plan(s.full,
			triggers.Decide(s.full, projections.Age(ages(s.full, older))))...)
	}
	for _, decision := range decided {
		if s.oneIn(5) || s.full.SetAside(decision.Stream) {
			continue
		}
		for _, fact := range decision.Events {
			s.append(decision.Stream, fact)
		}
	}
}
