package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Remembered is what the agent of a machine remembers about its successes (law 11).
type Remembered struct {
	// AsOf is a position that the log had reached before the agent made the statement. The agent cannot know later
	// successes.
	AsOf eventlog.Position
	// Projects maps a project to the successes that the agent remembers.
	Projects map[string]RememberedProject
	// Partial means that a project without an entry is unknown, instead of never installed.
	Partial bool
}

// RememberedProject is what an agent remembers of one project.
type RememberedProject struct {
	Release     string // of the newest success; may be empty
	Deployments []domain.ID
}

// LostState is a success that the log recorded and that the machine's agent does not remember.
type LostState struct {
	domain.LostSuccess
	Position eventlog.Position // of MachineLostState
	Instance domain.ID
}

// LostState returns the success of a project that this instance of the machine has lost. It returns nil without one, and
// after a later success.
func (m *Machine) LostState(project string) *LostState {
	if i := m.Installed[project]; i != nil && i.Lost != nil && i.Lost.Instance == m.Instance {
		return i.Lost
	}
	return nil
}

// Forgotten returns the successes that give the machine its actual releases, and that its agent does not remember. They
// are sorted by project.
func (v *View) Forgotten(machine string, statement Remembered) (lost []domain.LostSuccess) {
	m := v.Machines[machine]
	if m == nil {
		return nil
	}
	for _, project := range sortedKeys(m.Installed) {
		i := m.Installed[project]
		proven, known := statement.Projects[project]
		switch {
		case i.Deployment.IsZero() || i.Instance != m.Instance || i.Success > statement.AsOf:
		case statement.Partial && !known, slices.Contains(proven.Deployments, i.Deployment):
		default:
			lost = append(lost, domain.LostSuccess{Project: project, Deployment: i.Deployment, Release: i.Release,
				Proven: proven.Release})
		}
	}
	return lost
}

// loseState folds what a machine's agent does not remember, and returns the affected projects. A later success of a
// project proves more than the earlier statement.
func (v *View) loseState(m *Machine, e domain.MachineLostState, f Fact) (affected []*Project) {
	for _, lost := range e.Lost {
		p, i := v.Projects[lost.Project], m.Installed[lost.Project]
		if p == nil || i == nil || i.Deployment != lost.Deployment || i.Instance != m.Instance {
			continue
		}
		i.invalidate()
		i.Lost = &LostState{LostSuccess: lost, Position: f.Position, Instance: m.Instance}
		affected = append(affected, p)
	}
	v.openLost(m, affected, f)
	return affected
}

// openLost opens the candidates of the triggers that ask for machines that come online: for these projects the machine
// is like a new one. When its session began it still seemed to need nothing.
func (v *View) openLost(m *Machine, projects []*Project, f Fact) {
	for _, at := range v.asking(m, domain.CameOnline) {
		if slices.Contains(projects, at.project) {
			v.openFor(at, m, Cause{ID: f.id(), Category: domain.Category(domain.Name(f.Event)), Position: f.Position})
		}
	}
}
