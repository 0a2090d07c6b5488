package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// RetainedDeployments is how many ended deployments of a project the view keeps, those of people and those of the engine
// counted apart: a burst of joins must not push out what a person did. The log has the others.
const RetainedDeployments = 100

// retired are the ended deployments of one project and kind that the view still has, oldest first.
type retained struct {
	recent []*Deployment
	// referenced are older, and something went back to each of them when it was last looked at.
	referenced []*Deployment
}

// retentionKey says whose deployments are counted together. A project of a name that is used again goes on counting.
type retentionKey struct {
	project   string
	automatic bool
}

// checksPerEnd is how many referenced deployments are looked at again with each one that ends. Two go and one comes, so
// what nothing goes back to any more is gone before as many again have ended.
const checksPerEnd = 2

// retire notes that a deployment has ended, and forgets older ones that nothing goes back to.
func (v *View) retain(d *Deployment) {
	key := retentionKey{d.Project.Name, d.Kind == domain.Automatic}
	r := v.retained[key]
	r.recent = append(r.recent, d)
	if len(r.recent) > v.Retain {
		r.referenced = append(r.referenced, r.recent[0])
		r.recent = withoutFirst(r.recent)
	}
	for range min(checksPerEnd, len(r.referenced)) {
		oldest := r.referenced[0]
		r.referenced = withoutFirst(r.referenced)
		if v.references(oldest) {
			r.referenced = append(r.referenced, oldest)
		} else {
			v.prune(oldest)
		}
	}
	v.retained[key] = r
}

// withoutFirst is the list without its first; nil if nothing is left.
func withoutFirst(list []*Deployment) []*Deployment {
	if len(list) == 1 {
		return nil
	}
	list[0] = nil
	return list[1:]
}

// references says that something which counts now began with the deployment: what its environment wants, the last
// attempt on a machine (whose result may still come), the hold that it left, or the order among people's deployments.
func (v *View) references(d *Deployment) bool {
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
		return m != nil && m.Installed[p.Name].references(d)
	}
	return slices.ContainsFunc(d.Order, here) || slices.ContainsFunc(d.Facts.Exclude, here)
}

func (i *Installed) references(d *Deployment) bool {
	return i != nil && (i.Last != nil && i.Last.Deployment == d || i.Person == d || i.Hold != nil && i.Hold.Deployment == d.ID)
}

// forget drops a deployment. What comes for its parts is inert from here on. Of those that were called lost, the result is
// still taken down when it comes: an agent may have been cut off for long.
func (v *View) prune(d *Deployment) {
	delete(v.Deployments, d.ID)
	v.pruned[d.ID] = Pruned{d.Project.Name, d.EndedAt, d.State, d.Cancelled}
	for _, machine := range d.Order {
		stream, part := domain.PartStream(d.ID, machine), d.Parts[machine]
		if part.Claimed > 0 && !part.Reported {
			v.awaitReport(stream, part.facts())
		} else {
			delete(v.heads, stream)
		}
	}
}

// maxLateReports bounds the results that are still taken: most agents that are cut off for so long are gone with their machines.
const maxLateReports = 1000

// owed are lost parts of forgotten deployments, whose agents may report still.
type lateReports struct {
	parts map[string]*domain.Part // by stream
	order []string                // of the streams, oldest first
}

func (v *View) awaitReport(stream string, part *domain.Part) {
	v.lateReports.parts[stream] = part
	v.lateReports.order = append(v.lateReports.order, stream)
	if oldest := v.lateReports.order[0]; len(v.lateReports.order) > maxLateReports {
		v.lateReports.order = v.lateReports.order[1:]
		delete(v.lateReports.parts, oldest)
		delete(v.heads, oldest)
	}
}

// Forgotten is what the view knows of a deployment that it has no more. A fold of the log up to Ended has it.
type Pruned struct {
	Project   string
	Ended     eventlog.Position
	State     domain.DeploymentState
	Cancelled bool
}

// Forgotten says what is known of a deployment that was forgotten; false for any other.
func (v *View) Pruned(deployment domain.ID) (Pruned, bool) {
	f, forgotten := v.pruned[deployment]
	return f, forgotten
}

// facts is the part as commands ask it.
func (p *Part) facts() *domain.Part {
	return &domain.Part{Project: p.Deployment.Project.Name, State: p.State, Claimed: p.Claimed > 0,
		Instance: p.Instance, Session: p.Session, Reported: p.Reported}
}

// foldPruned folds a fact about a part that the view does not have: only a result that was owed means something.
func (v *View) foldPruned(f Fact) {
	e, ended := f.Event.(domain.PartEnded)
	switch part := v.lateReports.parts[f.Stream]; {
	case part == nil:
		delete(v.heads, f.Stream) // nobody may append to it
	case ended && e.ByAgent():
		part.Reported = true
	}
}
