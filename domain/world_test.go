package domain

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testWorld implements World with a log in memory that it folds on each call. Tests set the fields for state that only
// package projections folds, such as parts, holds and actual releases.
type testWorld struct {
	t       *testing.T
	streams map[string][]recorded
	ids     uint64 // ids handed out so far

	holds       map[string]*Hold  // by "project machine"
	actual      map[string]string // by "project machine"
	actualFrom  map[string]ID     // by "project machine"
	unfinished  map[string]string // by "project machine"
	unclaimed   map[string]bool   // by "project machine"
	deployments map[ID]*DeploymentFacts
	repairs     map[ID]RepairFacts
	inScope     bool              // whether HasMachines finds some
	parts       map[string]*Part  // by stream
	claimCheck  PartReason        // of every part
	joinedAs    map[string]ID     // instance by machine
	places      map[string]Places // by token
	aside       map[string]string // reason by stream
}

type recorded struct {
	id    ID
	event Event
}

func newWorld(t *testing.T) *testWorld {
	return &testWorld{t: t, streams: map[string][]recorded{}, holds: map[string]*Hold{}, actual: map[string]string{},
		actualFrom: map[string]ID{},
		unfinished: map[string]string{}, unclaimed: map[string]bool{}, deployments: map[ID]*DeploymentFacts{},
		parts: map[string]*Part{}, aside: map[string]string{}, joinedAs: map[string]ID{}}
}

// shopWorld returns a world that has project shop with releases 1 to 3, environments production and staging, and the
// machines web-01, web-02 (role web) and db-01 (role db) in production, web-09 in staging.
func shopWorld(t *testing.T) *testWorld {
	w := newWorld(t)
	w.do(ApplyEnvironment{Name: "production"}, ApplyEnvironment{Name: "staging"})
	w.do(shopProject())
	for _, version := range []string{"1", "2", "3"} {
		w.do(CreateRelease{Project: "shop", Version: version})
	}
	for name, role := range map[string]string{"web-01": "web", "web-02": "web", "db-01": "db"} {
		w.do(ApplyMachine{Name: name, Environment: "production", Roles: []string{role}})
	}
	w.do(ApplyMachine{Name: "web-09", Environment: "staging", Roles: []string{"web"}})
	return w
}

func shopProject() ApplyProject {
	return ApplyProject{
		Name: "shop",
		Settings: ProjectSettings{Roles: []string{"web"}, MaxParallel: Count(4), StopAfterFailures: 2,
			Unavailable: FailUnavailable, HealthyFor: Duration(time.Hour), Steps: []Step{{Name: "install", Run: "./install.sh"}},
			Variables: map[string]string{"PORT": "80"}},
	}
}

func (w *testWorld) id() ID {
	w.ids++
	return number(w.ids)
}

