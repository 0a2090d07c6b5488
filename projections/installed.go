package projections

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Installed is the state of one project on one machine.
type Installed struct {
	// Release is the release of the machine's last success, on Instance. Another instance does not have it.
	Release  string
	Instance domain.ID
	// Deployment is the deployment of that success. Like Release, it is empty if the actual release is unknown.
	Deployment domain.ID
	// Lost is the last success that the machine's agent does not remember; nil without one, and after a later success.
	Lost *LostState
	// Success is the position at which the last success was reported, and Began the position at which its part was
	// claimed.
	Success     eventlog.Position
	SuccessTime time.Time
	Began       eventlog.Position
	// Dirty is set if a later attempt started and did not succeed.
	Dirty bool
	// Last is the part that was claimed last; nil before the first.
	Last *Part `cbor:"-"`
	// Person is the latest person's deployment, in queue order, that started here.
	Person *Deployment `cbor:"-"`
	// FailedAttempts counts automatic attempts that did not succeed.
	FailedAttempts FailedAttempts `cbor:"Tried"`
	// Holds keep automation off the machine, at most one of each kind. The strongest one is the first, and counts.
	Holds []*Hold

	// successes are the last two that agents reported. An agent is rarely more than one success behind the log. The
	// engine looks up an older one, and those of deleted machines and projects, in the log.
	successes [2]domain.ID
}

// FailedAttempts counts attempts at one wanted release on one instance.
type FailedAttempts struct {
	Release  string
	Instance domain.ID
	Count    int
	// Last is the position at which the last one ended.
	Last eventlog.Position
}

// installed returns the state of a project on the machine, and creates it if needed.
func (m *Machine) installed(project string) *Installed {
	i := m.Installed[project]
	if i == nil {
		i = &Installed{}
		m.Installed[project] = i
	}
	return i
}

// HoldApplies reports whether the machine is held for the project. A hold with a release applies only to the instance
// that was held: another instance still gets that release. A hold without a release applies to any instance.
func (m *Machine) HoldApplies(project string) bool {
	h := m.Hold(project)
	return h != nil && (h.Instance == m.Instance || h.Release == "")
}

// Wanted returns the release that a machine should have: that of its hold, else the environment's pin, else the
// environment's release. It is empty if none exists.
func (v *View) Wanted(p *Project, m *Machine) string {
	if h := m.Hold(p.Name); h != nil {
		return h.Release
	}
	return p.WantedIn(m.Environment)
}

// Actual returns the release of the machine's own last success; empty if unknown.
func (v *View) Actual(p *Project, m *Machine) string {
	if i := m.Installed[p.Name]; i != nil && i.Instance == m.Instance {
		return i.Release
	}
	return ""
}

// Dirty reports whether a later attempt on this instance started and did not succeed.
func (v *View) Dirty(p *Project, m *Machine) bool {
	i := m.Installed[p.Name]
	return i != nil && i.Dirty && i.Last != nil && i.Last.Instance == m.Instance
}

// Behind reports whether a machine does not have what it should have.
func (v *View) Behind(p *Project, m *Machine) bool {
	wanted := v.Wanted(p, m)
	return wanted != "" && (v.Actual(p, m) != wanted || v.Dirty(p, m))
}

// Attempts counts the failed automatic attempts at the release that is wanted now, and returns the position at which
// the last one ended.
func (v *View) Attempts(p *Project, m *Machine) (count int, last eventlog.Position) {
	i := m.Installed[p.Name]
	if i == nil || i.FailedAttempts.Release != v.Wanted(p, m) || i.FailedAttempts.Instance != m.Instance {
		return 0, 0
	}
	return i.FailedAttempts.Count, i.FailedAttempts.Last
}

// Exhausted reports whether the machine has used up the attempts that the project allows.
func (v *View) Exhausted(p *Project, m *Machine) bool {
	count, _ := v.Attempts(p, m)
	return count >= p.Settings.Attempts
}

// MadeUnhealthy reports whether the machine became unhealthy after it tried the release that is wanted now.
func (v *View) MadeUnhealthy(p *Project, m *Machine) bool {
	i := m.Installed[p.Name]
	return m.Health == domain.Unhealthy && i != nil && i.Last != nil && i.Last.Instance == m.Instance &&
		i.Last.Deployment.Release == v.Wanted(p, m) && m.HealthSince > i.Last.Claimed
}

// PersonDeploys reports whether an environment-wide deployment of the project is open in the machine's environment, or
// a person's part is open on the machine.
func (v *View) PersonDeploys(p *Project, m *Machine) bool {
	if p.HasOpenWide(m.Environment) {
		return true
	}
	return slices.ContainsFunc(m.record.Parts, func(part *Part) bool {
		return part.Deployment.Project == p && part.Deployment.Kind != domain.Automatic
	})
}

// noteSuccess records the id of a success that an agent reported.
func (m *Machine) noteSuccess(f Fact) {
	if e, _ := f.Event.(domain.PartEnded); e.State == domain.PartSucceeded {
		if i := m.Installed[e.Project]; i != nil {
			i.successes = [2]domain.ID{f.id(), i.successes[0]}
		}
	}
}

// IsRecentSuccess reports whether success is the id of one of the last two successes of the project on the machine.
func (v *View) IsRecentSuccess(machine, project string, success domain.ID) bool {
	var two [2]domain.ID
	if m := v.Machines[machine]; m != nil && m.Installed[project] != nil {
		two = m.Installed[project].successes
	}
	return success == two[0] || success == two[1]
}

// countAttempt counts one automatic attempt that did not succeed.
func (m *Machine) countAttempt(p *Project, part *Part, at eventlog.Position) {
	i := m.installed(p.Name)
	now := FailedAttempts{Release: part.Deployment.Release, Instance: m.Instance, Count: 1, Last: at}
	if i.FailedAttempts.Release == now.Release && i.FailedAttempts.Instance == now.Instance {
		now.Count = i.FailedAttempts.Count + 1
	}
	i.FailedAttempts = now
}

// resetAttempts clears the count of attempts because a person intervened.
func (m *Machine) resetAttempts(project string) {
	if i := m.Installed[project]; i != nil {
		i.FailedAttempts = FailedAttempts{}
	}
}

func (m *Machine) resetAllAttempts() {
	for project := range m.Installed {
		m.resetAttempts(project)
	}
}

// invalidate clears the actual release: either the machine has succeeded since with something that the log does not
// have, or it has lost what the log recorded.
func (i *Installed) invalidate() {
	i.Release, i.Instance, i.Deployment, i.Dirty = "", domain.ID{}, domain.ID{}, true
}

// noteInstalled records the part's release as the machine's actual one.
func (m *Machine) noteInstalled(p *Project, part *Part, f Fact) {
	i := m.installed(p.Name)
	i.Release, i.Instance, i.Dirty = part.Deployment.Release, part.Instance, false
	i.Deployment, i.Lost = part.Deployment.ID, nil
	i.Success, i.SuccessTime, i.Began = f.Position, f.Time, part.Claimed
}
