package projections

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// saved is a view as bytes: a cache, never truth. It has what the fold knows; what points from one thing to another is
// written as a name, and what can be found again (the shelves, who listens, the lists of open parts) is left out. Only the
// program that wrote it reads it, so it has no versions.
type saved struct {
	Position eventlog.Position
	Time     time.Time
	Fence    Fence
	Restores []Restore
	Kept     int
	Gathered bool

	Environments map[string]*Environment
	Policies     map[string]*Policy
	Tokens       map[string]*domain.Token
	Servers      map[domain.ID]*Server
	Watch        Watch
	Starts       map[domain.ID]eventlog.Position
	Aside        []savedAside
	Projects     []savedProject
	Deployments  []savedDeployment // in the order they were queued
	Machines     []savedMachine
	Retired      []savedRetired
	Forgotten    map[domain.ID]eventlog.Position
	Owed         map[string]*domain.Part
	Heads        map[string]savedHead
	Receipts     []savedReceipt // oldest first
	ReceiptsNow  time.Duration
	Proofs       []savedProof
	Joined       map[domain.ID][]string // token ids
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
	Project    int // index in saved.Projects
	Content    bool
	Parts      []savedPart
	Adrift     bool
}

type savedPart struct {
	Part       *Part
	Added      eventlog.Position
	Candidates []savedCandidate
}

type savedCandidate struct {
	Candidate *Candidate
	Project   int // index in saved.Projects
}

type savedMachine struct {
	Machine    *Machine
	BusyAway   bool
	Claimed    domain.ID // the deployment
	Installed  []savedInstalled
	Candidates []savedCandidate
}

type savedInstalled struct {
	Project   string
	Installed *Installed
	// Last and Person are deployments; zero for none.
	Last, Person domain.ID
}

type savedRetired struct {
	Project           string
	Automatic         bool
	Recent, Lingering []domain.ID
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

type savedProof struct {
	Machine, Project string
	Successes        [2]domain.ID
}

var (
	saving  = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode())
	loading = must(cbor.DecOptions{MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DecMode())
)

func must[M any](mode M, err error) M {
	if err != nil {
		panic(err) // the options above are a program's, not a user's
	}
	return mode
}

// Save writes the view as bytes that Load reads. It returns an error where the view holds what cannot be named: then it
// is not to be saved.
func (v *View) Save() ([]byte, error) {
	s := &saver{view: v, projects: map[*Project]int{}}
	s.out = saved{Position: v.Position, Time: v.Time, Fence: v.Fence, Restores: v.Restores, Kept: v.Kept, Gathered: v.audience.fresh,
		Environments: v.Environments, Policies: v.Policies, Tokens: v.Tokens, Servers: v.Servers, Watch: v.Watch, Starts: v.Watch.starts,
		Forgotten: v.forgotten, Owed: v.owed, ReceiptsNow: v.receipts.now}
	s.lists()
	for _, name := range sortedKeys(v.Projects) {
		s.project(v.Projects[name])
	}
	for _, d := range v.queued() {
		s.deployment(d)
	}
	for _, m := range v.Machines {
		s.machine(m)
	}
	if s.problem != nil {
		return nil, s.problem
	}
	return saving.Marshal(&s.out)
}

// queued are all deployments in the order they were queued.
func (v *View) queued() []*Deployment {
	all := make([]*Deployment, 0, len(v.Deployments))
	for _, d := range v.Deployments {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *Deployment) int { return cmp.Compare(a.Queued, b.Queued) })
	return all
}

// saver gathers what a view is saved as.
type saver struct {
	view     *View
	out      saved
	projects map[*Project]int // those that are gone included
	problem  error
}

// lists are what needs no names.
func (s *saver) lists() {
	v := s.view
	for _, aside := range v.Aside {
		s.out.Aside = append(s.out.Aside, savedAside{aside, aside.waiting})
	}
	s.out.Heads = make(map[string]savedHead, len(v.heads))
	for stream, h := range v.heads {
		s.out.Heads[stream] = savedHead{Revision: h.revision, Newest: h.newest}
	}
	for _, command := range v.receipts.order {
		r := v.receipts.byCommand[command]
		s.out.Receipts = append(s.out.Receipts, savedReceipt{command, r, r.at})
	}
	for at, two := range v.proofs {
		s.out.Proofs = append(s.out.Proofs, savedProof{at.machine, at.project, two})
	}
	s.out.Joined = make(map[domain.ID][]string, len(v.joined))
	for instance, tokens := range v.joined {
		for _, t := range tokens {
			s.out.Joined[instance] = append(s.out.Joined[instance], t.ID)
		}
	}
	for key, r := range v.retired {
		s.out.Retired = append(s.out.Retired, savedRetired{key.project, key.automatic, s.names(r.recent), s.names(r.lingering)})
	}
}

func (s *saver) names(deployments []*Deployment) (ids []domain.ID) {
	for _, d := range deployments {
		ids = append(ids, s.name(d))
	}
	return ids
}

