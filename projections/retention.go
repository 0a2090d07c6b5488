package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// RetainedDeployments is how many ended deployments of a project are retained. People's and automatic deployments are
// counted separately, so that a burst of joins does not displace what a person did. The log has the older ones.
const RetainedDeployments = 100

// retained lists the ended deployments of one project and kind that the view still holds, oldest first.
type retained struct {
	recent []*Deployment
	// referenced are older than recent. Each was still referenced when it was last checked.
	referenced []*Deployment
}

// retentionKey identifies the deployments that are counted together. A project that reuses a name continues its count.
type retentionKey struct {
	project   string
	automatic bool
}

// checksPerEnd is how many referenced deployments are checked again whenever one ends. Each end adds at most one, so
// with two checks an unreferenced deployment is pruned before as many again have ended.
const checksPerEnd = 2

// retain records that a deployment has ended, and prunes older ones that are no longer referenced.
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

// withoutFirst returns the list without its first element, or nil if nothing is left.
func withoutFirst(list []*Deployment) []*Deployment {
	if len(list) == 1 {
		return nil
	}
	list[0] = nil
	return list[1:]
}

// references reports whether the current state still refers to the deployment: as the origin of what its environment
// wants, the last attempt on a machine (whose result may still arrive), the origin of a hold, or the latest person's
// deployment.
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
		m := v.known(machine)
		return m != nil && m.Installed[p.Name].references(d)
	}
	return slices.ContainsFunc(d.Order, here) || slices.ContainsFunc(d.Facts.Exclude, here)
}

func (i *Installed) references(d *Deployment) bool {
	return i != nil && (i.Last != nil && i.Last.Deployment == d || i.Person == d ||
		slices.ContainsFunc(i.Holds, func(h *Hold) bool { return h.Deployment == d.ID }))
}

// prune removes a deployment. Later facts about its parts have no effect, with one exception: the result of a part that
// was declared lost is still recorded when it arrives, because an agent may have been disconnected for a long time.
func (v *View) prune(d *Deployment) {
	delete(v.Deployments, d.ID)
	v.pruned[d.ID] = Pruned{d.Project.Name, d.EndedAt, d.State, d.Cancelled, d.Kind, d.Accepted != nil}
	for _, machine := range d.Order {
		stream, part := domain.PartStream(d.ID, machine), d.Parts[machine]
		if part.Claimed > 0 && !part.Reported {
			v.awaitReport(stream, part.facts())
		} else {
			delete(v.heads, stream)
		}
	}
}

// maxLateReports bounds how many late results are awaited. Most agents that are disconnected for so long are gone with
// their machines.
const maxLateReports = 1000

// lateReports holds the lost parts of pruned deployments whose agents may still report.
type lateReports struct {
	parts map[string]*domain.Part // by stream
	order []string                // streams, oldest first
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

// Pruned is what the view still knows of a pruned deployment. A fold of the log up to Ended has all of it.
type Pruned struct {
	Project   string
	Ended     eventlog.Position
	State     domain.DeploymentState
	Cancelled bool
	Kind      domain.DeploymentKind
	Accepted  bool
}

// good reports whether the deployment succeeded, or a person accepted it.
func (p Pruned) good() bool { return p.State == domain.DeploymentSucceeded || p.Accepted }

// Pruned returns what is known of a pruned deployment, and false for any other.
func (v *View) Pruned(deployment domain.ID) (Pruned, bool) {
	f, pruned := v.pruned[deployment]
	return f, pruned
}

// facts returns the part as commands see it.
func (p *Part) facts() *domain.Part {
	return &domain.Part{Project: p.Deployment.Project.Name, State: p.State, Claimed: p.Claimed > 0,
		Instance: p.Instance, Session: p.Session, Reported: p.Reported, Killed: p.Kill != nil}
}

// foldPruned folds a fact about a part that the view no longer holds. Only an awaited result has an effect.
func (v *View) foldPruned(f Fact) {
	end, _ := f.Event.(domain.PartEnded)
	switch part := v.lateReports.parts[f.Stream]; {
	case part == nil:
		delete(v.heads, f.Stream) // nothing may be appended to it
	case end.ByAgent():
		part.Reported = true
	}
}
