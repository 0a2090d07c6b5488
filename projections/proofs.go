package projections

import "github.com/droverhq/drover/domain"

// proofs are the last two successes that agents reported, for each machine and each project that it has to do with. An agent
// is seldom more than one success behind the log; the engine looks an older one up, and what became of a machine or project
// that is gone.
type proofs map[place][2]domain.ID

type place struct{ machine, project string }

func (p proofs) note(m *Machine, f Fact) {
	if e, ok := f.Event.(domain.PartEnded); ok && e.State == domain.PartSucceeded && m.Installed[e.Project] != nil {
		at := place{m.Name, e.Project}
		p[at] = [2]domain.ID{f.id(), p[at][0]}
	}
}

// drop forgets those of a project on a machine: one of them is gone.
func (p proofs) drop(machine, project string) { delete(p, place{machine, project}) }

// Proves says whether this is one of the last two successes, a PartEnded of the project on the machine.
func (v *View) Proves(machine, project string, success domain.ID) bool {
	two := v.proofs[place{machine, project}]
	return success == two[0] || success == two[1]
}
