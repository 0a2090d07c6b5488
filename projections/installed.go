package projections

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Installed is what one project has done on one machine.
type Installed struct {
	// Release is that of the machine's own last success, on Instance; another instance has not got it.
	Release  string
	Instance domain.ID
	// Success is where the last success was reported, Began where its part was claimed.
	Success     eventlog.Position
	SuccessTime time.Time
	Began       eventlog.Position
	// Dirty says that a later attempt was started and did not succeed.
	Dirty bool
	// Last is the part that was claimed last; nil before the first.
	Last *Part `cbor:"-"`
	// Person is the last-queued person's deployment that started here.
	Person *Deployment `cbor:"-"`
	// Tried counts automatic attempts that did not succeed.
	FailedAttempts FailedAttempts `cbor:"Tried"`
	// Hold keeps automation away; nil for none.
	Hold *domain.Hold
	// HoldAt is where the hold was set, HoldTime when; what waits for a person for long is shown by it.
	HoldAt   eventlog.Position
	HoldTime time.Time

	// successes are the last two that agents reported. An agent is seldom more than one success behind the log; the engine
	// looks an older one up, and what became of a machine or project that is gone.
	successes [2]domain.ID
}

// Tried counts attempts for one wanted release on one instance.
type FailedAttempts struct {
	Release  string
	Instance domain.ID
	Count    int
	// Last is where the last of them ended.
	Last eventlog.Position
}

// installed finds or begins what a project has done on a machine.
func (m *Machine) installed(project string) *Installed {
	i := m.Installed[project]
	if i == nil {
		i = &Installed{}
		m.Installed[project] = i
	}
	return i
}

// hold is the hold of a project on the machine, nil for none.
func (m *Machine) hold(project string) *domain.Hold {
	if i := m.Installed[project]; i != nil {
		return i.Hold
	}
	return nil
}

// HoldApplies says that the machine is held and is the instance that was held. A hold without a release holds any
// instance: there is nothing that another one could get.
func (m *Machine) HoldApplies(project string) bool {
	h := m.hold(project)
	return h != nil && (h.Instance == m.Instance || h.Release == "")
}

// Wanted is the release that a machine should have: its hold's, else the environment's pin, else
// the environment's release. None is empty.
func (v *View) Wanted(p *Project, m *Machine) string {
	if h := m.hold(p.Name); h != nil {
		return h.Release
	}
	return p.WantedIn(m.Environment)
}

// Actual is the release that the machine's own last success proves, empty if unknown.
func (v *View) Actual(p *Project, m *Machine) string {
	if i := m.Installed[p.Name]; i != nil && i.Instance == m.Instance {
		return i.Release
	}
	return ""
}

// Dirty says that a later attempt on this instance was started and did not succeed.
func (v *View) Dirty(p *Project, m *Machine) bool {
	i := m.Installed[p.Name]
	return i != nil && i.Dirty && i.Last != nil && i.Last.Instance == m.Instance
}

// Behind says that a machine has not got what it should have.
func (v *View) Behind(p *Project, m *Machine) bool {
	wanted := v.Wanted(p, m)
	return wanted != "" && (v.Actual(p, m) != wanted || v.Dirty(p, m))
}

// Attempts counts the automatic attempts at what is wanted now that did not succeed, and says where the last one ended.
func (v *View) Attempts(p *Project, m *Machine) (count int, last eventlog.Position) {
	i := m.Installed[p.Name]
	if i == nil || i.FailedAttempts.Release != v.Wanted(p, m) || i.FailedAttempts.Instance != m.Instance {
		return 0, 0
	}
	return i.FailedAttempts.Count, i.FailedAttempts.Last
}

// Exhausted says that the machine was tried as often as the project allows.
func (v *View) Exhausted(p *Project, m *Machine) bool {
	count, _ := v.Attempts(p, m)
	return count >= p.Settings.Attempts
}

// MadeUnhealthy says that the machine is unhealthy since it tried the release that is wanted now.
func (v *View) MadeUnhealthy(p *Project, m *Machine) bool {
	i := m.Installed[p.Name]
	return m.Health == domain.Unhealthy && i != nil && i.Last != nil && i.Last.Instance == m.Instance &&
		i.Last.Deployment.Release == v.Wanted(p, m) && m.HealthSince > i.Last.Claimed
}

// PersonDeploys says that an environment-wide deployment of the project is open where the machine
// stands, or a person's part is open on it.
func (v *View) PersonDeploys(p *Project, m *Machine) bool {
	if p.HasOpenWide(m.Environment) {
		return true
	}
	return slices.ContainsFunc(m.record.Parts, func(part *Part) bool {
		return part.Deployment.Project == p && part.Deployment.Kind != domain.Automatic
	})
}

// prove notes a success that an agent reported.
func (m *Machine) noteSuccess(f Fact) {
	if e, ok := f.Event.(domain.PartEnded); ok && e.State == domain.PartSucceeded {
		if i := m.Installed[e.Project]; i != nil {
			i.successes = [2]domain.ID{f.id(), i.successes[0]}
		}
	}
}

// Proves says whether this is one of the last two successes, a PartEnded of the project on the machine.
func (v *View) IsRecentSuccess(machine, project string, success domain.ID) bool {
	var two [2]domain.ID
	if m := v.Machines[machine]; m != nil && m.Installed[project] != nil {
		two = m.Installed[project].successes
	}
	return success == two[0] || success == two[1]
}

// tried counts one automatic attempt that did not succeed.
func (m *Machine) countAttempt(p *Project, part *Part, at eventlog.Position) {
	i := m.installed(p.Name)
	now := FailedAttempts{Release: part.Deployment.Release, Instance: m.Instance, Count: 1, Last: at}
	if i.FailedAttempts.Release == now.Release && i.FailedAttempts.Instance == now.Instance {
		now.Count = i.FailedAttempts.Count + 1
	}
	i.FailedAttempts = now
}

// reset resets the count of attempts: a person took the matter up.
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

// forget drops what the log believed the machine to have: the machine has succeeded with something since.
func (i *Installed) invalidate() { i.Release, i.Instance, i.Dirty = "", domain.ID{}, true }

// succeed notes that the part's release is what the machine has.
func (m *Machine) noteInstalled(p *Project, part *Part, f Fact) {
	i := m.installed(p.Name)
	i.Release, i.Instance, i.Dirty = part.Deployment.Release, part.Instance, false
	i.Success, i.SuccessTime, i.Began = f.Position, f.Time, part.Claimed
	i.FailedAttempts = FailedAttempts{}
}
