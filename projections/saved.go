package projections

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// A saved view is a cache, and never the source of truth. It is a sequence of CBOR items: a header, then the state of
// each fold. It contains everything that the fold knows. Pointers are written as names or list indexes. What can be
// derived is left out: indexes, listeners, lists of open parts. Only the program that wrote it reads it, so the format
// has no versions. The cbor tags keep the names of fields stable.

// saved is the header: the state that belongs to no fold.
type saved struct {
	Rows             []string // names of the folds that follow
	Position         eventlog.Position
	Time             time.Time
	Fence            Fence
	Ignored          map[string]Ignored
	Restores         []Restore
	Retain           int  `cbor:"Kept"`
	ListenersIndexed bool `cbor:"Gathered"`
	Sequence         int  `cbor:"Turns"`

	Aside       []savedAside
	Heads       map[string]savedHead
	Receipts    []savedReceipt // oldest first
	ReceiptsNow time.Duration
}

type savedTokens struct {
	Tokens map[string]*domain.Token
	Key    *ServerKey
	Joined map[domain.ID][]string // token ids
	Places tokenPlaces
}

type savedWatch struct {
	Watch  Watch
	Starts map[domain.ID]eventlog.Position
}

type savedDeployments struct {
	Deployments      []savedDeployment       // in the order they were queued
	Retained         []savedRetained         `cbor:"Retired"`
	Pruned           map[domain.ID]Pruned    `cbor:"Forgotten"`
	LateReports      map[string]*domain.Part `cbor:"Owed"`
	LateReportsOrder []string                `cbor:"OwedOrder"`
}

type savedMachines struct {
	Machines []savedMachine
	// CleanUps are the machines that clean-ups or their agents deleted, the oldest of each kind first.
	CleanUps []savedCleanUp
}

type savedCleanUp struct {
	Machine savedMachine
	ByAgent bool
	Checked bool
	Open    []savedCandidate
}

type savedAside struct {
	Aside   *Aside
	Waiting []eventlog.Recorded
}

type savedProject struct {
	Project  *Project
	Sweep    []string
	Released map[string]int
}

type savedDeployment struct {
	Deployment *Deployment
	Project    int // index in the list of projects
	Content    bool
	Parts      []savedPart
	Orphaned   bool `cbor:"Adrift"`
	Sequence   int  `cbor:"Turn"`
}

type savedPart struct {
	Part       *Part
	Added      eventlog.Position
	Candidates []savedCandidate
}

type savedCandidate struct {
	Candidate *Candidate
	Project   int // index in the list of projects
	Place     int // in the list of the project's open candidates
}

type savedMachine struct {
	Machine    *Machine
	BusyAway   bool
	Places     [machineIndexes]int
	Claimed    domain.ID // deployment of the claimed part
	Installed  []savedInstalled
	Candidates []savedCandidate
}

type savedInstalled struct {
	Project   string
	Installed *Installed
	// Last and Person are ids of deployments, zero if none exists.
	Last, Person domain.ID
	Successes    [2]domain.ID
}

type savedRetained struct {
	Project    string
	Automatic  bool
	Recent     []domain.ID
	Referenced []domain.ID `cbor:"Lingering"`
}

type savedHead struct {
	_        struct{} `cbor:",toarray"`
	Revision eventlog.Revision
	Newest   domain.ID
}

type savedReceipt struct {
	Command domain.ID
	Receipt Receipt
	At      time.Duration
}

var saving = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.UserBufferEncMode())

func must[M any](mode M, err error) M {
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

// Saving is a view that is being encoded into a snapshot.
type Saving struct {
	View *View

	projects []*Project // current ones first, then deleted ones that still have deployments
	index    map[*Project]int
	problem  error
}

// Save appends the encoded view to out. An error means that the view has a dangling reference and must not be saved.
func (v *View) Save(out *bytes.Buffer) error {
	s := &Saving{View: v, projects: v.allProjects(), index: map[*Project]int{}}
	for i, p := range s.projects {
		s.index[p] = i
	}
	items := []any{s.header()}
	for _, row := range v.rows.all {
		if row.Save != nil {
			items = append(items, row.Save(s))
		}
	}
	if s.problem != nil {
		return s.problem
	}
	for _, item := range items {
		if err := saving.MarshalToBuffer(item, out); err != nil {
			return err
		}
	}
	return nil
}

// allProjects returns the projects by name, followed by the deleted ones that still have deployments.
func (v *View) allProjects() (all []*Project) {
	for _, name := range sortedKeys(v.Projects) {
		all = append(all, v.Projects[name])
	}
	known := make(map[*Project]struct{}, len(all))
	for _, d := range v.queued() {
		if _, there := known[d.Project]; !there && d.Project.Gone {
			known[d.Project] = struct{}{}
			all = append(all, d.Project)
		}
	}
	return all
}

// queued returns all deployments in the order they were queued.
func (v *View) queued() []*Deployment {
	all := make([]*Deployment, 0, len(v.Deployments))
	for _, d := range v.Deployments {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *Deployment) int { return cmp.Compare(a.sequence, b.sequence) })
	return all
}

