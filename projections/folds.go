package projections

import (
	"sync"

	"github.com/droverhq/drover/domain"
)

// Fold is one row of the fold: the streams whose facts it applies, and how its state gets into a snapshot and back. The
// rows of core are those of every view; an aggregate with a package of its own brings another (engine.Rules).
type Fold struct {
	// Name names the row's part of a snapshot.
	Name string
	// Streams are the kinds of streams that the row owns: Apply folds their facts. Each kind has one owner.
	Streams []string
	// Informational says that these streams restrict and decide nothing. An event of an unknown type there is ignored, and
	// shown; elsewhere it stops this server from deciding. A newer version of a known type stops it everywhere.
	Informational bool
	// New makes the state for an empty log, which Apply finds by View.State; nil where the state is in the View itself.
	New func() any
	// Apply folds a fact of the stream KIND/name. An error means content that cannot be folded: the stream is set aside.
	Apply func(v *View, name string, f Fact) error
	// Follows are kinds of streams of other rows. Follow is told their facts once the owner has folded them.
	Follows []string
	Follow  func(v *View, name string, f Fact)
	// Forbids says why the row's state forbids a part to start on its machine; empty: it does not. The gate asks it after its own
	// rows. When the answer may have changed, Apply or Follow calls View.Touch for each machine that it may have changed for. Nil
	// forbids nothing.
	Forbids func(v *View, part *Part, m *Machine) domain.PartReason
	// Save returns what a snapshot holds of the row's state, to be encoded as CBOR. Load decodes that into an empty View in
	// which the rows before this one are loaded. Both are nil for a row without a state of its own.
	Save func(*Saving) any
	Load func(*Loading)
}

// core are the rows that every view has, in the order in which a snapshot is loaded.
var core = []Fold{
	{Name: "environments", Streams: []string{domain.EnvironmentStreams}, Apply: never((*View).foldEnvironment),
		Save: func(s *Saving) any { return s.View.Environments }, Load: func(l *Loading) { l.Decode(&l.View.Environments) }},
	{Name: "policies", Streams: []string{domain.PolicyStreams}, Apply: (*View).foldPolicy,
		Save: func(s *Saving) any { return s.View.Policies }, Load: func(l *Loading) { l.Decode(&l.View.Policies) }},
	{Name: "tokens", Streams: []string{domain.TokenStreams}, Apply: never((*View).foldToken), Save: saveTokens, Load: loadTokens},
	{Name: "servers", Streams: []string{domain.ServerStreams}, Informational: true, Apply: never(func(v *View, _ string, f Fact) { v.foldServer(f) }),
		Save: func(s *Saving) any { return s.View.Servers }, Load: func(l *Loading) { l.Decode(&l.View.Servers) }},
	{Name: "watch", Streams: []string{domain.WatchStream}, Apply: never(func(v *View, _ string, f Fact) { v.foldWatch(f) }),
		Save: saveWatch, Load: loadWatch},
	{Name: "projects", Streams: []string{domain.ProjectStreams}, Apply: (*View).foldProject, Save: saveProjects, Load: loadProjects},
	{Name: "releases", Streams: []string{domain.ReleaseStreams}, Apply: (*View).foldRelease}, // a release is a part of its project
	{Name: "deployments", Streams: []string{domain.PartStreams}, Apply: (*View).foldPart, Save: saveDeployments, Load: loadDeployments},
	{Name: "machines", Streams: []string{domain.MachineStreams}, Apply: (*View).foldMachine, Save: saveMachines, Load: loadMachines},
}

// never adapts a fold that cannot fail to Fold.Apply.
func never(apply func(v *View, name string, f Fact)) func(*View, string, Fact) error {
	return func(v *View, name string, f Fact) error {
		apply(v, name, f)
		return nil
	}
}

// rows are the rows of a view, and which of them own and follow a kind of streams. They do not change.
type rows struct {
	all        []*Fold // those of core and of the caller, as they stand there: functions are equal only to themselves
	owner      map[string]*Fold
	followers  map[string][]*Fold
	forbidding []*Fold
}

// newRows panics where the rows contradict each other: that is a mistake of a program, and no log can lead to it.
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
			panic("projections: the fold " + row.Name + " has a name that is taken, or does not save and load its state")
		}
		names[row.Name] = true
		for _, kind := range row.Streams {
			if r.owner[kind] != nil {
				panic("projections: the folds " + r.owner[kind].Name + " and " + row.Name + " both own streams of the kind " + kind)
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

// coreRows are those of views without further ones.
var coreRows = sync.OnceValue(func() *rows { return newRows(nil) })

// setRows gives an empty view its rows.
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

// State is the state of the row with this name, as its New made it; nil for a view without such a row.
func (v *View) State(name string) any { return v.states[name] }

// route applies a fact by the row that owns its stream, and then by those that follow it.
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

// unknown says that no row owns a stream: a newer drover began it, with an aggregate that this one does not have.
func (v *View) unowned(stream string) bool {
	kind, _ := domain.SplitStream(stream)
	return v.rows.owner[kind] == nil
}

// informs says that a stream restricts and decides nothing.
func (v *View) informational(stream string) bool {
	kind, _ := domain.SplitStream(stream)
	return v.rows.owner[kind].Informational
}
