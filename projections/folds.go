package projections

import (
	"fmt"
	"sync"

	"github.com/droverhq/drover/domain"
)

// Fold is one row of the fold: the streams whose facts it applies, and how its state gets into a snapshot and back. The
// rows of core are those of every view; an aggregate with a package of its own brings another (engine.Rules).
type Fold struct {
	// Name names the row's part of a snapshot.
	Name string
	// Streams are the kinds of streams whose facts are applied. The first row that names a kind owns it: an error of that
	// row sets the stream aside. Rows behind it follow the same facts and must not fail on them.
	Streams []string
	// Informs says that the streams restrict and decide nothing. An event of an unknown type there is ignored, and shown;
	// elsewhere it stops this server from deciding.
	Informs bool
	// New makes the state for an empty log, which Apply finds by View.State; nil where the state is in the View itself.
	New func() any
	// Apply folds a fact of the stream KIND/name. An error means content that cannot be folded.
	Apply func(v *View, name string, f Fact) error
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
	{Name: "servers", Streams: []string{domain.ServerStreams}, Informs: true, Apply: never(func(v *View, _ string, f Fact) { v.foldServer(f) }),
		Save: func(s *Saving) any { return s.View.Servers }, Load: func(l *Loading) { l.Decode(&l.View.Servers) }},
	{Name: "watch", Streams: []string{domain.WatchStream}, Apply: never(func(v *View, _ string, f Fact) { v.foldWatch(f) }),
		Save: saveWatch, Load: loadWatch},
	{Name: "projects", Streams: []string{domain.ProjectStreams}, Apply: (*View).foldProject, Save: saveProjects, Load: loadProjects},
	{Name: "releases", Streams: []string{domain.ReleaseStreams}, Apply: (*View).foldRelease}, // a release is a part of its project
	{Name: "deployments", Streams: []string{domain.PartStreams}, Apply: (*View).foldPart, Save: saveDeployments, Load: loadDeployments},
	{Name: "machines", Streams: []string{domain.MachineStreams}, Apply: (*View).foldMachine, Save: saveMachines, Load: loadMachines},
}

// never is an apply function that finds no content it could not fold.
func never(apply func(v *View, name string, f Fact)) func(*View, string, Fact) error {
	return func(v *View, name string, f Fact) error {
		apply(v, name, f)
		return nil
	}
}

// rows are the rows of a view, and which of them follow a kind of streams. They do not change.
type rows struct {
	all    []Fold
	byKind map[string][]*Fold
}

func newRows(more []Fold) *rows {
	r := &rows{all: append(core[:len(core):len(core)], more...), byKind: map[string][]*Fold{}}
	for i := range r.all {
		for _, kind := range r.all[i].Streams {
			r.byKind[kind] = append(r.byKind[kind], &r.all[i])
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

// route applies a fact by each row that follows its stream.
func (v *View) route(f Fact) error {
	kind, name := domain.SplitStream(f.Stream)
	rows := v.rows.byKind[kind]
	if len(rows) == 0 {
		return fmt.Errorf("unknown stream kind %.40q", kind)
	}
	for _, row := range rows {
		if err := row.Apply(v, name, f); err != nil {
			return err
		}
	}
	return nil
}

// informs says that a stream restricts and decides nothing: its row says so, or no row follows it, because a newer drover
// began it. What can forbid or decide something raises the decision version as well, and that stops this server.
func (v *View) informs(stream string) bool {
	kind, _ := domain.SplitStream(stream)
	rows := v.rows.byKind[kind]
	return len(rows) == 0 || rows[0].Informs
}
