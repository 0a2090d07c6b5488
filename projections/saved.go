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

// saved is a view as bytes: a cache, never truth. It has what the fold knows; what points from one thing to another is
// written as a name, and what can be found again (the indexes, who listens, the lists of open parts) is left out. Only the
// program that wrote it reads it, so it has no versions.
type saved struct {
	Position eventlog.Position
	Time     time.Time
	Fence    Fence
	Restores []Restore
	Kept     int
	Gathered bool
	Turns    int

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
	Forgotten    map[domain.ID]Forgotten
	Owed         map[string]*domain.Part
	OwedOrder    []string
	Heads        map[string]savedHead
	Receipts     []savedReceipt // oldest first
	ReceiptsNow  time.Duration
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
	Turn       int
}

type savedPart struct {
	Part       *Part
	Added      eventlog.Position
	Candidates []savedCandidate
}

type savedCandidate struct {
	Candidate *Candidate
	Project   int // index in saved.Projects
	Place     int // among those of the project that are open
}

type savedMachine struct {
	Machine    *Machine
	BusyAway   bool
	Places     [machineIndexes]int
	Claimed    domain.ID // the deployment
	Installed  []savedInstalled
	Candidates []savedCandidate
}

type savedInstalled struct {
	Project   string
	Installed *Installed
	// Last and Person are deployments; zero for none.
	Last, Person domain.ID
	Successes    [2]domain.ID
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

var saving = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.UserBufferEncMode())

func must[M any](mode M, err error) M {
	if err != nil {
		panic(err) // the options above are a program's, not a user's
	}
	return mode
}

// Save writes the view as bytes that Load reads. It returns an error where the view holds what cannot be named: then it
// is not to be saved.
func (v *View) Save(out *bytes.Buffer) error {
	s := &saver{view: v, projects: map[*Project]int{}}
	s.out = saved{Position: v.Position, Time: v.Time, Fence: v.Fence, Restores: v.Restores, Kept: v.Kept, Gathered: v.listenerIndex.fresh, Turns: v.turns,
		Environments: v.Environments, Policies: v.Policies, Tokens: v.Tokens, Servers: v.Servers, Watch: v.Watch, Starts: v.Watch.starts,
		Forgotten: v.forgotten, Owed: v.owed.parts, OwedOrder: v.owed.order, ReceiptsNow: v.receipts.now}
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
		return s.problem
	}
	return saving.MarshalToBuffer(&s.out, out)
}

// queued are all deployments in the order they were queued.
func (v *View) queued() []*Deployment {
	all := make([]*Deployment, 0, len(v.Deployments))
	for _, d := range v.Deployments {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *Deployment) int { return cmp.Compare(a.turn, b.turn) })
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
	out := savedDeployment{Deployment: d, Project: s.project(d.Project), Content: d.Content != nil, Adrift: d.adrift, Turn: d.turn}
	for _, name := range d.Order {
		part := d.Parts[name]
		out.Parts = append(out.Parts, savedPart{part, part.added, s.candidates(part.candidates)})
	}
	s.out.Deployments = append(s.out.Deployments, out)
}

func (s *saver) candidates(list []Candidate) (out []savedCandidate) {
	for i := range list {
		out = append(out, savedCandidate{Candidate: &list[i], Project: s.project(list[i].Project)})
	}
	return out
}

func (s *saver) machine(m *Machine) {
	out := savedMachine{Machine: m, BusyAway: m.busyAway, Places: m.places}
	if m.Claimed != nil {
		out.Claimed = s.name(m.Claimed.Deployment)
	}
	for project, i := range m.Installed {
		work := savedInstalled{Project: project, Installed: i, Person: s.name(i.Person), Successes: i.successes}
		if i.Last != nil {
			work.Last = s.name(i.Last.Deployment)
		}
		out.Installed = append(out.Installed, work)
	}
	for _, c := range m.candidates {
		out.Candidates = append(out.Candidates, savedCandidate{c, s.project(c.Project), c.place})
	}
	s.out.Machines = append(s.out.Machines, out)
}
