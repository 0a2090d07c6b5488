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
	seed = flag.Uint64("seed", 1, "seed of the first random day on which views forget and are saved; the next day has the next one")
	days = flag.Int("days", 20, "how many random days views forget and are saved on")
)

// stepsADay is long enough that most deployments of a day are forgotten, and that what they left is overtaken.
const stepsADay = 600

// tally is what the days had in them: a property that holds of days on which nothing is forgotten says nothing.
type tally struct{ facts, forgotten, saves, owed int }

// TestForgettingAndSavingChangeNoDecision folds random days by a view that keeps every deployment, one that forgets each as
// soon as it may, and one that forgets and is saved and loaded at random. A server must not decide otherwise for
// having run long or for having been started from a snapshot.
func TestForgettingAndSavingChangeNoDecision(t *testing.T) {
	var had tally
	for n := range uint64(*days) {
		t.Run(fmt.Sprintf("seed=%d", *seed+n), func(t *testing.T) { live(t, *seed+n, &had) })
	}
	t.Logf("%d facts, %d deployments forgotten, %d times loaded, %d results of forgotten deployments", had.facts, had.forgotten, had.saves, had.owed)
	if *days >= 10 {
		require.Positive(t, had.forgotten)
		require.Positive(t, had.saves)
		require.Positive(t, had.owed)
	}
}

// live lives the day of a seed. The dear comparisons are made less often than the others: a difference seldom goes away
// within a few steps.
func live(t *testing.T, seed uint64, had *tally) {
	d := newDay(t, seed, int(seed%3))
	for n := range stepsADay {
		d.step()
		if n%4 == 0 {
			d.same("what decisions go by", grounds)
		}
		if n%24 == 0 {
			if d.plain { // a strange fact lets a deployment succeed that failed long ago
				d.same("what environments have", origins)
			}
			d.same("decisions at once", decisions(0))
			d.same("decisions after long waiting", decisions(time.Minute))
			d.sameView("folded and loaded before", d.loaded)
			d.sameView("folded and loaded now", d.load(d.save(d.forgetting)))
		}
	}
	had.facts += len(d.log)
	had.forgotten += len(d.keeping.Deployments) - len(d.forgetting.Deployments)
	had.saves += d.saves
	had.owed += d.owed
}

// day is a random history and three views of it.
type day struct {
	*rand.Rand
	t    *testing.T
	seed uint64

	keeping    *projections.View // forgets nothing
	forgetting *projections.View
	loaded     *projections.View // forgets, and was saved and loaded

	log         []eventlog.Recorded
	revisions   map[string]eventlog.Revision // of the log: a view need not know those of forgotten parts
	deployments []domain.ID                  // as queued
	snapshots   []snapshot
	clock       time.Time
	// ages are how much older each position makes what is waited for, one of them a round of the engine. Where it is 0
	// nothing is given up, and a deployment may stay open while many that were queued later are forgotten.
	ages []time.Duration
	// slow is a machine whose agent seldom does anything: its deployments outlive others.
	slow string
	// plain is a day without strange facts.
	plain bool

	saves, owed int // for the tally
}

// snapshot is a saved view, and how much of the log it has folded.
type snapshot struct {
	view   []byte
	folded int
}

