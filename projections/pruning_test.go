package projections_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
	"github.com/droverhq/drover/triggers"
)

var (
	seed = flag.Uint64("seed", 1, "seed of the first random run; each further run adds one")
	runs = flag.Int("runs", 20, "number of random runs")
)

// steps is long enough that most deployments of a run are pruned, and that their effects are replaced by later ones.
const steps = 600

// coverage counts what the runs contained. A run in which nothing is pruned proves nothing.
type coverage struct{ facts, pruned, saves, late int }

// TestPruningAndSavingChangeNoDecision folds random histories into three views: one that retains every deployment, one
// that prunes each as soon as possible, and one that prunes and is saved and loaded at random. A server must decide the
// same whether it has run for long or was started from a snapshot.
func TestPruningAndSavingChangeNoDecision(t *testing.T) {
	var seen coverage
	for n := range uint64(*runs) {
		t.Run(fmt.Sprintf("seed=%d", *seed+n), func(t *testing.T) { simulate(t, *seed+n, &seen) })
	}
	t.Logf("%d facts, %d pruned deployments, %d loads, %d results of pruned deployments",
		seen.facts, seen.pruned, seen.saves, seen.late)
	if *runs >= 10 {
		require.Positive(t, seen.pruned)
		require.Positive(t, seen.saves)
		require.Positive(t, seen.late)
	}
}

// simulate runs the simulation of a seed. The expensive comparisons are rarer: a difference usually lasts many steps.
func simulate(t *testing.T, seed uint64, seen *coverage) {
	s := newSimulation(t, seed, int(seed%3))
	for n := range steps {
		s.step()
		if n%4 == 0 {
			s.same("inputs of decisions", state)
		}
		if n%24 == 0 {
			if s.plain { // an invalid fact can let a deployment succeed that failed long ago
				s.same("environments", origins)
			}
			s.same("immediate decisions", decisions(0))
			s.same("decisions after a long wait", decisions(time.Minute))
			s.sameView("view that was loaded before", s.loaded)
			s.sameView("view that is loaded now", s.load(s.save(s.pruning)))
		}
	}
	seen.facts += len(s.log)
	seen.pruned += len(s.full.Deployments) - len(s.pruning.Deployments)
	seen.saves += s.saves
	seen.late += s.late
}

// simulation is a random history and three views of it.
type simulation struct {
	*rand.Rand
	t    *testing.T
	seed uint64

	full    *projections.View // prunes nothing
	pruning *projections.View
	loaded  *projections.View // prunes, and was saved and loaded

	log         []eventlog.Recorded
	revisions   map[string]eventlog.Revision // all of them; a pruning view lacks those of pruned parts
	deployments []domain.ID                  // in queue order
	snapshots   []snapshot
	clock       time.Time
	// ages are choices of how much older one position is than the next, in one round of the engine. With 0 nothing
	// times out, so a deployment may stay open while many later ones are pruned.
	ages []time.Duration
	// slow is a machine whose agent rarely does anything: its deployments outlive others.
	slow string
	// plain is set if the run has no invalid facts.
	plain bool

	saves, late int // for coverage
}

// snapshot is a saved view, and the number of events that it has folded.
type snapshot struct {
	view   []byte
	folded int
}

func newSimulation(t *testing.T, seed uint64, retain int) *simulation {
	s := &simulation{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, seed: seed, full: projections.New(),
		pruning: projections.New(),
		loaded:  projections.New(), revisions: map[string]eventlog.Revision{}, clock: time.Date(2026, 1, 1, 0, 0, 0, 0,
			time.UTC)}
	s.ages, s.slow = pick(s, [][]time.Duration{{0}, {0, time.Second}, {0, time.Second, time.Minute},
		{0, time.Minute}}), pick(s, machines)
	s.plain = s.oneIn(2)
	s.full.Retain, s.pruning.Retain, s.loaded.Retain = 1<<30, retain, retain
	s.addMissing()
	return s
}

// others returns the views that are compared with the full one.
func (s *simulation) others() []*projections.View { return []*projections.View{s.pruning, s.loaded} }

var otherNames = []string{"the pruning view", "the loaded view"}

// fail ends the run. It prints how to repeat the run and the last facts.
func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	var last []string
	for _, rec := range s.log[max(0, len(s.log)-12):] {
		last = append(last, fmt.Sprintf("  %d %s %s %s", rec.Position, rec.Stream, rec.Event.Type, rec.Event.Data))
	}
	s.t.Fatalf("%s\n%d ended deployments retained; repeat with: -run %s -seed=%d -runs=1\nthe last facts:\n%s",
		fmt.Sprintf(format, args...), s.pruning.Retain, "TestPruningAndSavingChangeNoDecision", s.seed,
		strings.Join(last, "\n"))
}