// number returns an id that ends with n.
func number(n uint64) ID {
	var id ID
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// append appends events if the stream has the expected number of events.
func (w *testWorld) append(stream string, expected int, events []Event) ([]ID, bool) {
	if len(w.streams[stream]) != expected {
		return nil, false
	}
	var ids []ID
	for _, e := range events {
		id := w.id()
		ids = append(ids, id)
		w.streams[stream] = append(w.streams[stream], recorded{id, e})
	}
	return ids, true
}

// do executes commands, which must not be rejected, and returns the events of the last one.
func (w *testWorld) do(commands ...Command) (events []Event) {
	w.t.Helper()
	for _, c := range commands {
		var r *Rejection
		events, r = c.Decide(w)
		require.Nil(w.t, r, "%T was rejected: %v", c, r)
		w.append(c.Stream(w), len(w.streams[c.Stream(w)]), events)
	}
	return events
}

// record appends events to a stream and returns the id of the last one.
func (w *testWorld) record(stream string, events ...Event) ID {
	ids, _ := w.append(stream, len(w.streams[stream]), events)
	return ids[len(ids)-1]
}

// rejects requires that a command is rejected with this kind and a message that contains all words.
func (w *testWorld) rejects(c Command, kind RejectionKind, words ...string) {
	w.t.Helper()
	events, r := c.Decide(w)
	require.NotNil(w.t, r, "%T was not rejected but decided %v", c, events)
	require.Empty(w.t, events)
	require.Equal(w.t, kind, r.Kind, r.Error())
	for _, word := range words {
		require.Contains(w.t, r.Error(), word)
	}
	require.Less(w.t, len(r.Error()), 700)
	require.NotContains(w.t, r.Reason, "\n")
}

func (w *testWorld) Tokens() (all []*Token) {
	for stream := range w.streams {
		if kind, id := SplitStream(stream); kind == TokenStreams {
			all = append(all, w.Token(id))
		}
	}
	slices.SortFunc(all, func(a, b *Token) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (w *testWorld) Accesses() *Accesses {
	all := NewAccesses()
	for stream, events := range w.streams {
		kind, name := SplitStream(stream)
		for _, r := range events {
			if kind == AccessStreams {
				all.Fold(name, r.event)
			}
		}
	}
	return all
}

func (w *testWorld) MachineOf(instance ID) string {
	for stream, all := range w.streams {
		if kind, _ := SplitStream(stream); kind != TokenStreams {
			continue
		}
		for _, r := range all {
			use, ok := r.event.(TokenUsed)
			if m := w.Machine(use.Machine); ok && use.Instance == instance && m != nil &&
				(m.Instance == instance || m.Instance.IsZero()) {
				return m.Name
			}
		}
	}
	return ""
}

func (w *testWorld) Environments() (names []string) {
	for stream := range w.streams {
		if kind, name := SplitStream(stream); kind == EnvironmentStreams && w.Environment(name) {
			names = append(names, name)
		}
	}
	return SortedUnique(names)
}

func (w *testWorld) TokensOf(instance ID) (tokens []*Token) {
	for _, t := range w.Tokens() {
		if _, used := t.Used[instance]; used {
			tokens = append(tokens, t)
		}
	}
	return tokens
}

func (w *testWorld) Places(token string) Places { return w.places[token] }

func (w *testWorld) JoinedAs(machine string, instance ID) bool {
	return w.joinedAs[machine] == instance
}

func (w *testWorld) Machine(name string) *Machine {
	var m *Machine
	for _, r := range w.streams[MachineStream(name)] {
		switch r.event.(type) {
		case MachineDeleted:
			m = nil
			continue
		case MachineAdded:
			m = &Machine{Name: name}
		}
		require.NoError(w.t, m.Evolve(r.id, r.event))
	}
	return m
}

// CleanedUp returns the machine as it was before the last event of its stream, if that is a clean-up.
func (w *testWorld) CleanedUp(name string) *Machine {
	stream := MachineStream(name)
	all := w.streams[stream]
	if len(all) == 0 {
		return nil
	}
	if e, ok := all[len(all)-1].event.(MachineDeleted); !ok || e.Reason != CleanUpReason && !e.ByItsAgent() {
		return nil
	}
	w.streams[stream] = all[:len(all)-1]
	defer func() { w.streams[stream] = all }()
	return w.Machine(name)
}

func (w *testWorld) DeletedByItsAgent(name string) bool {
	all := w.streams[MachineStream(name)]
	if len(all) == 0 {
		return false
	}
	e, ok := all[len(all)-1].event.(MachineDeleted)
	return ok && e.ByItsAgent()
}

func (w *testWorld) Project(name string) *Project {
	var p *Project
	for _, r := range w.streams[ProjectStream(name)] {
		if _, deleted := r.event.(ProjectDeleted); deleted {
			p = nil
			continue
		}
		if p == nil {
			p = NewProject(name)
		}
		require.NoError(w.t, p.Evolve(r.id, r.event))
	}
	for _, r := range w.releases(p) {
		require.NoError(w.t, p.Evolve(r.id, r.event))
	}
	return p
}

// releases returns the events of a project's release streams, oldest first.
func (w *testWorld) releases(p *Project) (all []recorded) {
	if p == nil {
		return nil
	}
	for stream, events := range w.streams {
		if strings.HasPrefix(stream, ReleaseStream(p.Name, p.Incarnation, "")) {
			all = append(all, events...)
		}
	}
	slices.SortFunc(all, func(a, b recorded) int { return bytes.Compare(a.id[:], b.id[:]) })
	return all
}

func (w *testWorld) MachinesIn(environment string) []*Machine {
	var all []*Machine
	for stream := range w.streams {
		if kind, name := SplitStream(stream); kind == MachineStreams {
			if m := w.Machine(name); m != nil && m.Environment == environment {
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(all, func(a, b *Machine) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (w *testWorld) Environment(name string) bool {
	var defined bool
	for _, r := range w.streams[EnvironmentStream(name)] {
		_, defined = r.event.(EnvironmentDefined)
	}
	return defined
}

func (w *testWorld) Policy(name string) *PolicySettings {
	var settings *PolicySettings
	if name == DefaultPolicy {
		s := PolicySettings{}.WithDefaults()
		settings = &s
	}
	for _, r := range w.streams[PolicyStream(name)] {
		switch e := r.event.(type) {
		case PolicyDefined:
			settings = &e.Settings
		case PolicyDeleted:
			settings = nil
		}
	}
	return settings
}

func (w *testWorld) Token(id string) *Token {
	if len(w.streams[TokenStream(id)]) == 0 {
		return nil
	}
	t := &Token{ID: id}
	for _, r := range w.streams[TokenStream(id)] {
		t.Evolve(r.event)
	}
	return t
}

func (w *testWorld) References(kind, name string) (refs []string) {
	for stream := range w.streams {
		if of, machine := SplitStream(stream); of == MachineStreams {
			m := w.Machine(machine)
			if m != nil &&
				(kind == EnvironmentStreams && m.Environment == name || kind == PolicyStreams && m.Policy == name) {
				refs = append(refs, "machine "+machine)
			}
		}
	}
	slices.Sort(refs)
	return refs
}

func (w *testWorld) Wanted(project, machine string) string {
	if h := w.Hold(project, machine, ""); h != nil {
		return h.Release
	}
	return w.Project(project).WantedIn(w.Machine(machine).Environment)
}

func (w *testWorld) Hold(project, machine string, kind HoldKind) *Hold {
	if h := w.holds[project+" "+machine]; h != nil && (kind == "" || h.Kind == kind) {
		return h
	}
	return nil
}
func (w *testWorld) Actual(project, machine string) string {
	return w.actual[project+" "+machine]
}
func (w *testWorld) ActualFrom(project, machine string) ID {
	return w.actualFrom[project+" "+machine]
}
func (w *testWorld) HasUnclaimed(project, machine string) bool {
	return w.unclaimed[project+" "+machine]
}

func (w *testWorld) Unfinished(project, machine string) string {
	return w.unfinished[project+" "+machine]
}
func (w *testWorld) Deployment(id ID) *DeploymentFacts { return w.deployments[id] }

func (w *testWorld) OpenDeploymentOf(project, release string) ID {
	for id, d := range w.deployments {
		if d.Project == project && !d.Ended && d.Queued != nil && d.Queued.Release == release {
			return id
		}
	}
	return ID{}
}

func (w *testWorld) Repairable(id ID, _, _ bool) RepairFacts { return w.repairs[id] }

func (w *testWorld) HasMachines(string, string, []string) bool { return w.inScope }

func (w *testWorld) Part(deployment ID, machine string) *Part {
	return w.parts[PartStream(deployment, machine)]
}
func (w *testWorld) Running(deployment ID) (machines []string) {
	for stream, part := range w.parts {
		_, name := SplitStream(stream)
		if id, machine, err := ParsePartStream(name); err == nil && id == deployment && part.State == PartRunning {
			machines = append(machines, machine)
		}
	}
	slices.Sort(machines)
	return machines
}
func (w *testWorld) ClaimCheck(ID, string, ID) PartReason { return w.claimCheck }

func (w *testWorld) Restored(was ID) bool {
	for _, rec := range w.streams[WatchStream] {
		if e, ok := rec.event.(LogRestored); ok && e.Was == was {
			return true
		}
	}
	return false
}

func (w *testWorld) State(string) any { return nil }

func (w *testWorld) SetAside(stream string) (string, bool) {
	reason, aside := w.aside[stream]
	return reason, aside
}

// history records environment-wide deployments of shop to production. "1" queues release 1; "1+", "1-" and "1x" end the
// newest open deployment of release 1 as succeeded, failed and cancelled.
func (w *testWorld) history(steps ...string) {
	open := map[string][]ID{}
	for _, step := range steps {
		release, end := step[:1], step[1:]
		if end == "" {
			open[release] = append(
				open[release],
				w.record(
					ProjectStream("shop"),
					DeploymentQueued{Kind: EnvironmentWide, Environment: "production", Release: release},
				),
			)
			continue
		}
		state, ok := map[string]DeploymentState{
			"+": DeploymentSucceeded, "-": DeploymentFailed, "x": DeploymentCancelledState,
		}[end]
		require.True(w.t, ok && len(open[release]) > 0, "invalid step %q", step)
		last := len(open[release]) - 1
		w.record(ProjectStream("shop"), DeploymentEnded{Deployment: open[release][last], State: state})
		open[release] = open[release][:last]
	}
}