func newDay(t *testing.T, seed uint64, kept int) *day {
	d := &day{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, seed: seed, keeping: projections.New(), forgetting: projections.New(),
		loaded: projections.New(), revisions: map[string]eventlog.Revision{}, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d.ages, d.slow = pick(d, [][]time.Duration{{0}, {0, time.Second}, {0, time.Second, time.Minute}, {0, time.Minute}}), pick(d, machines)
	d.plain = d.oneIn(2)
	d.keeping.Retain, d.forgetting.Retain, d.loaded.Retain = 1<<30, kept, kept
	d.found()
	return d
}

// others are the views that must say what the keeping one says.
func (d *day) others() []*projections.View { return []*projections.View{d.forgetting, d.loaded} }

var otherNames = []string{"the forgetting view", "the loaded view"}

// differ ends the day: it prints how to have it again and what happened last.
func (d *day) difference(format string, args ...any) {
	d.t.Helper()
	var last []string
	for _, rec := range d.log[max(0, len(d.log)-12):] {
		last = append(last, fmt.Sprintf("  %d %s %s %s", rec.Position, rec.Stream, rec.Event.Type, rec.Event.Data))
	}
	d.t.Fatalf("%s\n%d ended deployments kept; this day again: -run %s -seed=%d -days=1\nthe last facts:\n%s",
		fmt.Sprintf(format, args...), d.forgetting.Retain, "TestForgettingAndSavingChangeNoDecision", d.seed, strings.Join(last, "\n"))
}

// same compares what the three views say, line by line.
func (d *day) same(what string, say func(*projections.View) said) {
	d.t.Helper()
	kept := say(d.keeping)
	for n, v := range d.others() {
		other := say(v)
		for i := range max(len(kept), len(other)) {
			if a, b := lineAt(kept, i), lineAt(other, i); a != b {
				d.difference("%s: %s differs from the keeping one\n  - %s\n  + %s", what, otherNames[n], a, b)
			}
		}
	}
}

func lineAt(lines said, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

// sameView compares a view with the forgetting one in all that it holds, the indexes and lists that Save leaves out included.
// What was touched since the last round is drained first: it is a hint, and a start takes everything as touched.
func (d *day) sameView(what string, v *projections.View) {
	d.t.Helper()
	for _, v := range []*projections.View{d.forgetting, v} {
		v.Touched()
	}
	if !reflect.DeepEqual(d.forgetting, v) {
		d.difference("%s: the views differ in %s", what, where(reflect.ValueOf(d.forgetting), reflect.ValueOf(v), map[[2]uintptr]bool{}))
	}
}

// decisions are what the engine would do. Each position makes a fact older: ages are the same for all views then.
func decisions(older time.Duration) func(*projections.View) said {
	return func(v *projections.View) (lines said) {
		for _, decision := range rollout.Decide(v, projections.Age(ages(v, older))) {
			lines.say("%+v", decision)
		}
		verdicts := triggers.Decide(v, projections.Age(ages(v, older)))
		for _, verdict := range verdicts {
			lines.say("%+v", verdict)
		}
		for _, decision := range triggers.Plan(v, verdicts) {
			lines.say("%+v", decision)
		}
		return lines
	}
}

func ages(v *projections.View, older time.Duration) func(eventlog.Position) time.Duration {
	return func(p eventlog.Position) time.Duration { return time.Duration(max(0, v.Position-p)) * older }
}

// grounds are what decisions and commands go by. They are compared although decisions are: a wrong hold may show in a
// decision long after the day.
func grounds(v *projections.View) (lines said) {
	lines.say("open %v", ids(v.OpenDeployments()))
	for _, p := range v.ProjectsToEvaluate() {
		lines.say("asking %s", p.Name)
	}
	var deadlines said
	for at := range v.Deadlines() {
		deadlines.say("%+v", at)
	}
	slices.Sort(deadlines)
	lines.say("deadlines %v", deadlines)
	for _, name := range slices.Sorted(maps.Keys(v.Machines)) {
		lines.machine(v, v.Machines[name])
	}
	for _, name := range slices.Sorted(maps.Keys(v.Projects)) {
		lines.project(v.Projects[name])
	}
	for _, d := range v.OpenDeployments() {
		lines.say("%s %s %s ended=%v cancelled=%v superseded=%v room=%d unreleased=%v open=%d failed=%d", d.ID, d.Kind, d.State, d.Ended,
			d.Cancelled, d.Superseded, d.FreeSlots(), d.Unreleased(), d.OpenParts(), d.FailedParts())
	}
	return lines
}

// said are lines that a view is described by.
type said []string

func (s *said) say(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

func (s *said) machine(v *projections.View, m *projections.Machine) {
	deployable, why := v.Deployable(m)
	s.say("%s %+v added=%d connected=%d offline=%d health=%d ready=%d %v deployable=%v %s claimed=%s", m.Name, m.Machine, m.Added, m.Connected,
		m.Offline, m.HealthSince, m.Ready, m.Absence, deployable, why, describe(m.Claimed))
	for _, part := range v.OpenPartsOn(m.Name) {
		s.say("  %s gate=%s, once released %s, means it=%v", describe(part), v.ClaimCheck(part, m.Session), v.ClaimCheckOnceReleased(part, m.Session), part.IsFor(m))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Projects)) {
		p := v.Projects[name]
		attempts, last := v.Attempts(p, m)
		s.say("  %s wanted=%s actual=%s dirty=%v behind=%v attempts=%d@%d exhausted=%v unhealthy=%v person=%v held=%v unfinished=%s", name,
			v.Wanted(p, m), v.Actual(p, m), v.Dirty(p, m), v.Behind(p, m), attempts, last, v.Exhausted(p, m), v.MadeUnhealthy(p, m),
			v.PersonDeploys(p, m), m.HoldApplies(name), v.World().Unfinished(name, m.Name))
		s.installed(v, m.Installed[name])
		for _, c := range v.Candidates(p, m) {
			s.say("    candidate of %s opened=%d redeploy=%d %v", c.Trigger, c.Opened, c.Redeploy, c.Causes)
		}
	}
}

// installed includes whether the deployment that left the hold is there: users are told of it, and what is queued later ends it.
func (s *said) installed(v *projections.View, i *projections.Installed) {
	if i == nil {
		return
	}
	var person domain.ID
	if i.Person != nil {
		person = i.Person.ID
	}
	s.say("    release=%s instance=%s success=%d began=%d dirty=%v last=%s person=%s tried=%+v hold=%s@%d, known=%v", i.Release, i.Instance, i.Success,
		i.Began, i.Dirty, describe(i.Last), person, i.FailedAttempts, asJSON(i.Hold), i.HoldAt, i.Hold != nil && v.Deployments[i.Hold.Deployment] != nil)
}

func (s *said) project(p *projections.Project) {
	s.say("%s waiting=%v sweep=%v open=%v", p.Name, p.Waiting(), p.Sweep(), ids(p.Open))
	for _, name := range slices.Sorted(maps.Keys(p.Environments)) {
		e := p.Environments[name]
		s.say("  %s released=%d wide=%v %s origin=%s rollback to %s", name, p.Released(name), p.HasOpenWide(name), asJSON(e), e.Origin(), e.RollbackTo())
	}
}

// origins says of the deployments that environments have their releases from whether they are there: users are shown them.
func origins(v *projections.View) (lines said) {
	for _, p := range v.Projects {
		for name, e := range p.Environments {
			lines.say("%s in %s: %s, known=%v", p.Name, name, e.Origin(), v.Deployments[e.Origin()] != nil)
		}
	}
	slices.Sort(lines)
	return lines
}

func describe(p *projections.Part) string {
	if p == nil {
		return "no part"
	}
	return fmt.Sprintf("%s/%s %s %s %d/%d/%d reported=%v release=%s instance=%s", p.Deployment.ID, p.Machine, p.State, p.Reason, p.Released, p.Claimed,
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

// where is the path of the first difference of two values that reflect.DeepEqual calls different; "" where it finds none.
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
				return fmt.Sprintf("[%v]: it is missing", key)
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
	return unlike(a, b)
}

// unlike says how two values differ that have no parts, or whose parts are alike.
func unlike(a, b reflect.Value) string {
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
		return fmt.Sprintf(": %d and %d of them", a.Len(), b.Len())
	}
	return ""
}
