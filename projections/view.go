package projections

import (
	"errors"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// View is the state at one position of the log. Equal logs give equal views. It is not safe for concurrent use; the
// engine guards it.
type View struct {
	// Position is the position of the last folded event.
	Position eventlog.Position
	// Time is the latest wall-clock time of any folded event. It is shown to people, and bounds the age of receipts.
	Time time.Time

	Environments map[string]*Environment
	Policies     map[string]*Policy
	Machines     map[string]*Machine
	Projects     map[string]*Project
	// Deployments holds the open deployments, the last Retain ended ones of each project and kind, and older ones that
	// are still referenced.
	Deployments map[domain.ID]*Deployment
	Tokens      map[string]*domain.Token
	// ServerKey is the key by which the servers prove themselves; nil if none was created.
	ServerKey *ServerKey
	Servers   map[domain.ID]*Server
	Watch     Watch

	// Doubts are what servers know about the memory of agents, by machine; see DoubtOf. They are not folded, so only
	// decisions and displays read them, and the fold does not. The map is replaced, never changed.
	Doubts map[string]Doubt

	// Aside holds the streams that cannot be folded, by name.
	Aside map[string]*Aside
	// Fence reports that a newer version of drover writes to this log. Its zero value means that none does.
	Fence Fence
	// Ignored counts events of unknown types, by type, on streams that only inform.
	Ignored map[string]Ignored
	// Restores lists the restores that people accepted, oldest first.
	Restores []Restore

	// Retain is how many ended deployments are retained. New sets it to RetainedDeployments.
	Retain int

	rows   *rows
	states map[string]any // by the name of the fold

	heads         map[string]head // by stream, without the parts of pruned deployments
	retained      map[retentionKey]retained
	pruned        map[domain.ID]Pruned
	lateReports   lateReports
	receipts      receipts
	joined        map[domain.ID][]*domain.Token // by the instance that used them
	open          []*Deployment                 // deployments that have not ended
	places        tokenPlaces
	vacant        map[string]*Record // names that have open parts but no machine
	cleanUps      cleanUps
	accesses      *domain.Accesses
	sequence      int // of the last queued deployment
	listenerIndex listenerIndex
	index         index
	touched       []*Record
}

// head is the last event of a stream.
type head struct {
	revision eventlog.Revision
	newest   domain.ID
}

// Environment is a group of machines. It has no settings.
type Environment struct{}

// Policy is a machine policy that a person defined.
type Policy struct {
	Settings domain.PolicySettings
}

// ServerKey is the newest key of the servers.
type ServerKey struct {
	Public, Secret string // as in domain.ServerKeyCreated
	Created        eventlog.Position
}

// Server is one run of a server.
type Server struct {
	ID      domain.ID
	Event   domain.ID // its ServerStarted
	Started eventlog.Position
	Time    time.Time
	Facts   domain.ServerStarted
}

// Aside is a stream with an event that cannot be folded. Later events of the stream wait.
type Aside struct {
	Stream   string
	Position eventlog.Position
	Reason   string
	waiting  []eventlog.Recorded
}

// Fence is the evidence that a newer version of drover writes to the log.
type Fence struct {
	// Type is the first unknown event type; empty if none exists.
	Type string
	// Position is the position of that event.
	Position eventlog.Position
	// Decision is the highest decision version of any server that started. Raised is the position of the first server
	// with that version, or 0 if no server with a lower version had started before.
	Decision int
	Raised   eventlog.Position
}

// Ignored counts the events of one unknown type that may be ignored: they do not restrict or decide anything.
type Ignored struct {
	// First is the position of the first event of the type.
	First eventlog.Position
	Count int
}

// Restore is an accepted restore: the log had lost its newest events, and continues under another id.
type Restore struct {
	// Was is the former id of the log, and ID its id from then on.
	Was, ID  domain.ID
	Position eventlog.Position
}

// hadID reports whether the log had this id before its last accepted restore.
func (v *View) hadID(id domain.ID) bool {
	last := len(v.Restores) - 1
	for i, r := range v.Restores {
		if r.Was == id || r.ID == id && i < last {
			return true
		}
	}
	return false
}

// New returns the view of an empty log, with the core folds and the given ones.
func New(more ...Fold) *View {
	v := &View{
		Environments: map[string]*Environment{},
		Policies:     map[string]*Policy{},
		Machines:     map[string]*Machine{},
		Projects:     map[string]*Project{},
		Deployments:  map[domain.ID]*Deployment{},
		Tokens:       map[string]*domain.Token{},
		Servers:      map[domain.ID]*Server{},
		Aside:        map[string]*Aside{},
		Ignored:      map[string]Ignored{},
		Retain:       RetainedDeployments,
		states:       map[string]any{},
		heads:        map[string]head{},
		retained:     map[retentionKey]retained{},
		pruned:       map[domain.ID]Pruned{},
		lateReports:  lateReports{parts: map[string]*domain.Part{}},
		Watch:        Watch{starts: map[domain.ID]eventlog.Position{}},
		receipts:     newReceipts(),
		joined:       map[domain.ID][]*domain.Token{},
		places:       tokenPlaces{},
		vacant:       map[string]*Record{},
		cleanUps:     newCleanUps(),
		accesses:     domain.NewAccesses(),
		index:        newIndex(),
	}
	v.setRows(more)
	return v
}

// Apply folds the next event of the log and returns its fact, or nil if nothing was folded. It ignores an event at or
// below Position, so a page that is delivered twice changes nothing.
func (v *View) Apply(rec eventlog.Recorded) domain.Event {
	if rec.Position <= v.Position {
		return nil
	}
	v.Position = rec.Position
	before := v.Time
	if rec.Time.After(v.Time) {
		v.Time = rec.Time
	}
	v.heads[rec.Stream] = head{rec.Revision, domain.ID(rec.ID)}
	v.receipts.note(rec, v.Time.Sub(before))
	if aside := v.Aside[rec.Stream]; aside != nil && !isRecovery(rec) {
		aside.waiting = append(aside.waiting, rec)
		return nil
	}
	return v.fold(rec)
}

var clearedType, restoredType = domain.TypeName(domain.StreamCleared{}), domain.TypeName(domain.LogRestored{})

// isRecovery reports whether an event clears a stream that was set aside, or accepts a restore. It is folded even while
// the stream that carries it is set aside: otherwise neither state could ever end (law 18).
func isRecovery(rec eventlog.Recorded) bool {
	return rec.Stream == domain.WatchStream && (rec.Type == clearedType || rec.Type == restoredType)
}

// fold applies one event of a stream that is not set aside, or sets the stream aside.
func (v *View) fold(rec eventlog.Recorded) domain.Event {
	if v.unowned(rec.Stream) {
		v.ignore(rec)
		return nil
	}
	e, err := domain.Decode(rec.Type, rec.Data)
	switch {
	case v.informational(rec.Stream) && !domain.IsKnownType(rec.Type):
		v.ignore(rec)
		return nil
	case errors.Is(err, domain.ErrUnknownType):
		if v.Fence.Type == "" {
			v.Fence.Type, v.Fence.Position = rec.Type, rec.Position
		}
		return nil
	case err == nil:
		err = v.route(Fact{Recorded: rec, Event: e})
	}
	if err != nil {
		v.setAside(rec, err)
		return nil
	}
	return e
}

// ignore counts an event of an unknown type.
func (v *View) ignore(rec eventlog.Recorded) {
	seen, known := v.Ignored[rec.Type]
	if !known {
		if len(v.Ignored) == maxIgnored {
			return
		}
		seen.First = rec.Position
	}
	seen.Count++
	v.Ignored[rec.Type] = seen
}

// maxIgnored bounds how many unknown types are recorded. They are only shown.
const maxIgnored = 100

func (v *View) setAside(rec eventlog.Recorded, because error) {
	if aside := v.Aside[rec.Stream]; aside != nil {
		aside.waiting = append(aside.waiting, rec)
		return
	}
	v.Aside[rec.Stream] = &Aside{Stream: rec.Stream, Position: rec.Position, Reason: because.Error()}
	v.touchStream(rec.Stream)
}

// Fact is a decoded event and its place in the log.
type Fact struct {
	eventlog.Recorded
	Event domain.Event
}

// id returns the event's id as a domain.ID.
func (f Fact) id() domain.ID { return domain.ID(f.ID) }

// Revision returns the revision of the last event in a stream, or eventlog.NoStream if it has none.
func (v *View) Revision(stream string) eventlog.Revision {
	if h, ok := v.heads[stream]; ok {
		return h.revision
	}
	return eventlog.NoStream
}

// Newest returns the id of the last event in a stream, or the zero id if it has none.
func (v *View) Newest(stream string) domain.ID { return v.heads[stream].newest }

// SetAside reports whether a stream is set aside.
func (v *View) SetAside(stream string) bool { return v.Aside[stream] != nil }

// clear continues a stream that was set aside, without the event that could not be folded.
func (v *View) clear(stream string) {
	aside := v.Aside[stream]
	if aside == nil {
		return
	}
	delete(v.Aside, stream)
	v.touchStream(stream)
	for i, rec := range aside.waiting {
		v.fold(rec)
		if again := v.Aside[stream]; again != nil {
			again.waiting = append(again.waiting, aside.waiting[i+1:]...)
			return
		}
	}
}

func (v *View) touchStream(stream string) {
	kind, name := domain.SplitStream(stream)
	switch kind {
	case domain.MachineStreams:
		v.touch(v.record(name))
	case domain.ProjectStreams:
		if p := v.Projects[name]; p != nil {
			v.touchOpen(p)
		}
	}
}

// touchOpen touches every machine with an open part of the project.
func (v *View) touchOpen(p *Project) {
	for _, d := range p.Open {
		for _, part := range d.Parts {
			if part.Open() {
				v.touch(part.record)
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
