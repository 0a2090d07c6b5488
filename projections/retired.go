package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// KeptDeployments is how many ended deployments of a project the view keeps, those of people and those of the engine
// counted apart: a burst of joins must not push out what a person did. The log has the others.
const KeptDeployments = 100

// retired are the ended deployments of one project and kind that the view still has, oldest first.
type retired struct {
	recent []*Deployment
	// lingering are older, and something went back to each of them when it was last looked at.
	lingering []*Deployment
}

// retiredKey says whose deployments are counted together. A project of a name that is used again goes on counting.
type retiredKey struct {
	project   string
	automatic bool
}

// looksPerEnd is how many lingering deployments are looked at again with each one that ends. Two go and one comes, so
// what nothing goes back to any more is gone before as many again have ended.
const looksPerEnd = 2

// retire notes that a deployment has ended, and forgets older ones that nothing goes back to.
func (v *View) retire(d *Deployment) {
	key := retiredKey{d.Project.Name, d.Kind == domain.Automatic}
	r := v.retired[key]
	r.recent = append(r.recent, d)
	if len(r.recent) > v.Kept {
		r.lingering = append(r.lingering, r.recent[0])
		r.recent = lessFirst(r.recent)
	}
	for range min(looksPerEnd, len(r.lingering)) {
		oldest := r.lingering[0]
		r.lingering = lessFirst(r.lingering)
		if v.goesBackTo(oldest) {
			r.lingering = append(r.lingering, oldest)
		} else {
			v.forget(oldest)
		}
	}
	v.retired[key] = r
}

// lessFirst is the list without its first; nil if nothing is left.
func lessFirst(list []*Deployment) []*Deployment {
	if len(list) == 1 {
		return nil
	}
	list[0] = nil
	return list[1:]
}

// goesBackTo says that something which counts now began with the deployment: what its environment wants, the last
// attempt on a machine (whose result may still come), the hold that it left, or the order among people's deployments.
func (v *View) goesBackTo(d *Deployment) bool {
	p := d.Project
	switch s := p.Environments[d.Environment]; {
	case d.open > 0:
		return true
	case p.Gone:
		return false
	case s != nil && s.Origin() == d.ID:
		return true
	}
	here := func(machine string) bool {
		m := v.Machines[machine]
		return m != nil && m.Installed[p.Name].goesBackTo(d)
	}
	return slices.ContainsFunc(d.Order, here) || slices.ContainsFunc(d.Facts.Exclude, here)
}

func (i *Installed) goesBackTo(d *Deployment) bool {
	return i != nil && (i.Last != nil && i.Last.Deployment == d || i.Person == d || i.Hold != nil && i.Hold.Deployment == d.ID)
}

// forget drops a deployment. What comes for its parts is inert from here on. Of those that were called lost, the result is
// still taken down when it comes: an agent may have been cut off for long.
func (v *View) forget(d *Deployment) {
	delete(v.Deployments, d.ID)
	v.forgotten[d.ID] = Forgotten{d.Project.Name, d.EndedAt, d.State, d.Cancelled}
	for _, machine := range d.Order {
		stream, part := domain.PartStream(d.ID, machine), d.Parts[machine]
		if part.Claimed > 0 && !part.Reported {
			v.owe(stream, part.facts())
		} else {
			delete(v.heads, stream)
		}
	}
}

// maxOwed bounds the results that are still taken: most agents that are cut off for so long are gone with their machines.
const maxOwed = 1000

// owed are lost parts of forgotten deployments, whose agents may report still.
type owed struct {
	parts map[string]*domain.Part // by stream
	order []string                // of the streams, oldest first
}

func (v *View) owe(stream string, part *domain.Part) {
	v.owed.parts[stream] = part
	v.owed.order = append(v.owed.order, stream)
	if oldest := v.owed.order[0]; len(v.owed.order) > maxOwed {
		v.owed.order = v.owed.order[1:]
		delete(v.owed.parts, oldest)
		delete(v.heads, oldest)
	}
}

// Forgotten is what the view knows of a deployment that it has no more. A fold of the log up to Ended has it.
type Forgotten struct {
	Project   string
	Ended     eventlog.Position
	State     domain.DeploymentState
	Cancelled bool
}

// Forgotten says what is known of a deployment that was forgotten; false for any other.
func (v *View) Forgotten(deployment domain.ID) (Forgotten, bool) {
	f, forgotten := v.forgotten[deployment]
	return f, forgotten
}

// facts is the part as commands ask it.
func (p *Part) facts() *domain.Part {
	return &domain.Part{Project: p.Deployment.Project.Name, State: p.State, Claimed: p.Claimed > 0,
		Instance: p.Instance, Session: p.Session, Reported: p.Reported}
}

// foldForgotten folds a fact about a part that the view does not have: only a result that was owed means something.
func (v *View) foldForgotten(f Fact) {
	e, ended := f.Event.(domain.PartEnded)
	switch part := v.owed.parts[f.Stream]; {
	case part == nil:
		delete(v.heads, f.Stream) // nobody may append to it
	case ended && e.ByAgent():
		part.Reported = true
	}
}
