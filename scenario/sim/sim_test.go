package sim

import (
	"errors"
	"flag"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/scenario"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the long simulation")
	ticks = flag.Int("ticks", 400, "ticks of the long simulation")
)

// init sets how much rapid does by default, and with which seed, so that a run can be had again; its flags say otherwise.
func init() {
	for name, value := range map[string]string{"rapid.checks": "80", "rapid.seed": "1", "rapid.steps": "150", "rapid.nofailfile": "true", "rapid.shrinktime": "20s"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// drawn is a dice that rapid throws, so that it can shrink what came of it. It throws single bits: rapid's own
// numbers are small ones mostly, and a day of nothing but ticks is no day.
type drawn struct{ t *rapid.T }

func (d drawn) roll(n int) (rolled int) {
	bit := rapid.Bool()
	for range bits.Len(uint(n)) + 2 {
		rolled *= 2
		if bit.Draw(d.t, "bit") {
			rolled++
		}
	}
	return rolled % n
}

// steps draws a day; -rapid.steps is how long it is on average.
func steps(t *rapid.T, wanted class) (day []step) {
	one := rapid.Custom(func(t *rapid.T) step { return draw(drawn{t}, wanted) })
	t.Repeat(map[string]func(*rapid.T){"step": func(t *rapid.T) { day = append(day, one.Draw(t, "step")) }})
	return day
}

// run lives a day and looks at its end.
func run(s setting, steps []step, end func(*plant)) (p *plant, err error) {
	return live(s, func(p *plant) {
		if p.live(steps) == nil {
			end(p)
		}
	})
}

// live builds the world of a day and lets what happen in it. A panic is a failure like any other.
func live(s setting, what func(*plant)) (p *plant, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	p = newPlant(s)
	if p.broken == nil {
		what(p)
	}
	return p, p.fault()
}

// tell writes a day that failed as a scenario file and says where it is.
func tell(name string, p *plant, failure error) string {
	if p == nil {
		return failure.Error()
	}
	path, text := filepath.Join(os.TempDir(), "drover-"+name+".txt"), p.story.failure(name, failure)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		path = err.Error()
	}
	return fmt.Sprintf("%s\nthe day as a scenario: %s\n%s", failure, path, text)
}

// judge lives a day and says whether it broke a law.
type judge func(setting, []step) (*plant, error)

// ends is a judge that looks at the never-laws after each step, and at the end when the day is over.
func ends(end func(*plant)) judge {
	return func(s setting, day []step) (*plant, error) { return run(s, day, end) }
}

// holds checks a property over random days. The first that fails is shortened, and told as a scenario.
func holds(t *testing.T, name string, s setting, wanted class, judge judge) {
	t.Helper()
	var failed []step
	t.Cleanup(func() {
		if failed != nil {
			t.Log(shorten(name, s, failed, judge))
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		s.servers = rapid.IntRange(1, 5).Draw(t, "servers")
		day := steps(t, wanted)
		if _, err := judge(s, day); err != nil {
			failed = day
			t.Fatal(err)
		}
	})
}

// shorten drops what a failing day does not need and tells the rest.
func shorten(name string, s setting, day []step, judge judge) string {
	law := func(day []step) string {
		var b *breach
		if _, err := judge(s, day); errors.As(err, &b) {
			return b.law
		} else if err != nil {
			return "panic"
		}
		return ""
	}
	first := law(day)
	day = shortest(day, func(less []step) bool { return law(less) == first }, 20*time.Second)
	p, err := judge(s, day)
	return fmt.Sprintf("%s\nsteps: %s", tell(name, p, err), listing(day))
}

func TestWhateverHappensEveryLawHoldsAndEverythingComesToRest(t *testing.T) {
	t.Parallel()
	holds(t, "laws", setting{machines: 6, sick: map[string]bool{"m03": true}}, all, ends((*plant).heal))
}

func TestWhatAnEventHasMadeDueIsDoneThoughNothingIsSwept(t *testing.T) {
	t.Parallel()
	holds(t, "due", setting{machines: 6, released: true, unswept: true}, all, ends((*plant).heal))
}

func TestWhatDiesHangsOrNeverClaimsEndsAllTheSame(t *testing.T) {
	t.Parallel()
	holds(t, "abandoned", setting{machines: 6}, all, ends(func(p *plant) {
		p.mend()
		p.abandon()
	}))
}

func TestOnlyAbsenceThatServersWatchedLeadsToCleanUpAndAnOutageNever(t *testing.T) {
	t.Parallel()
	s := setting{machines: 8, absent: true}
	holds(t, "absence", s, joins|fleet|trouble|ticking|crashes|faults, func(s setting, day []step) (*plant, error) {
		return run(s, day, func(p *plant) { p.desert(1 + len(day)%7) })
	})
}

func TestMachinesThatComeOnlineInAnyOrderOnAnyServersGetTheReleaseOnceEach(t *testing.T) {
	t.Parallel()
	s := setting{machines: 8, calm: true, released: true, steady: true, patient: true}
	holds(t, "once", s, joins|work|ticking|crashes|faults, ends(func(p *plant) {
		p.heal()
		p.onceEach()
	}))
}

// onceEach looks whether every machine that joined ran each of its projects once.
func (p *plant) onceEach() {
	count := map[file]int{}
	for at, e := range p.ran {
		count[file{machine: at.machine, project: e.project.name}]++
	}
	for name, h := range p.ledger.hosts {
		for project, a := range p.ledger.apps {
			want := 0
			if inScope(h, h.Environment, a.settings.Roles) {
				want = 1
			}
			if got := count[file{machine: name, project: project}]; got != want {
				p.breaks("law 3: n machines that come online are n machines deployed", "%s ran %s %d times, not %d", name, project, got, want)
			}
		}
	}
}

// variants are other ways in which the same things happen to the same machines.
var variants = []struct {
	name    string
	servers int
	// turns says what a tick becomes.
	turns func(tick step) []step
}{
	{"one server", 1, func(tick step) []step { return []step{tick} }},
	{"three servers", 3, func(tick step) []step { return []step{tick} }},
	{"restarts", 3, func(tick step) []step {
		if tick.a/8%8 == 0 {
			tick.kind = kindOf("crash")
		}
		return []step{tick}
	}},
	{"pages cut elsewhere", 3, func(tick step) []step { return []step{{kindOf("lag"), tick.a, tick.b}, tick, {kind: kindOf("whole")}} }},
	{"clocks that jump", 3, func(tick step) []step { return []step{{kindOf("skew"), tick.a, tick.b}, tick} }},
}

func TestACrashAnotherServerOrOtherPagesChangeNothingInTheEnd(t *testing.T) {
	t.Parallel()
	s := setting{machines: 6, released: true, steady: true, patient: true, cursed: map[string]bool{"m02": true}}
	holds(t, "same-end", s, joins|fleet|work|ticking, func(s setting, day []step) (*plant, error) {
		for i, one := range day {
			if actions[one.kind].name == "reimage" {
				day[i].a &^= 3 // with a goodbye and a hello, so that the steps after it mean the same in all days
			}
		}
		smooth, err := run(s, day, (*plant).heal)
		if err != nil {
			return smooth, err
		}
		variant := variants[(len(day)+s.servers)%len(variants)]
		var rough []step
		for _, one := range day {
			if actions[one.kind].name == "tick" {
				rough = append(rough, variant.turns(one)...)
			} else {
				rough = append(rough, one)
			}
		}
		s.servers = variant.servers
		return run(s, rough, func(p *plant) {
			p.heal()
			p.sameEnd(variant.name, smooth)
		})
	})
}

func kindOf(name string) kind {
	return kind(slices.IndexFunc(actions, func(a action) bool { return a.name == name }))
}

// sameEnd looks whether two days have ended alike.
func (p *plant) sameEnd(variant string, other *plant) {
	ours, theirs := p.ending(), other.ending()
	if !slices.Equal(ours, theirs) {
		p.breaks("law 7: the same history ends the same", "with %s:\n%s", variant, difference(theirs, ours))
	}
}

// ending is what counts in the end: what every machine has, and what was given up.
func (p *plant) ending() (lines []string) {
	for name, m := range p.audit.Machines {
		for project, a := range p.audit.Projects {
			if !domain.InScope(&m.Machine, m.Environment, a.Settings.Roles, nil) {
				continue
			}
			lines = append(lines, fmt.Sprintf("%s in %s %v has %s %q, behind %v, given up %v", name, m.Environment, m.Roles, project,
				p.audit.Actual(a, m), p.audit.Behind(a, m), p.audit.Exhausted(a, m)))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestAMachineThatAlwaysFailsIsGivenUpAndStopsNobodyElse(t *testing.T) {
	t.Parallel()
	s := setting{machines: 5, released: true, steady: true, calm: true, cursed: map[string]bool{"m01": true, "m04": true}}
	holds(t, "cursed", s, joins|fleet|work|ticking|crashes|faults, ends((*plant).heal))
}

func TestWhatAPersonChoseIsNotUndoneByAnyHealing(t *testing.T) {
	t.Parallel()
	holds(t, "chosen", setting{machines: 6, released: true}, all, ends(func(p *plant) {
		p.mend()
		kept := p.kept()
		p.heal()
		for at, before := range kept {
			a, h := p.ledger.apps[at.project], p.ledger.hosts[at.machine]
			if a == nil || h == nil || !p.ledger.heldHere(a, h) || p.ledger.record(a, h).keep != before.keep {
				continue // it expired, or its deployment ended meanwhile
			}
			if now := p.agent(at.machine).disk[projectLife{a.name, a.life}]; now.release != before.release {
				p.breaks("law 16: what a person chose stays", "%s of %s was held and went from %q to %q", at.machine, at.project, before.release, now.release)
			}
		}
	}))
}

// choice is a hold and what is on the disk meanwhile.
type choice struct {
	keep    *keep
	release string
}

// kept are the machines that are held, with what they have and nothing under way.
func (p *plant) kept() map[file]choice {
	all := map[file]choice{}
	for project, a := range p.ledger.apps {
		for machine, h := range p.ledger.hosts {
			if on := p.agent(machine); p.ledger.heldHere(a, h) && len(p.audit.OpenPartsOn(machine)) == 0 && on.running == nil {
				c := on.disk[projectLife{a.name, a.life}]
				all[file{machine: machine, project: project}] = choice{p.ledger.record(a, h).keep, c.release}
			}
		}
	}
	return all
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	began, days := time.Now(), make([]*longDay, (*ticks+dayTicks-1)/dayTicks)
	var all sync.WaitGroup
	next := atomic.Int64{}
	for range runtime.GOMAXPROCS(0) { // days know nothing of each other
		all.Go(func() {
			for n := next.Add(1) - 1; int(n) < len(days); n = next.Add(1) - 1 {
				days[n] = simulate(*seed+uint64(n)<<32, min(*ticks-int(n)*dayTicks, dayTicks))
			}
		})
	}
	all.Wait()
	lived, healing, deployments, events, faults := 0, 0, 0, eventlog.Position(0), map[string]int{}
	for _, d := range days {
		if d.failure != nil {
			t.Fatalf("seed %d, day %d: %s", *seed, d.seed>>32, shorten("simulation", d.setting, d.steps, ends((*plant).heal)))
		}
		lived += d.lived
		healing += d.plant.ticks - d.lived
		deployments += len(d.plant.ledger.waves)
		events += d.plant.head()
		for kind, count := range d.plant.faults {
			faults[kind] += count
		}
	}
	took := time.Since(began)
	t.Logf("seed %d: %d ticks (and %d while healing), %d events, %d deployments in %s, %.0f ticks a second",
		*seed, lived, healing, events, deployments, took.Round(time.Millisecond), float64(lived+healing)/took.Seconds())
	t.Logf("faults: %s", faultLines(faults))
}

// dayTicks is how long a day of the long simulation is: every server that starts folds the whole of it.
const dayTicks = 150

// longDay is one day of the long simulation; lived counts its ticks before the healing.
type longDay struct {
	seed    uint64
	setting setting
	steps   []step
	plant   *plant
	lived   int
	failure error
}

// simulate lives a day of so many ticks on one to five servers, and heals it.
func simulate(seed uint64, ticks int) *longDay {
	dice := newDice(seed)
	d := &longDay{seed: seed, setting: setting{servers: 1 + dice.roll(5), machines: 30, cursed: map[string]bool{"m07": true}, sick: map[string]bool{"m09": true}}}
	d.plant, d.failure = live(d.setting, func(p *plant) {
		for p.ticks < ticks && p.broken == nil {
			d.steps = append(d.steps, draw(dice, all))
			_ = p.live(d.steps[len(d.steps)-1:])
		}
		d.lived = p.ticks
		if p.broken == nil {
			p.heal()
		}
	})
	return d
}

func TestEveryDayCanBeToldAsAScenario(t *testing.T) {
	t.Parallel()
	strayed := 0
	for seed := range uint64(40) {
		d := newDice(seed)
		var day []step
		for range 200 {
			day = append(day, draw(d, all))
		}
		p, err := run(setting{servers: 3, machines: 6}, day, (*plant).heal)
		require.NoError(t, err)
		_, err = scenario.Run(t.Context(), "day", p.story.file("a day"), scenario.Options{})
		if err != nil { // a page that was cut, which a file cannot say, can make another number of deployments
			require.ErrorContains(t, err, "unknown deployment", "seed %d", seed)
			strayed++
		}
	}
	t.Logf("%d of 40 days have more deployments than their stories", strayed)
	require.Less(t, strayed, 20)
}

func TestAFailureIsShrunkAndWrittenAsAScenarioThatFails(t *testing.T) {
	t.Parallel()
	s := setting{servers: 3, machines: 6, released: true}
	never := func(p *plant) { // a law that drover does not keep, and nobody wants it to
		for _, w := range p.ledger.waves {
			if !w.person() {
				p.breaks("nothing is ever deployed by itself", "%s was queued", p.story.deployment(w.id))
			}
		}
	}
	judge := func(s setting, day []step) (*plant, error) {
		return live(s, func(p *plant) {
			for i := range day {
				if p.live(day[i:i+1]) != nil {
					return
				}
				never(p)
			}
		})
	}
	d, day := newDice(1), []step(nil)
	for range 100 {
		day = append(day, draw(d, all))
	}
	said := shorten("provoked", s, day, judge)

	path, _, _ := strings.Cut(said[strings.Index(said, "the day as a scenario: ")+len("the day as a scenario: "):], "\n")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	steps := said[strings.LastIndex(said, "steps: "):]
	require.LessOrEqual(t, strings.Count(steps, "("), 2, "a machine joins and a server ticks: %s", steps)
	result, err := scenario.Run(t.Context(), path, string(text), scenario.Options{})
	require.NoError(t, err, "it is a valid file")
	require.Len(t, result.Failures, 1, "which fails")
	require.Equal(t, []string{"never: nothing is ever deployed by itself: d7 was queued"}, result.Failures[0].Want)
	require.Contains(t, strings.Join(result.Failures[0].Got, "\n"), "DeploymentQueued", "and shows what drover did instead")
}