// header returns the state that belongs to no fold.
func (s *Saving) header() *saved {
	v := s.View
	out := &saved{Rows: v.savedRows(), Position: v.Position, Time: v.Time, Fence: v.Fence, Ignored: v.Ignored,
		Restores: v.Restores, Retain: v.Retain, ListenersIndexed: v.listenerIndex.valid, Sequence: v.sequence,
		ReceiptsNow: v.receipts.now}
	for _, aside := range v.Aside {
		out.Aside = append(out.Aside, savedAside{aside, aside.waiting})
	}
	out.Heads = make(map[string]savedHead, len(v.heads))
	for stream, h := range v.heads {
		out.Heads[stream] = savedHead{Revision: h.revision, Newest: h.newest}
	}
	for _, key := range v.receipts.order {
		r, _ := v.receipts.get(key)
		out.Receipts = append(out.Receipts, savedReceipt{key.command, r, r.at})
	}
	return out
}

// savedRows returns the names of the folds with state to save.
func (v *View) savedRows() (names []string) {
	for _, row := range v.rows.all {
		if row.Save != nil {
			names = append(names, row.Name)
		}
	}
	return names
}

func saveTokens(s *Saving) any {
	out := savedTokens{Tokens: s.View.Tokens, Key: s.View.ServerKey, Places: s.View.places,
		Joined: make(map[domain.ID][]string, len(s.View.joined))}
	for instance, tokens := range s.View.joined {
		for _, t := range tokens {
			out.Joined[instance] = append(out.Joined[instance], t.ID)
		}
	}
	return out
}

func saveWatch(s *Saving) any { return savedWatch{s.View.Watch, s.View.Watch.starts} }

func saveProjects(s *Saving) any {
	out := make([]savedProject, len(s.projects))
	for i, p := range s.projects {
		out[i] = savedProject{p, p.Sweep(), p.released}
	}
	return out
}

func saveDeployments(s *Saving) any {
	v := s.View
	out := savedDeployments{Pruned: v.pruned, LateReports: v.lateReports.parts, LateReportsOrder: v.lateReports.order}
	for _, d := range v.queued() {
		out.Deployments = append(out.Deployments, s.deployment(d))
	}
	for key, r := range v.retained {
		out.Retained = append(out.Retained, savedRetained{key.project, key.automatic, s.ids(r.recent),
			s.ids(r.referenced)})
	}
	return out
}

func saveMachines(s *Saving) any {
	out := savedMachines{Machines: make([]savedMachine, 0, len(s.View.Machines))}
	for _, m := range s.View.Machines {
		out.Machines = append(out.Machines, s.machine(m))
	}
	for _, name := range s.View.cleanUps.all() {
		kept := s.View.cleanUps.byName[name]
		out.CleanUps = append(out.CleanUps, savedCleanUp{s.machine(kept.Machine), kept.byAgent, kept.checked,
			s.candidates(kept.open)})
	}
	return out
}

func (s *Saving) ids(deployments []*Deployment) (ids []domain.ID) {
	for _, d := range deployments {
		ids = append(ids, s.id(d))
	}
	return ids
}

// id returns the id by which a deployment is found again, or the zero id for nil.
func (s *Saving) id(d *Deployment) domain.ID {
	if d == nil {
		return domain.ID{}
	}
	if s.View.Deployments[d.ID] != d {
		s.problem = fmt.Errorf("dangling reference to deployment %s, which was pruned", d.ID)
	}
	return d.ID
}

// project returns the index of a project in the list of projects.
func (s *Saving) project(p *Project) int {
	i, known := s.index[p]
	if !known {
		s.problem = fmt.Errorf("dangling reference to project %s", p.Name)
	}
	return i
}

func (s *Saving) deployment(d *Deployment) savedDeployment {
	out := savedDeployment{Deployment: d, Project: s.project(d.Project), Content: d.Content != nil,
		Orphaned: d.orphaned, Sequence: d.sequence}
	for _, name := range d.Order {
		part := d.Parts[name]
		out.Parts = append(out.Parts, savedPart{part, part.added, s.candidates(part.candidates)})
	}
	return out
}

func (s *Saving) candidates(list []Candidate) (out []savedCandidate) {
	for i := range list {
		out = append(out, savedCandidate{Candidate: &list[i], Project: s.project(list[i].Project)})
	}
	return out
}

func (s *Saving) machine(m *Machine) savedMachine {
	out := savedMachine{Machine: m, BusyAway: m.busyAway, Places: m.places}
	if m.Claimed != nil {
		out.Claimed = s.id(m.Claimed.Deployment)
	}
	for project, i := range m.Installed {
		work := savedInstalled{Project: project, Installed: i, Person: s.id(i.Person), Successes: i.successes}
		if i.Last != nil {
			work.Last = s.id(i.Last.Deployment)
		}
		out.Installed = append(out.Installed, work)
	}
	for _, c := range m.candidates {
		out.Candidates = append(out.Candidates, savedCandidate{c, s.project(c.Project), c.place})
	}
	return out
}
