package projections

import "github.com/droverhq/drover/domain"

// proofs are the last two successes that agents reported, for each machine and project. They outlive both: an agent
// remembers its last success whatever became of its machine's or project's name since. It is seldom more than one success
// behind the log; the engine looks an older one up.
type proofs map[place][2]domain.ID

type place struct{ machine, project string }

func (p proofs) note(machine string, f Fact) {
	if e, ok := f.Event.(domain.PartEnded); ok && e.State == domain.PartSucceeded {
		at := place{machine, e.Project}
		p[at] = [2]domain.ID{f.id(), p[at][0]}
	}
}

// Proves says whether this is one of the last two successes, a PartEnded of the project on the machine.
func (v *View) Proves(machine, project string, success domain.ID) bool {
	two := v.proofs[place{machine, project}]
	return success == two[0] || success == two[1]
}
