package explain

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Occupant is the part that runs on a machine while another part waits for it.
type Occupant struct {
	Machine     string    `json:"machine"`
	Deployment  string    `json:"deployment"`
	Project     string    `json:"project"`
	Release     string    `json:"release"`
	Environment string    `json:"environment"`
	Step        string    `json:"step,omitempty"` // empty if the release has more than one step
	Since       time.Time `json:"since"`
	Killed      bool      `json:"killed,omitempty"`     // a person has asked to stop it
	CannotStop  bool      `json:"cannotStop,omitempty"` // the agent is too old to stop it
}

// String describes the part, and how to stop it, in one sentence without a full stop.
func (o Occupant) String() string {
	step := ""
	if o.Step != "" {
		step = ", step " + o.Step
	}
	text := fmt.Sprintf("%s runs release %s of %s since %s (deployment %s%s); ", o.Machine, o.Release, o.Project,
		o.Since.UTC().Format(time.RFC3339), o.Deployment, step)
	switch {
	case o.CannotStop:
		return text + "its agent is too old to stop it, so it finishes; upgrade the agent of this machine"
	case o.Killed:
		return text + "a person has asked to stop it"
	}
	return text + fmt.Sprintf("`drover cancel %s --kill --machine %s` stops it and cancels the rest of that deployment",
		o.Deployment, o.Machine)
}

// occupantOf returns the part that keeps the other open parts of a project from starting on a machine; nil if the
// machine runs none, or if no other part waits.
func occupantOf(v *projections.View, p *projections.Project, m *projections.Machine) *Occupant {
	if m.Claimed == nil {
		return nil
	}
	for _, part := range v.OpenPartsOn(m.Name) {
		if part.Deployment.Project == p && part.Unclaimed() {
			return occupant(m)
		}
	}
	return nil
}

// occupant returns the part that runs on a machine.
func occupant(m *projections.Machine) *Occupant {
	part := m.Claimed
	d := part.Deployment
	o := &Occupant{Machine: part.Machine, Deployment: d.ID.String(), Project: d.Project.Name, Release: d.Release,
		Environment: d.Environment, Since: part.StartedTime.UTC(), Killed: part.Kill != nil, CannotStop: cannotStop(m, part)}
	if d.Content != nil && len(d.Content.Steps) == 1 {
		o.Step = d.Content.Steps[0].Name
	}
	return o
}

// cannotStop reports whether a part runs on a machine whose agent is too old to stop it. An agent that is offline may be a
// newer one when it returns.
func cannotStop(m *projections.Machine, part *projections.Part) bool {
	return m != nil && m.Claimed == part && m.Online && m.CannotStop
}

// waitsFor returns the part that an unclaimed part waits for; nil if another reason keeps it from starting.
func waitsFor(v *projections.View, part *projections.Part) *Occupant {
	m := v.Machines[part.Machine]
	if !part.Unclaimed() || m == nil || m.Claimed == nil || partReason(v, part) != domain.MachineIsBusy {
		return nil
	}
	return occupant(m)
}

// visibleTo returns the occupant, or nil if the reader must not see its project in its environment.
func (o *Occupant) visibleTo(s Sees) *Occupant {
	if o == nil || !s.may(o.Project, o.Environment) {
		return nil
	}
	return o
}

// limit hides the part of a project that the reader must not see.
func (w *Why) limit(s Sees) bool {
	w.WaitsFor = w.WaitsFor.visibleTo(s)
	return true
}
