package projections

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/droverhq/drover/domain"
)

var loading = must(cbor.DecOptions{MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DecMode())

// Load is the view that Save wrote. An error means that the bytes are not what this program wrote.
func Load(data []byte) (*View, error) {
	l := &loader{view: New()}
	if err := loading.Unmarshal(data, &l.in); err != nil {
		return nil, fmt.Errorf("read a saved view: %w", err)
	}
	l.lists()
	for _, p := range l.in.Projects {
		l.project(p)
	}
	for _, d := range l.in.Deployments {
		l.deployment(d)
	}
	for _, m := range l.in.Machines {
		l.machine(m)
	}
	l.retired()
	l.lateLists()
	if l.problem != nil {
		return nil, fmt.Errorf("read a saved view: %w", l.problem)
	}
	if l.in.Gathered {
		l.view.gather()
	}
	return l.view, nil
}

// loader makes a view of what was saved.
type loader struct {
	view     *View
	in       saved
	projects []*Project
	problem  error
}

// errNameless means that something saved goes back to what was not.
var errNameless = errors.New("it goes back to what it does not hold")

func (l *loader) lists() {
	v, in := l.view, &l.in
	v.Position, v.Time, v.Fence, v.Restores, v.Kept, v.turns = in.Position, in.Time, in.Fence, in.Restores, in.Kept, in.Turns
	v.Environments, v.Policies, v.Tokens, v.Servers = in.Environments, in.Policies, in.Tokens, in.Servers
	v.Watch, v.Watch.starts, v.forgotten, v.owed = in.Watch, in.Starts, in.Forgotten, owed{in.Owed, in.OwedOrder}
	for _, aside := range in.Aside {
		aside.Aside.waiting = aside.Waiting
		v.Aside[aside.Aside.Stream] = aside.Aside
	}
	v.heads = make(map[string]head, len(in.Heads))
	for stream, h := range in.Heads {
		v.heads[stream] = head{h.Revision, h.Newest}
	}
	v.receipts.now = in.ReceiptsNow
	for _, r := range in.Receipts {
		r.Receipt.at = r.At
		v.receipts.order = append(v.receipts.order, r.Command)
		v.receipts.byCommand[r.Command] = r.Receipt
	}
	for instance, ids := range in.Joined {
		for _, id := range ids {
			v.joined[instance] = append(v.joined[instance], v.Tokens[id])
		}
	}
}

func (l *loader) project(s savedProject) {
	p := s.Project
	p.sweep, p.released = make(map[string]*Machine, len(s.Sweep)), s.Released
	l.projects = append(l.projects, p)
	if !p.Gone {
		l.view.Projects[p.Name] = p
	}
}

func (l *loader) projectAt(i int) *Project {
	if i < 0 || i >= len(l.projects) {
		l.problem = errNameless
		return &Project{}
	}
	return l.projects[i]
}

func (l *loader) deployment(s savedDeployment) {
	v, d := l.view, s.Deployment
	d.Project, d.Parts, d.adrift = l.projectAt(s.Project), make(map[string]*Part, len(s.Parts)), s.Adrift
	d.turn = s.Turn
	if s.Content {
		d.Content = d.Project.Releases[d.Release]
	}
	v.Deployments[d.ID] = d
	for _, part := range s.Parts {
		l.part(d, part)
	}
	d.released()
	if !d.Ended {
		v.list(d)
	}
}

func (l *loader) part(d *Deployment, s savedPart) {
	part := s.Part
	part.Deployment, part.added = d, s.Added
	for _, c := range s.Candidates {
		c.Candidate.Project = l.projectAt(c.Project)
		part.candidates = append(part.candidates, *c.Candidate)
	}
	d.Parts[part.Machine] = part
	if part.State == domain.PartFailed {
		d.failed++
	}
	if part.Open() {
		d.open++
		l.view.openPart(part)
		l.view.touch(part.record)
	}
}

func (l *loader) machine(s savedMachine) {
	v, m := l.view, s.Machine
	m.busyAway, m.places, m.Installed = s.BusyAway, s.Places, make(map[string]*Installed, len(s.Installed))
	m.Claimed = l.partOf(s.Claimed, m.Name)
	for _, work := range s.Installed {
		i := work.Installed
		i.Last, i.Person, i.successes = l.partOf(work.Last, m.Name), l.find(work.Person), work.Successes
		m.Installed[work.Project] = i
	}
	for _, c := range s.Candidates {
		p, open := l.projectAt(c.Project), c.Candidate
		open.Project, open.machine, open.place = p, m, c.Place
		m.candidates, p.waiting = append(m.candidates, open), append(p.waiting, open)
	}
	v.add(m)
	v.touch(m.record)
}

// lateLists rebuilds the lists that need all machines.
func (l *loader) lateLists() {
	for i, p := range l.projects {
		for _, name := range l.in.Projects[i].Sweep {
			if p.sweep[name] = l.view.Machines[name]; p.sweep[name] == nil {
				l.problem = errNameless
			}
		}
		slices.SortFunc(p.waiting, func(a, b *Candidate) int { return cmp.Compare(a.place, b.place) })
	}
	l.view.index = *l.view.indexAnew()
	for _, m := range l.view.Machines {
		m.indexed = keysOf(m)
	}
}

// find is a deployment by its id; nil for the zero id.
func (l *loader) find(id domain.ID) *Deployment {
	d := l.view.Deployments[id]
	if d == nil && !id.IsZero() {
		l.problem = errNameless
	}
	return d
}

func (l *loader) partOf(id domain.ID, machine string) *Part {
	d := l.find(id)
	if d == nil {
		return nil
	}
	if d.Parts[machine] == nil {
		l.problem = errNameless
	}
	return d.Parts[machine]
}

func (l *loader) retired() {
	for _, s := range l.in.Retired {
		r := retired{}
		for _, id := range s.Recent {
			r.recent = append(r.recent, l.find(id))
		}
		for _, id := range s.Lingering {
			r.lingering = append(r.lingering, l.find(id))
		}
		l.view.retired[retiredKey{s.Project, s.Automatic}] = r
	}
}
