package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/scenario"
)

var (
	seed  = flag.Uint64("seed", 0, "seed of the long simulation; 0: of the day's date")
	ticks = flag.Int("ticks", 400, "ticks of the long simulation")
)

// init sets how much rapid does by default; its flags say otherwise.
func init() {
	for name, value := range map[string]string{"rapid.checks": "100", "rapid.steps": "150", "rapid.nofailfile": "true", "rapid.shrinktime": "20s"} {
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
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	p = newPlant(s)
	if p.broken == nil && p.live(steps) == nil {
		end(p)
	}
	return p, p.fault()
}

// tell writes a day that failed as a scenario file and says where it is.
func tell(name string, p *plant, failure error) string {
	if p == nil {
		return failure.Error()
	}
	text := p.story.file(name + "\n" + failure.Error())
	if result, err := scenario.Run(context.Background(), name, text, scenario.Options{}); err == nil {
		text = result.Text
	}
	path := filepath.Join(os.TempDir(), "drover-"+name+".txt")
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
		s.servers = rapid.IntRange(1, 3).Draw(t, "servers")
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
	holds(t, "laws", setting{machines: 6}, all, ends((*plant).heal))
}

func TestWhatAnEventHasMadeDueIsDoneThoughNothingIsSwept(t *testing.T) {
	holds(t, "due", setting{machines: 6, released: true, unswept: true}, all, ends((*plant).heal))
}

func TestWhatDiesHangsOrNeverClaimsEndsAllTheSame(t *testing.T) {
	holds(t, "abandoned", setting{machines: 6}, all, ends(func(p *plant) {
		p.mend()
		p.abandon()
	}))
}

func TestMachinesThatComeOnlineInAnyOrderOnAnyServersGetTheReleaseOnceEach(t *testing.T) {
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

func TestACrashAnywhereChangesNothingInTheEnd(t *testing.T) {
	s := setting{machines: 6, released: true, steady: true, patient: true, cursed: map[string]bool{"m02": true}}
	holds(t, "crash", s, joins|fleet|work|ticking, func(s setting, day []step) (*plant, error) {
		for i, one := range day {
			if actions[one.kind].name == "reimage" {
				day[i].a &^= 3 // with a goodbye and a hello, so that the steps after it mean the same in both days
			}
		}
		smooth, err := run(s, day, (*plant).heal)
		if err != nil {
			return smooth, err
		}
		rough := slices.Clone(day)
		for i, one := range rough {
			if actions[one.kind].name == "tick" && one.a/8%8 == 0 {
				rough[i].kind = kindOf("crash")
			}
		}
		return run(s, rough, func(p *plant) {
			p.heal()
			p.sameEnd(smooth)
		})
	})
}

func kindOf(name string) kind {
	return kind(slices.IndexFunc(actions, func(a action) bool { return a.name == name }))
}

// sameEnd looks whether two days have ended alike.
func (p *plant) sameEnd(other *plant) {
	ours, theirs := p.ending(), other.ending()
	if !slices.Equal(ours, theirs) {
		p.breaks("law 2: a crash changes nothing in the end", "%s", difference(theirs, ours))
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
	s := setting{machines: 5, released: true, steady: true, calm: true, cursed: map[string]bool{"m01": true, "m04": true}}
	holds(t, "cursed", s, joins|fleet|work|ticking|crashes|faults, ends((*plant).heal))
}

func TestWhatAPersonChoseIsNotUndoneByAnyHealing(t *testing.T) {
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
	if *seed == 0 {
		*seed = uint64(time.Now().Unix() / 86400)
	}
	t.Logf("seed %d, %d ticks", *seed, *ticks)
	began := time.Now()
	for done, n := 0, 0; done < *ticks; n++ {
		done += simulate(t, *seed+uint64(n)<<32, min(*ticks-done, 300))
	}
	t.Logf("%d ticks in %s", *ticks, time.Since(began).Round(time.Millisecond))
}

// simulate lives one long day of a seed, with a healing now and then.
func simulate(t *testing.T, seed uint64, ticks int) (done int) {
	t.Helper()
	s := setting{servers: 3, machines: 30, cursed: map[string]bool{"m07": true}}
	var day []step
	for d := newDice(seed); done < ticks; {
		next := draw(d, all)
		if actions[next.kind].name == "tick" {
			done++
		}
		day = append(day, next)
	}
	if _, err := run(s, day, (*plant).heal); err != nil {
		t.Fatalf("seed %d: %s", seed, shorten("simulation", s, day, ends((*plant).heal)))
	}
	return done
}
