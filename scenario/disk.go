package scenario

import (
	"errors"
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// diskCopy is a copy of a machine's disk: the agent's data, and what is installed.
type diskCopy struct {
	memory  agentMemory
	running []domain.ID
	proven  map[string]provenSuccess // by project
}

// provenSuccess is the last success of a project that an agent remembers.
type provenSuccess struct {
	deployment domain.ID
	release    string
}

// saveDisk makes a copy of the machine's disk.
func (r *runner) saveDisk(s *server, a *agent, _ []string) ([]string, error) {
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	a.saved = &diskCopy{memory: a.memory.clone(), running: slices.Clone(a.running), proven: a.proven(s.fold())}
	return []string{"ok unchanged"}, nil
}

// restoreDisk replaces the disk with its copy. The agent ends without notice and does not start by itself.
func (r *runner) restoreDisk(s *server, a *agent, _ []string) ([]string, error) {
	if a.saved == nil {
		return nil, r.wrong("usage: HH:MM:SS MACHINE disk-saved, and later HH:MM:SS MACHINE disk-restored",
			"the disk of machine %s was not saved", a.machine)
	}
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	for project, success := range a.proven(s.fold()) {
		if a.saved.proven[project] != success {
			a.forgotten[success.deployment] = true
		}
	}
	a.server, a.silent, a.running, a.memory = nil, false, slices.Clone(a.saved.running), a.saved.memory.clone()
	return []string{"ok unchanged"}, nil
}

// clone returns an independent copy.
func (m agentMemory) clone() agentMemory {
	m.Successes, m.Deployments = maps.Clone(m.Successes), maps.Clone(m.Deployments)
	return m
}

// proven returns the successes in the log that the agent of the machine remembers. An agent remembers everything that it
// has reported, except what it lost with its disk.
func (a *agent) proven(v *projections.View) map[string]provenSuccess {
	proven := map[string]provenSuccess{}
	m := v.Machines[a.machine]
	if kept := v.CleanedUp(a.machine); kept != nil { // its agent remembers what it installed before
		m = kept.Machine
	}
	if m != nil && m.Instance == a.instance {
		for project, i := range m.Installed {
			if !i.Deployment.IsZero() && !a.forgotten[i.Deployment] {
				proven[project] = provenSuccess{i.Deployment, i.Release}
			}
		}
	}
	return proven
}

// prove sends a server what the agent remembers about its successes, as an agent does after each welcome.
func (r *runner) prove(s *server, a *agent) error {
	if s.LostEvents() != nil {
		return nil // a server compares nothing then
	}
	if err := s.CatchUp(r.ctx); err != nil {
		return err
	}
	v := s.fold()
	statement := projections.Remembered{AsOf: v.Position, Projects: map[string]projections.RememberedProject{}}
	if a.saved != nil { // of an earlier time
		for project, success := range a.saved.proven {
			statement.Projects[project] = projections.RememberedProject{Release: success.release, Deployments: []domain.ID{success.deployment}}
		}
	}
	for project, success := range a.proven(v) {
		statement.Projects[project] = projections.RememberedProject{Release: success.release, Deployments: []domain.ID{success.deployment}}
	}
	lost := v.Forgotten(a.machine, statement)
	if len(lost) == 0 {
		return nil
	}
	_, err := s.Handle(r.ctx, domain.ID{}, domain.ReportLostState{Name: a.machine, Session: a.session, Lost: lost})
	if rejection := (*domain.Rejection)(nil); errors.As(err, &rejection) {
		return nil // the stream of the machine is set aside
	}
	return err
}