// name is how a deployment is found again; the zero id for none.
func (s *saver) name(d *Deployment) domain.ID {
	if d == nil {
		return domain.ID{}
	}
	if s.view.Deployments[d.ID] != d {
		s.problem = fmt.Errorf("deployment %s is forgotten, and something goes back to it", d.ID)
	}
	return d.ID
}

// project saves a project once, and returns its index.
func (s *saver) project(p *Project) int {
	i, known := s.projects[p]
	if !known {
		i = len(s.out.Projects)
		s.projects[p] = i
		s.out.Projects = append(s.out.Projects, savedProject{p, p.Sweep(), p.released})
	}
	return i
}

func (s *saver) deployment(d *Deployment) {
	out := savedDeployment{Deployment: d, Project: s.project(d.Project), Content: d.Content != nil, Adrift: d.adrift}
	for _, name := range d.Order {
		part := d.Parts[name]
		out.Parts = append(out.Parts, savedPart{part, part.added, s.candidates(part.candidates)})
	}
	s.out.Deployments = append(s.out.Deployments, out)
}

func (s *saver) candidates(list []Candidate) (out []savedCandidate) {
	for i := range list {
		out = append(out, savedCandidate{&list[i], s.project(list[i].Project)})
	}
	return out
}

func (s *saver) machine(m *Machine) {
	out := savedMachine{Machine: m, BusyAway: m.busyAway}
	if m.Claimed != nil {
		out.Claimed = s.name(m.Claimed.Deployment)
	}
	for project, i := range m.Installed {
		work := savedInstalled{Project: project, Installed: i, Person: s.name(i.Person)}
		if i.Last != nil {
			work.Last = s.name(i.Last.Deployment)
		}
		out.Installed = append(out.Installed, work)
	}
	for _, c := range m.candidates {
		out.Candidates = append(out.Candidates, savedCandidate{c, s.project(c.Project)})
	}
	s.out.Machines = append(s.out.Machines, out)
}

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
	if l.problem != nil {
		return nil, fmt.Errorf("read a saved view: %w", l.problem)
	}
	l.view.shelves = *l.view.walk()
	for _, m := range l.view.Machines {
		m.filed = labelOf(m)
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
	v.Position, v.Time, v.Fence, v.Restores, v.Kept = in.Position, in.Time, in.Fence, in.Restores, in.Kept
	v.Environments, v.Policies, v.Tokens, v.Servers = in.Environments, in.Policies, in.Tokens, in.Servers
	v.Watch, v.Watch.starts, v.forgotten, v.owed = in.Watch, in.Starts, in.Forgotten, in.Owed
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
	for _, p := range in.Proofs {
		v.proofs[place{p.Machine, p.Project}] = p.Successes
	}
	for instance, ids := range in.Joined {
		for _, id := range ids {
			v.joined[instance] = append(v.joined[instance], v.Tokens[id])
		}
	}
}

func (l *loader) project(s savedProject) {
	p := s.Project
	p.sweep, p.released, p.candidates = make(map[string]struct{}, len(s.Sweep)), s.Released, map[candidateKey]*Candidate{}
	for _, machine := range s.Sweep {
		p.sweep[machine] = struct{}{}
	}
	l.projects = append(l.projects, p)
	if !p.Gone {
		l.view.Projects[p.Name] = p
	}
}

func (l *loader) projectAt(i int) *Project {
	if i < 0 || i >= len(l.projects) {
		l.problem = errNameless
		return l.projects[0]
	}
	return l.projects[i]
}

func (l *loader) deployment(s savedDeployment) {
	v, d := l.view, s.Deployment
	d.Project, d.Parts, d.adrift = l.projectAt(s.Project), make(map[string]*Part, len(s.Parts)), s.Adrift
	if s.Content {
		d.Content = d.Project.Releases[d.Release]
	}
	v.Deployments[d.ID] = d
	for _, part := range s.Parts {
		l.part(d, part)
	}
	d.released()
	if d.Ended {
		return
	}
	v.open, d.Project.Open = append(v.open, d), append(d.Project.Open, d)
	if d.Kind == domain.EnvironmentWide {
		d.Project.wide = append(d.Project.wide, d)
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
	l.view.touch(part.Machine)
	if part.State == domain.PartFailed {
		d.failed++
	}
	if part.Open() {
		d.open++
		l.view.parts[part.Machine] = append(l.view.parts[part.Machine], part)
	}
}

func (l *loader) machine(s savedMachine) {
	v, m := l.view, s.Machine
	m.busyAway, m.Installed = s.BusyAway, make(map[string]*Installed, len(s.Installed))
	m.Claimed = l.partOf(s.Claimed, m.Name)
	for _, work := range s.Installed {
		i := work.Installed
		i.Last, i.Person = l.partOf(work.Last, m.Name), l.find(work.Person)
		m.Installed[work.Project] = i
	}
	for _, c := range s.Candidates {
		c.Candidate.Project = l.projectAt(c.Project)
		m.candidates = append(m.candidates, c.Candidate)
		c.Candidate.Project.candidates[c.Candidate.key()] = c.Candidate
	}
	v.Machines[m.Name] = m
	v.touch(m.Name)
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
		l.view.retired[ledgerKey{s.Project, s.Automatic}] = r
	}
}
