package projections

import (
	"errors"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// View is the value of the fold at one position: what is true now. Equal logs give equal views.
// It is not safe for concurrent use; the engine guards it.
type View struct {
	// Position is that of the last event folded.
	Position eventlog.Position
	// Time is the latest wall clock that an event carried. It is shown, and bounds the receipts.
	Time time.Time

	Environments map[string]*Environment
	Policies     map[string]*Policy
	Machines     map[string]*Machine
	Projects     map[string]*Project
	// Deployments are the open ones, the last Kept that ended of each project and kind, and those that something goes back to.
	Deployments map[domain.ID]*Deployment
	Tokens      map[string]*domain.Token
	Servers     map[domain.ID]*Server
	Watch       Watch

	// Aside are the streams that cannot be folded, by name.
	Aside map[string]*Aside
	// Fence says that a newer drover writes to this log; its zero value, that none does.
	Fence Fence
	// Ignored are the event types that this drover does not know, on streams that restrict and decide nothing, by type.
	Ignored map[string]Ignored
	// Restores are the restores that people accepted, oldest first.
	Restores []Restore

	// Kept is how many ended deployments stay; New sets it to RetainedDeployments.
	Retain int

	rows   *rows
	states map[string]any // of the rows that have one, by name

	heads         map[string]head // of the streams, less those of forgotten parts
	retained      map[retentionKey]retained
	pruned        map[domain.ID]Pruned
	lateReports   lateReports
	receipts      receipts
	joined        map[domain.ID][]*domain.Token // by the instance that used them
	open          []*Deployment                 // all that have not ended
	vacant        map[string]*Record            // of the names without a machine for which parts are open
	sequence      int                           // deployments that were queued
	listenerIndex listenerIndex
	index         index
	touched       []*Record
}

// head is where a stream stands.
type head struct {
	revision eventlog.Revision
	newest   domain.ID
}

// Environment is where machines stand.
type Environment struct {
	Name    string
	Defined eventlog.Position
}

// Policy is a machine policy that somebody wrote.
type Policy struct {
	Name     string
	Settings domain.PolicySettings
}

// Server is a start of a server.
type Server struct {
	ID      domain.ID
	Event   domain.ID // its ServerStarted
	Started eventlog.Position
	Time    time.Time
	Facts   domain.ServerStarted
}

// Aside is a stream with an event that cannot be folded. Its later events wait.
type Aside struct {
	Stream   string
	Position eventlog.Position
	Reason   string
	waiting  []eventlog.Recorded
}

// Fence is what a newer drover left in the log.
type Fence struct {
	// Type is the first event type that this drover does not know, empty for none.
	Type string
	// Position is where it stands.
	Position eventlog.Position
	// Decision is the highest decision version of any server that started. Raised is where the first server with it did; 0
	// where no server with a lower one had started before.
	Decision int
	Raised   eventlog.Position
}

// Ignored counts the events of one unknown type that may be ignored, because they neither restrict nor decide anything.
type Ignored struct {
	// First is where the first event of the type stands.
	First eventlog.Position
	Count int
}

// Restore is a moment from which the log goes by another id, because it had lost its newest events.
type Restore struct {
	// Was is the id before, ID the one from then on.
	Was, ID  domain.ID
	Position eventlog.Position
}

// New is the view of an empty log, with the rows of core and these.
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
		vacant:       map[string]*Record{},
		index:        newIndex(),
	}
	v.setRows(more)
	return v
}

// Apply folds the next event of the log. An event at or below Position is passed over, so a page
// delivered twice changes nothing. It returns the fact if it was folded now, else nil.
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

// clears says that an event is a person's word on a stream that was set aside, or on a log that was doubted. It is folded
// even where the stream that carries it is set aside itself: nothing else could ever end either (law 18).
func isRecovery(rec eventlog.Recorded) bool {
	return rec.Stream == domain.WatchStream && (rec.Type == clearedType || rec.Type == restoredType)
}

// fold brings one event of a stream that is in order into the view, or sets the stream aside.
func (v *View) fold(rec eventlog.Recorded) domain.Event {
	if v.unowned(rec.Stream) {
		v.ignore(rec)
		return nil
	}
	e, err := domain.Decode(rec.Type, rec.Data)
	switch {
	case errors.Is(err, domain.ErrUnknownType) && v.informational(rec.Stream) && !domain.Knows(rec.Type):
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

// ignore counts an event of an unknown type that may be ignored.
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

// maxIgnored bounds how many unknown types are remembered; they are only shown.
const maxIgnored = 100

func (v *View) setAside(rec eventlog.Recorded, because error) {
	if aside := v.Aside[rec.Stream]; aside != nil {
		aside.waiting = append(aside.waiting, rec)
		return
	}
	v.Aside[rec.Stream] = &Aside{Stream: rec.Stream, Position: rec.Position, Reason: because.Error()}
	v.touchStream(rec.Stream)
}

// Fact is a decoded event with its place.
type Fact struct {
	eventlog.Recorded
	Event domain.Event
}

// id is the event's id as the domain has it.
func (f Fact) id() domain.ID { return domain.ID(f.ID) }

// Revision is where a stream stands, eventlog.NoStream if it has no event.
func (v *View) Revision(stream string) eventlog.Revision {
	if h, ok := v.heads[stream]; ok {
		return h.revision
	}
	return eventlog.NoStream
}

// Newest is the id of a stream's last event; the zero id if it has none.
func (v *View) Newest(stream string) domain.ID { return v.heads[stream].newest }

// SetAside says whether a stream cannot be folded.
func (v *View) SetAside(stream string) bool { return v.Aside[stream] != nil }

// clear lets a stream that was set aside go on as if the bad event were not there.
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
