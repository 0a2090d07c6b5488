package projections_test

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// appendInvalid appends facts that no server writes: a fold must accept any fact, and equal logs must give equal views.
func (s *simulation) appendInvalid() {
	switch s.IntN(3) {
	case 0:
		s.invalidPart()
	case 1:
		s.invalidDeployment()
	default:
		s.invalidObject()
	}
}

// sessionOf returns the session of a machine, and its instance or a random one.
func (s *simulation) sessionOf(name string) (session, instance domain.ID) {
	session, instance = s.id(), s.id()
	if m := s.full.Machines[name]; m != nil {
		session = m.Session
		if s.oneIn(2) {
			instance = m.Instance
		}
	}
	return session, instance
}

func (s *simulation) invalidPart() {
	machine, project, deployment := pick(s, machines), pick(s, projects), s.deployment()
	session, instance := s.sessionOf(machine)
	stream := domain.PartStream(deployment, machine)
	switch s.IntN(5) {
	case 0, 1:
		s.append(stream, domain.PartEnded{Project: project, State: pick(s, []domain.PartState{domain.PartSucceeded,
			domain.PartFailed,
			domain.PartSkipped, domain.PartLost, domain.PartCancelled, "odd"})})
	case 2:
		s.append(stream, domain.PartClaimed{Project: project, Session: session, Instance: instance})
	case 3:
		s.append("project/"+project, domain.PartsReleased{Deployment: deployment, Machines: []string{machine, machine,
			"unknown"}})
	default:
		s.append("project/"+project, domain.PartsWithdrawn{Deployment: deployment,
			Machines: pick(s, [][]string{nil, {}, {machine}}), Reason: domain.NotClaimed})
	}
}

func (s *simulation) invalidDeployment() {
	stream, deployment, machine := "project/"+pick(s, projects), s.deployment(), pick(s, machines)
	switch s.IntN(4) {
	case 0, 1: // its parts may still be open
		s.append(stream, domain.DeploymentEnded{Deployment: deployment,
			State: pick(s, []domain.DeploymentState{domain.DeploymentSucceeded,
				domain.DeploymentFailed, domain.DeploymentCancelledState})})
	case 2:
		s.append(stream, domain.DeploymentCancelled{Deployment: deployment})
	default: // the release or environment may not exist, and a machine may be listed twice
		queued := domain.DeploymentQueued{Kind: pick(s, []domain.DeploymentKind{domain.EnvironmentWide, domain.Narrowed,
			domain.Automatic}),
			Environment: pick(s, append([]string{"nowhere"}, environments...)),
			Release:     pick(s, append([]string{"9.0"}, releases...)), MaxParallel: domain.Count(s.IntN(2))}
		if queued.Kind == domain.EnvironmentWide {
			queued.Exclude = []string{machine}
		} else {
			queued.Machines = []domain.DeploymentMachine{{Name: machine, Triggers: []string{"joins"}}, {Name: machine},
				{Name: pick(s, machines), Triggers: []string{"joins", "again"}}}
		}
		s.append(stream, queued)
	}
}

func (s *simulation) invalidObject() {
	machine := pick(s, machines)
	_, instance := s.sessionOf(machine)
	minute := domain.Duration(time.Minute)
	switch s.IntN(7) {
	case 0:
		if s.oneIn(4) {
			s.append("environment/"+pick(s, environments), domain.EnvironmentDeleted{})
		}
	case 1:
		s.append("environment/"+pick(s, environments), domain.EnvironmentDefined{})
	case 2:
		s.append("project/"+pick(s, projects), domain.HoldSet{Machine: machine, Instance: instance,
			Release: pick(s, []string{"", "1.0", "2.0"})})
	case 3:
		s.append("policy/checked", domain.PolicyDefined{Settings: domain.PolicySettings{LostAfter: minute,
			OfflineAfter: minute,
			HealthCheck: pick(s, []*domain.HealthCheck{nil, {Every: minute, Timeout: domain.Duration(time.Second),
				Script: "x"}})}})
	case 4:
		s.append("token/"+pick(s, []string{"a", "b"}), domain.TokenUsed{Instance: instance, Machine: machine})
	case 5:
		s.append("watch", domain.LogRestored{Was: s.id(), At: s.clock})
	default:
		s.append("server/"+s.id().String(), domain.ServerStarted{DecisionVersion: 1, Version: "1.0"})
	}
}

// damage appends an event that no version of drover can decode. Its stream is set aside and folded late.
func (s *simulation) damage() {
	switch s.IntN(5) {
	case 0:
		s.record("machine/"+pick(s, machines), "machine.changed/v1", []byte(`{"environment":7}`))
	case 1:
		s.record("project/"+pick(s, projects), "project.defined/v1", []byte(`{"settings":7}`))
	case 2:
		s.record(domain.PartStream(s.deployment(), pick(s, machines)), "part.claimed/v1", []byte(`{"project":7}`))
	default:
		s.clear()
	}
}

func (s *simulation) clear() {
	if aside := slices.Sorted(maps.Keys(s.full.Aside)); len(aside) > 0 {
		s.append("watch", domain.StreamCleared{Stream: pick(s, aside)})
	}
}

// restart continues from the newest snapshot, or from an old one. After an old one, some facts arrive twice.
func (s *simulation) restart(newest bool) {
	if newest || len(s.snapshots) == 0 {
		s.loaded = s.load(s.save(s.loaded))
		s.snapshots = append(s.snapshots, snapshot{s.save(s.pruning), len(s.log)})
		return
	}
	old := pick(s, s.snapshots)
	s.loaded = s.load(old.view)
	for _, rec := range s.log[max(0, old.folded-3):] {
		s.loaded.Apply(rec)
	}
}

func (s *simulation) save(v *projections.View) []byte {
	var data bytes.Buffer
	if err := v.Save(&data); err != nil {
		s.fail("save the view: %s", err)
	}
	return data.Bytes()
}

func (s *simulation) load(data []byte) *projections.View {
	s.saves++
	v, err := projections.Load(data)
	if err != nil {
		s.fail("load the view: %s", err)
	}
	return v
}
