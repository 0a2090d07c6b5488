package projections

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/droverhq/drover/domain"
)

var loading = must(cbor.DecOptions{MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DecMode())

// Loading is a snapshot that is being decoded into a view.
type Loading struct {
	View *View

	data     []byte // not decoded yet
	projects []*Project
	sweeps   [][]string // machine names by project; the machines are loaded later
	problem  error
}

// Load returns the view that Save wrote with the same folds. An error means that this program did not write the bytes.
func Load(data []byte, more ...Fold) (*View, error) {
	l := &Loading{View: New(more...), data: data}
	indexed := l.header()
	for _, row := range l.View.rows.all {
		if row.Load != nil {
			row.Load(l)
		}
	}
	if l.problem == nil && len(l.data) > 0 {
		l.problem = fmt.Errorf("%d extra bytes at the end", len(l.data))
	}
	if l.problem != nil {
		return nil, fmt.Errorf("decode the view: %w", l.problem)
	}
	if indexed {
		l.View.indexListeners()
	}
	return l.View, nil
}

// errDangling means that the snapshot refers to something that it does not contain.
var errDangling = errors.New("dangling reference")

// Decode reads the next item into a pointer. After the first error it does nothing.
func (l *Loading) Decode(into any) {
	if l.problem == nil {
		l.data, l.problem = loading.UnmarshalFirst(l.data, into)
	}
}

// next reads the next item. After an error it returns the zero value: half of an item has references to nothing.
func next[T any](l *Loading) (item T) {
	var read T
	if l.Decode(&read); l.problem == nil {
		item = read
	}
	return item
}

// header reads the state that belongs to no fold. indexed reports whether the listener index was valid.
func (l *Loading) header() (indexed bool) {
	in := next[saved](l)
	v := l.View
	if l.problem == nil && !slices.Equal(in.Rows, v.savedRows()) {
		l.problem = fmt.Errorf("it has the folds %v, want %v", in.Rows, v.savedRows())
	}
	v.Position, v.Time, v.Fence, v.Ignored, v.Restores = in.Position, in.Time, in.Fence, in.Ignored, in.Restores
	v.Retain, v.sequence, v.receipts.now = in.Retain, in.Sequence, in.ReceiptsNow
	for _, aside := range in.Aside {
		aside.Aside.waiting = aside.Waiting
		v.Aside[aside.Aside.Stream] = aside.Aside
	}
	v.heads = make(map[string]head, len(in.Heads))
	for stream, h := range in.Heads {
		v.heads[stream] = head{h.Revision, h.Newest}
	}
	for _, r := range in.Receipts {
		r.Receipt.at = r.At
		key := receiptKey{r.Command, r.Receipt.Token}
		v.receipts.order = append(v.receipts.order, key)
		v.receipts.put(key, r.Receipt)
	}
	return in.ListenersIndexed
}

func loadTokens(l *Loading) {
	in := next[savedTokens](l)
	l.View.Tokens, l.View.ServerKey = in.Tokens, in.Key
	for token, places := range in.Places {
		p := l.View.places.of(token)
		maps.Copy(p.Machines, places.Machines)
		maps.Copy(p.Joining, places.Joining)
	}
	for instance, ids := range in.Joined {
		for _, id := range ids {
			l.View.joined[instance] = append(l.View.joined[instance], in.Tokens[id])
		}
	}
}

func loadAccesses(l *Loading) {
	for name, settings := range next[map[string]domain.AccessSettings](l) {
		l.View.accesses.Set(name, settings)
	}
}

func loadWatch(l *Loading) {
	in := next[savedWatch](l)
	l.View.Watch, l.View.Watch.starts = in.Watch, in.Starts
}

func loadProjects(l *Loading) {
	in := next[[]savedProject](l)
	for _, p := range in {
		l.project(p)
	}
}

func loadDeployments(l *Loading) {
	in := next[savedDeployments](l)
	l.View.pruned, l.View.lateReports = in.Pruned, lateReports{in.LateReports, in.LateReportsOrder}
	for _, d := range in.Deployments {
		l.deployment(d)
	}
	for _, r := range in.Retained {
		l.retained(r)
	}
}

func loadMachines(l *Loading) {
	in := next[savedMachines](l)
	for _, m := range in.Machines {
		l.machine(m)
	}
	for _, kept := range in.CleanUps {
		l.cleanUp(kept)
	}
	l.rebuildLists()
}

func (l *Loading) project(s savedProject) {
	p := s.Project
	p.sweep, p.released = make(map[string]*Machine, len(s.Sweep)), s.Released
	l.projects, l.sweeps = append(l.projects, p), append(l.sweeps, s.Sweep)
	if !p.Gone {
		l.View.Projects[p.Name] = p
	}
}

func (l *Loading) projectAt(i int) *Project {
	if i < 0 || i >= len(l.projects) {
		l.problem = errDangling
		return &Project{}
	}
	return l.projects[i]
}

func (l *Loading) deployment(s savedDeployment) {
	v, d := l.View, s.Deployment
	d.Project, d.Parts, d.orphaned = l.projectAt(s.Project), make(map[string]*Part, len(s.Parts)), s.Orphaned
	d.sequence = s.Sequence
	if s.Content {
		d.Content = d.Project.Releases[d.Release]
	}
	v.Deployments[d.ID] = d
	for _, part := range s.Parts {
		l.part(d, part)
	}
	d.advanceNext()
	if !d.Ended {
		v.list(d)
	}
}

func (l *Loading) part(d *Deployment, s savedPart) {
	part := s.Part
	part.Deployment, part.added = d, s.Added
	part.candidates = l.candidates(s.Candidates)
	d.Parts[part.Machine] = part
	if part.Wave > 0 {
		d.waves.joins()
	}
	if !part.Open() {
		d.countEnded(part)
	}
	if part.Open() {
		d.open++
		l.View.openPart(part)
		l.View.touch(part.record)
	}
}

// cleanUp restores a machine that a clean-up or its agent deleted.
func (l *Loading) cleanUp(s savedCleanUp) {
	m := l.detached(s.Machine)
	m.record = &Record{Name: m.Name}
	kept := &CleanedUp{Machine: m, byAgent: s.ByAgent, checked: s.Checked, open: l.candidates(s.Open)}
	c := &l.View.cleanUps
	if c.byName[m.Name] = kept; kept.byAgent {
		c.byAgent = append(c.byAgent, m.Name)
	} else {
		c.order = append(c.order, m.Name)
	}
}

func (l *Loading) candidates(saved []savedCandidate) (all []Candidate) {
	for _, c := range saved {
		c.Candidate.Project = l.projectAt(c.Project)
		all = append(all, *c.Candidate)
	}
	return all
}

// detached restores a machine that is not listed anywhere yet.
func (l *Loading) detached(s savedMachine) *Machine {
	m := s.Machine
	m.busyAway, m.places, m.Installed = s.BusyAway, s.Places, make(map[string]*Installed, len(s.Installed))
	m.Claimed = l.partOf(s.Claimed, m.Name)
	for _, work := range s.Installed {
		i := work.Installed
		i.Last, i.Person, i.successes = l.partOf(work.Last, m.Name), l.find(work.Person), work.Successes
		m.Installed[work.Project] = i
	}
	return m
}

func (l *Loading) machine(s savedMachine) {
	v, m := l.View, l.detached(s)
	for _, c := range s.Candidates {
		p, open := l.projectAt(c.Project), c.Candidate
		open.Project, open.machine, open.place = p, m, c.Place
		m.candidates, p.waiting = append(m.candidates, open), append(p.waiting, open)
	}
	v.add(m)
	v.touch(m.record)
}

// rebuildLists rebuilds the lists that point to machines.
func (l *Loading) rebuildLists() {
	for i, p := range l.projects {
		for _, name := range l.sweeps[i] {
			if p.sweep[name] = l.View.Machines[name]; p.sweep[name] == nil {
				l.problem = errDangling
			}
		}
		slices.SortFunc(p.waiting, func(a, b *Candidate) int { return cmp.Compare(a.place, b.place) })
	}
	l.View.index = *l.View.buildIndex()
	for _, m := range l.View.Machines {
		m.indexed = indexKeysOf(m)
	}
}

// find returns a deployment by its id, or nil for the zero id.
func (l *Loading) find(id domain.ID) *Deployment {
	d := l.View.Deployments[id]
	if d == nil && !id.IsZero() {
		l.problem = errDangling
	}
	return d
}

func (l *Loading) partOf(id domain.ID, machine string) *Part {
	d := l.find(id)
	if d == nil {
		return nil
	}
	if d.Parts[machine] == nil {
		l.problem = errDangling
	}
	return d.Parts[machine]
}

func (l *Loading) retained(s savedRetained) {
	r := retained{}
	for _, id := range s.Recent {
		r.recent = append(r.recent, l.find(id))
	}
	for _, id := range s.Referenced {
		r.referenced = append(r.referenced, l.find(id))
	}
	l.View.retained[retentionKey{s.Project, s.Automatic}] = r
}
