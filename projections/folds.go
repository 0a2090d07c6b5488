package projections

import (
	"fmt"
	"sync"

	"github.com/droverhq/drover/domain"
)

// Fold is one row of the fold: the streams whose facts it applies, and how its state is saved and loaded. Every view
// has the core rows; an aggregate in another package adds its own (engine.Rules).
type Fold struct {
	// Name names the row's part of a snapshot.
	Name string
	// Streams are the kinds of streams that the row owns. Apply folds their facts. Each kind has one owner.
	Streams []string
	// Informational declares that these streams restrict and decide nothing. An event of an unknown type there is
	// counted and ignored; elsewhere it stops this server from deciding. A newer version of a known type stops it
	// everywhere.
	Informational bool
	// New returns the state for an empty log, which Apply reads with View.State. It is nil if the state is in the View
	// itself.
	New func() any
	// Apply folds a fact of the stream KIND/name. An error means that the content is invalid, and sets the stream
	// aside.
	Apply func(v *View, name string, f Fact) error
	// Follows are kinds of streams that other rows own. Follow receives their facts after the owner has folded them.
	Follows []string
	Follow  func(v *View, name string, f Fact)
	// Forbids returns the reason why the row's state forbids a part to start on its machine, or an empty reason. The
	// claim check calls it after its own rules. When the answer may have changed for a machine, Apply or Follow must
	// call View.Touch for it. A nil Forbids forbids nothing.
	Forbids func(v *View, part *Part, m *Machine) domain.PartReason
	// Save returns the row's state for a snapshot, which is encoded as CBOR. Load decodes it into a View in which the
	// rows before this one are loaded. Both are nil for a row without its own state.
	Save func(*Saving) any
	Load func(*Loading)
}

// core lists the rows that every view has, in the order in which a snapshot is loaded.
var core = []Fold{
	{
		Name: "environments", Streams: []string{domain.EnvironmentStreams},
		Apply: never((*View).foldEnvironment),
		Save:  func(s *Saving) any { return s.View.Environments },
		Load:  func(l *Loading) { l.Decode(&l.View.Environments) },
	},
	{
		Name: "policies", Streams: []string{domain.PolicyStreams},
		Apply: (*View).foldPolicy,
		Save:  func(s *Saving) any { return s.View.Policies },
		Load:  func(l *Loading) { l.Decode(&l.View.Policies) },
	},
	{
		Name: "tokens", Streams: []string{domain.TokenStreams},
		Apply: never((*View).foldToken), Save: saveTokens, Load: loadTokens,
	},
	{
		Name: "access", Streams: []string{domain.AccessStreams},
		Apply: never(func(v *View, name string, f Fact) { v.accesses.Fold(name, f.Event) }),
		Save:  func(s *Saving) any { return s.View.accesses.Settings() },
		Load:  loadAccesses,
	},
	{
		Name: "servers", Streams: []string{domain.ServerStreams}, Informational: true,
		Apply: never(func(v *View, _ string, f Fact) { v.foldServer(f) }),
		Save:  func(s *Saving) any { return s.View.Servers },
		Load:  func(l *Loading) { l.Decode(&l.View.Servers) },
	},
	{
		Name: "watch", Streams: []string{domain.WatchStream},
		Apply: never(func(v *View, _ string, f Fact) { v.foldWatch(f) }), Save: saveWatch, Load: loadWatch,
	},
	{
		Name: "projects", Streams: []string{domain.ProjectStreams},
		Apply: (*View).foldProject, Save: saveProjects, Load: loadProjects,
	},
	// Releases are saved with their project.
	{Name: "releases", Streams: []string{domain.ReleaseStreams}, Apply: (*View).foldRelease},
	{
		Name: "deployments", Streams: []string{domain.PartStreams},
		Apply: (*View).foldPart, Save: saveDeployments, Load: loadDeployments,
	},
	{
		Name: "machines", Streams: []string{domain.MachineStreams},
		Apply: (*View).foldMachine, Save: saveMachines, Load: loadMachines,
	},
}

// never adapts a fold function that cannot fail to Fold.Apply.
func never(apply func(v *View, name string, f Fact)) func(*View, string, Fact) error {
	return func(v *View, name string, f Fact) error {
		apply(v, name, f)
		return nil
	}
}

// rows is the immutable table of folds of a view, indexed by the kinds of streams that they own and follow.
type rows struct {
	all        []*Fold // pointers to the originals: functions are equal only to themselves
	owner      map[string]*Fold
	followers  map[string][]*Fold
	forbidding []*Fold
}

// newRows panics if rows contradict each other. That is a programming error: no log can cause it.
func newRows(more []Fold) *rows {
	r := &rows{owner: map[string]*Fold{}, followers: map[string][]*Fold{}}
	for i := range core {
		r.all = append(r.all, &core[i])
	}
	for i := range more {
		r.all = append(r.all, &more[i])
	}
	names := map[string]bool{}
	for _, row := range r.all {
		if names[row.Name] || (row.Save == nil) != (row.Load == nil) || row.New != nil && row.Save == nil {
			panic("projections: fold " + row.Name + ": the name is in use, or Save and Load do not cover its state")
		}
		names[row.Name] = true
		for _, kind := range row.Streams {
			if r.owner[kind] != nil {
				panic(fmt.Sprintf("projections: folds %s and %s both own streams of kind %s",
					r.owner[kind].Name, row.Name, kind))
			}
			r.owner[kind] = row
		}
		if row.Forbids != nil {
			r.forbidding = append(r.forbidding, row)
		}
		for _, kind := range row.Follows {
			r.followers[kind] = append(r.followers[kind], row)
		}
	}
	return r
}

// coreRows returns the rows of views without additional folds.
var coreRows = sync.OnceValue(func() *rows { return newRows(nil) })

// setRows sets the rows of an empty view.
func (v *View) setRows(more []Fold) {
	if v.rows = coreRows(); len(more) > 0 {
		v.rows = newRows(more)
	}
	for _, row := range v.rows.all {
		if row.New != nil {
			v.states[row.Name] = row.New()
		}
	}
}

// State returns the state of the row with this name, as created by its New, or nil if the view has no such row.
func (v *View) State(name string) any { return v.states[name] }

// route applies a fact with the row that owns its stream, then passes it to the rows that follow it.
func (v *View) route(f Fact) error {
	kind, name := domain.SplitStream(f.Stream)
	if err := v.rows.owner[kind].Apply(v, name, f); err != nil {
		return err
	}
	for _, row := range v.rows.followers[kind] {
		row.Follow(v, name, f)
	}
	return nil
}

// unowned reports whether no row owns a stream. A newer version of drover created it, for an aggregate that this one
// lacks.
func (v *View) unowned(stream string) bool {
	kind, _ := domain.SplitStream(stream)
	return v.rows.owner[kind] == nil
}

// informational reports whether a stream restricts and decides nothing.
func (v *View) informational(stream string) bool {
	kind, _ := domain.SplitStream(stream)
	return v.rows.owner[kind].Informational
}