// same compares a report of the three views line by line.
func (s *simulation) same(what string, describe func(*projections.View) report) {
	s.t.Helper()
	full := describe(s.full)
	for n, v := range s.others() {
		other := describe(v)
		for i := range max(len(full), len(other)) {
			if a, b := lineAt(full, i), lineAt(other, i); a != b {
				s.fail("%s: %s differs from the full view\n  - %s\n  + %s", what, otherNames[n], a, b)
			}
		}
	}
}

func lineAt(lines report, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

// sameView compares a view with the pruning one, including the indexes and lists that Save leaves out. It clears the
// touched machines first: they are only a hint, and a start treats every machine as touched.
func (s *simulation) sameView(what string, v *projections.View) {
	s.t.Helper()
	for _, v := range []*projections.View{s.pruning, v} {
		v.Touched()
	}
	if !reflect.DeepEqual(s.pruning, v) {
		s.fail("%s: the views differ in %s", what,
			where(reflect.ValueOf(s.pruning), reflect.ValueOf(v), map[[2]uintptr]bool{}))
	}
}

// decisions returns what the engine would decide. Ages depend on positions alone, so they are equal for all views.
func decisions(older time.Duration) func(*projections.View) report {
	return func(v *projections.View) (lines report) {
		for _, decision := range rollout.Decide(v, rollout.Measured{Age: ages(v, older)}) {
			lines.add("%+v", decision)
		}
		verdicts := triggers.Decide(v, projections.Age(ages(v, older)))
		for _, verdict := range verdicts {
			lines.add("%+v", verdict)
		}
		for _, decision := range triggers.Plan(v, verdicts) {
			lines.add("%+v", decision)
		}
		return lines
	}
}

func ages(v *projections.View, older time.Duration) func(eventlog.Position) time.Duration {
	return func(p eventlog.Position) time.Duration { return time.Duration(max(0, v.Position-p)) * older }
}

// state returns the inputs of decisions and commands. It is compared in addition to decisions: a wrong hold may change
// a decision only after the end of the run.
func state(v *projections.View) (lines report) {
	lines.add("open %v", ids(v.OpenDeployments()))
	for _, p := range v.ProjectsToEvaluate() {
		lines.add("evaluate %s", p.Name)
	}
	var deadlines report
	for at := range v.Deadlines() {
		deadlines.add("%+v", at)
	}
	slices.Sort(deadlines)
	lines.add("deadlines %v", deadlines)
	for _, name := range slices.Sorted(maps.Keys(v.Machines)) {
		lines.machine(v, v.Machines[name])
	}
	for _, name := range slices.Sorted(maps.Keys(v.Projects)) {
		lines.project(v.Projects[name])
	}
	for _, d := range v.OpenDeployments() {
		lines.add("%s %s %s ended=%v cancelled=%v superseded=%v slots=%d unreleased=%v open=%d failed=%d", d.ID, d.Kind,
			d.State, d.Ended,
			d.Cancelled, d.Superseded, d.FreeSlots(), d.Unreleased(), d.OpenParts(), d.Failures())
	}
	return lines
}

// report is the lines that describe a view.
type report []string

func (r *report) add(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

func (r *report) machine(v *projections.View, m *projections.Machine) {
	deployable, why := v.Deployable(m)
	r.add("%s %+v added=%d connected=%d offline=%d health=%d ready=%d %v deployable=%v %s claimed=%s", m.Name,
		m.Machine, m.Added, m.Connected,
		m.Offline, m.HealthSince, m.Ready, m.Absence, deployable, why, describe(m.Claimed))
	for _, part := range v.OpenPartsOn(m.Name) {
		r.add("  %s check=%s, once released %s, same machine=%v", describe(part), v.ClaimCheck(part, m.Session),
			v.ClaimCheckOnceReleased(part, m.Session), part.IsFor(m))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Projects)) {
		p := v.Projects[name]
		attempts, last := v.Attempts(p, m)
		r.add("  %s wanted=%s actual=%s dirty=%v behind=%v attempts=%d@%d exhausted=%v unhealthy=%v person=%v held=%v "+
			"unfinished=%s", name, v.Wanted(p, m), v.Actual(p, m), v.Dirty(p, m), v.Behind(p, m), attempts, last,
			v.Exhausted(p, m), v.MadeUnhealthy(p, m), v.PersonDeploys(p,
				m), m.HoldApplies(name), v.World().Unfinished(name, m.Name))
		r.installed(v, m.Installed[name])
		for _, c := range v.Candidates(p, m) {
			r.add("    candidate of %s opened=%d redeploy=%d %v", c.Trigger, c.Opened, c.Redeploy, c.Causes)
		}
	}
}

// installed also reports whether the deployment that left the hold is still there: it is shown to people, and later
// deployments end the hold.
func (r *report) installed(v *projections.View, i *projections.Installed) {
	if i == nil {
		return
	}
	var person domain.ID
	if i.Person != nil {
		person = i.Person.ID
	}
	r.add("    release=%s instance=%s success=%d began=%d dirty=%v last=%s person=%s tried=%+v",
		i.Release, i.Instance, i.Success, i.Began, i.Dirty, describe(i.Last), person, i.FailedAttempts)
	for _, h := range i.Holds {
		r.add("    hold=%s@%d, known=%v", asJSON(h.Hold), h.At, v.Deployments[h.Deployment] != nil)
	}
}

func (r *report) project(p *projections.Project) {
	r.add("%s waiting=%v sweep=%v open=%v retired=%v at=%v", p.Name, p.Waiting(), p.Sweep(), ids(p.Open), p.Retired,
		p.RetiredAt)
	for _, name := range slices.Sorted(maps.Keys(p.Environments)) {
		e := p.Environments[name]
		r.add("  %s released=%d wide=%v %s origin=%s rollback to %s", name, p.Released(name), p.HasOpenWide(name),
			asJSON(e), e.Origin(), p.RollbackTo(name))
	}
}

// origins reports whether the deployments from which environments have their releases are there: they are shown to
// people.
func origins(v *projections.View) (lines report) {
	for _, p := range v.Projects {
		for name, e := range p.Environments {
			lines.add("%s in %s: %s, known=%v", p.Name, name, e.Origin(), v.Deployments[e.Origin()] != nil)
		}
	}
	slices.Sort(lines)
	return lines
}

func describe(p *projections.Part) string {
	if p == nil {
		return "no part"
	}
	return fmt.Sprintf("%s/%s %s %s %d/%d/%d reported=%v release=%s instance=%s", p.Deployment.ID, p.Machine, p.State,
		p.Reason, p.Released, p.Claimed,
		p.EndedAt, p.Reported, p.Deployment.Release, p.Instance)
}

func ids(deployments []*projections.Deployment) (ids []domain.ID) {
	for _, d := range deployments {
		ids = append(ids, d.ID)
	}
	return ids
}

// asJSON follows pointers, which %+v prints as addresses.
func asJSON(value any) string {
	data, _ := json.Marshal(value)
	return string(data)
}

// where returns the path of the first difference of two values, or "" if it finds none.
func where(a, b reflect.Value, seen map[[2]uintptr]bool) string {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			break
		}
		pair := [2]uintptr{a.Pointer(), b.Pointer()}
		if seen[pair] {
			return ""
		}
		seen[pair] = true
		return where(a.Elem(), b.Elem(), seen)
	case reflect.Struct:
		for i := range a.NumField() {
			if path := where(a.Field(i), b.Field(i), seen); path != "" {
				return "." + a.Type().Field(i).Name + path
			}
		}
		return ""
	case reflect.Map:
		for _, key := range a.MapKeys() {
			if !b.MapIndex(key).IsValid() {
				return fmt.Sprintf("[%v]: missing", key)
			}
			if path := where(a.MapIndex(key), b.MapIndex(key), seen); path != "" {
				return fmt.Sprintf("[%v]%s", key, path)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range min(a.Len(), b.Len()) {
			if path := where(a.Index(i), b.Index(i), seen); path != "" {
				return fmt.Sprintf("[%d]%s", i, path)
			}
		}
	}
	return unequal(a, b)
}

// unequal describes how two values differ that have no elements, or whose elements are equal.
func unequal(a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface, reflect.Func:
		if a.IsNil() != b.IsNil() {
			return fmt.Sprintf(": nil is %v and %v", a.IsNil(), b.IsNil())
		}
	default:
		if x, y := fmt.Sprint(a), fmt.Sprint(b); x != y {
			return fmt.Sprintf(": %s and %s", x, y)
		}
	}
	if k := a.Kind(); (k == reflect.Map || k == reflect.Slice) && a.Len() != b.Len() {
		return fmt.Sprintf(": lengths %d and %d", a.Len(), b.Len())
	}
	return ""
}
