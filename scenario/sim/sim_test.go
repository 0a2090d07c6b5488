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

// init sets the defaults of rapid, including its seed, so that a run can be repeated. Its flags override them.
func init() {
	for name, value := range map[string]string{"rapid.checks": "80", "rapid.seed": "1", "rapid.steps": "150",
		"rapid.nofailfile": "true", "rapid.shrinktime": "20s"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// drawn is a dice that rapid rolls, so that rapid can shrink the result. It draws single bits, because rapid's own
// numbers are mostly small, and a run would contain almost only ticks.
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

// drawSteps draws the steps of a run; -rapid.steps is their average number.
func drawSteps(t *rapid.T, wanted class) (steps []step) {
	one := rapid.Custom(func(t *rapid.T) step { return draw(drawn{t}, wanted) })
	t.Repeat(map[string]func(*rapid.T){"step": func(t *rapid.T) { steps = append(steps, one.Draw(t, "step")) }})
	return steps
}

// run runs steps and then the checks at the end.
func run(s config, steps []step, end func(*cluster)) (p *cluster, err error) {
	return withCluster(s, func(p *cluster) {
		if p.runSteps(steps) == nil {
			end(p)
		}
	})
}

// withCluster creates a cluster and calls what. It returns the first violation; a panic counts as one.
func withCluster(s config, what func(*cluster)) (p *cluster, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	p = newCluster(s)
	if p.violation == nil {
		what(p)
	}
	return p, p.fault()
}

// writeTranscript writes a failed run as a scenario file and returns the failure with the path of the file.
func writeTranscript(name string, p *cluster, failure error) string {
	if p == nil {
		return failure.Error()
	}
	path, text := filepath.Join(os.TempDir(), "drover-"+name+".txt"), p.transcript.failure(name, failure)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		path = err.Error()
	}
	return fmt.Sprintf("%s\nthe run as a scenario: %s\n%s", failure, path, text)
}

// judge runs steps and returns an error if they violated a law.
type judge func(config, []step) (*cluster, error)

// ends returns a judge that checks the safety properties after each step, and calls end after the last one.
func ends(end func(*cluster)) judge {
	return func(s config, steps []step) (*cluster, error) { return run(s, steps, end) }
}

// holds checks a property over random runs. The first failed run is shortened and written as a scenario.
func holds(t *testing.T, name string, s config, wanted class, judge judge) {
	t.Helper()
	var failed []step
	t.Cleanup(func() {
		if failed != nil {
			t.Log(shorten(name, s, failed, judge))
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		s.servers = rapid.IntRange(1, 5).Draw(t, "servers")
		drawn := drawSteps(t, wanted)
		if _, err := judge(s, drawn); err != nil {
			failed = drawn
			t.Fatal(err)
		}
	})
}

// shorten removes the steps that a failed run does not need, and returns the failure of the rest.
func shorten(name string, s config, steps []step, judge judge) string {
	law := func(steps []step) string {
		var v *violation
		if _, err := judge(s, steps); errors.As(err, &v) {
			return v.law
		} else if err != nil {
			return "panic"
		}
		return ""
	}
	first := law(steps)
	steps = shortest(steps, func(fewer []step) bool { return law(fewer) == first }, 20*time.Second)
	p, err := judge(s, steps)
	return fmt.Sprintf("%s\nsteps: %s", writeTranscript(name, p, err), listing(steps))
}

func TestLawsHoldAndClusterBecomesIdle(t *testing.T) {
	t.Parallel()
	holds(t, "laws", config{machines: 6, unhealthy: map[string]bool{"m03": true}}, all, ends((*cluster).heal))
}

func TestDueMachinesAreDeployedToWithoutSweep(t *testing.T) {
	t.Parallel()
	holds(t, "due", config{machines: 6, withRelease: true, noSweep: true}, all, ends((*cluster).heal))
}

func TestPreviewOfACommandSaysWhatTheNextTickDeploys(t *testing.T) {
	t.Parallel()
	s := config{machines: 6, withRelease: true, previews: true}
	holds(t, "previews", s, all, ends(func(*cluster) {}))
}

func TestAbandonedPartsEnd(t *testing.T) {
	t.Parallel()
	holds(t, "abandoned", config{machines: 6}, all, ends(func(p *cluster) {
		p.repairServers()
		p.abandon()
	}))
}

func TestOnlyWatchedAbsenceLeadsToCleanUp(t *testing.T) {
	t.Parallel()
	s := config{machines: 8, cleanUp: true}
	holds(t, "absence", s, joins|fleet|trouble|ticking|crashes|faults, func(s config, steps []step) (*cluster, error) {
		return run(s, steps, func(p *cluster) { p.checkAbsence(1 + len(steps)%7) })
	})
}

func TestEachMachineGetsTheReleaseOnce(t *testing.T) {
	t.Parallel()
	s := config{machines: 8, noRedeploy: true, withRelease: true, alwaysSucceed: true, longTimeouts: true}
	holds(t, "once", s, joins|work|ticking|crashes|faults, ends(func(p *cluster) {
		p.heal()
		p.onceEach()
	}))
}

// onceEach checks that every machine that joined ran each of its projects once.
func (p *cluster) onceEach() {
	count := map[machineProject]int{}
	for at, e := range p.ran {
		count[machineProject{machine: at.machine, project: e.project.name}]++
	}
	for name, h := range p.ledger.machines {
		for project, a := range p.ledger.projects {
			want := 0
			if inScope(h, h.Environment, a.settings.Roles) {
				want = 1
			}
			if got := count[machineProject{machine: name, project: project}]; got != want {
				p.violate("law 3: n machines that come online are n machines deployed to", "%s ran %s %d times, not %d",
					name, project, got, want)
			}
		}
	}
}

// variants are conditions that must not change the final state of a run.
var variants = []struct {
	name    string
	servers int
	// replace returns the steps that replace a tick.
	replace func(tick step) []step
}{
	{"one server", 1, func(tick step) []step { return []step{tick} }},
	{"three servers", 3, func(tick step) []step { return []step{tick} }},
	{"restarts", 3, func(tick step) []step {
		if tick.a/8%8 == 0 {
			tick.kind = kindOf("crash")
		}
		return []step{tick}
	}},
	{"short pages", 3, func(tick step) []step {
		return []step{{kindOf("lag"), tick.a, tick.b}, tick,
			{kind: kindOf("whole")}}
	}},
	{"jumping clocks", 3, func(tick step) []step { return []step{{kindOf("skew"), tick.a, tick.b}, tick} }},
}

func TestCrashesServersAndPagesDoNotChangeTheFinalState(t *testing.T) {
	t.Parallel()
	s := config{machines: 6, withRelease: true, alwaysSucceed: true, longTimeouts: true,
		failing: map[string]bool{"m02": true}}
	holds(t, "same-end", s, joins|fleet|work|ticking, func(s config, steps []step) (*cluster, error) {
		for i, one := range steps {
			if actions[one.kind].name == "reimage" {
				steps[i].a &^= 3 // disconnect and connect, so that later steps have the same effect in all variants
			}
		}
		reference, err := run(s, steps, (*cluster).heal)
		if err != nil {
			return reference, err
		}
		variant := variants[(len(steps)+s.servers)%len(variants)]
		var changed []step
		for _, one := range steps {
			if actions[one.kind].name == "tick" {
				changed = append(changed, variant.replace(one)...)
			} else {
				changed = append(changed, one)
			}
		}
		s.servers = variant.servers
		return run(s, changed, func(p *cluster) {
			p.heal()
			p.sameEnd(variant.name, reference)
		})
	})
}

func kindOf(name string) kind {
	return kind(slices.IndexFunc(actions, func(a action) bool { return a.name == name }))
}

// sameEnd checks that two runs have the same final state.
func (p *cluster) sameEnd(variant string, other *cluster) {
	ours, theirs := p.ending(), other.ending()
	if !slices.Equal(ours, theirs) {
		p.violate("law 7: the same history has the same final state", "with %s:\n%s", variant, difference(theirs, ours))
	}
}

// ending returns the final state: the release of every machine, and whether it has attempts left.
func (p *cluster) ending() (lines []string) {
	for name, m := range p.audit.Machines {
		for project, a := range p.audit.Projects {
			if !domain.InScope(&m.Machine, m.Environment, a.Settings.Roles, nil) {
				continue
			}
			lines = append(lines, fmt.Sprintf("%s in %s %v has %s %q, behind %v, exhausted %v", name, m.Environment,
				m.Roles, project, p.audit.Actual(a, m), p.audit.Behind(a, m), p.audit.Exhausted(a, m)))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestFailingMachineIsLeftAloneAndStopsNoOther(t *testing.T) {
	t.Parallel()
	s := config{machines: 5, withRelease: true, alwaysSucceed: true, noRedeploy: true,
		failing: map[string]bool{"m01": true, "m04": true}}
	holds(t, "failing", s, joins|fleet|work|ticking|crashes|faults, ends((*cluster).heal))
}

func TestHealingDoesNotUndoThePersonsChoice(t *testing.T) {
	t.Parallel()
	holds(t, "chosen", config{machines: 6, withRelease: true}, all, ends(func(p *cluster) {
		p.repairServers()
		held := p.held()
		p.heal()
		for at, before := range held {
			a, h := p.ledger.projects[at.project], p.ledger.machines[at.machine]
			if a == nil || h == nil || !p.ledger.heldHere(a, h) || p.ledger.installation(a, h).holds.strongest() != before.hold {
				continue // it expired, or its deployment has ended meanwhile
			}
			if now := p.agent(at.machine).disk[projectIncarnation{a.name, a.created}]; now.release != before.release {
				p.violate("law 16: what a person chose stays", "%s of %s was held, but changed from %q to %q", at.machine,
					at.project, before.release, now.release)
			}
		}
	}))
}

// choice is a hold and the release on the disk.
type choice struct {
	hold    *holdState
	release string
}

// held returns the held machines without open parts, with their releases.
func (p *cluster) held() map[machineProject]choice {
	all := map[machineProject]choice{}
	for project, a := range p.ledger.projects {
		for machine, h := range p.ledger.machines {
			if on := p.agent(machine); p.ledger.heldHere(a, h) && len(p.audit.OpenPartsOn(machine)) == 0 && on.running == nil {
				c := on.disk[projectIncarnation{a.name, a.created}]
				all[machineProject{machine: machine, project: project}] = choice{p.ledger.installation(a, h).holds.strongest(), c.release}
			}
		}
	}
	return all
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	began, runs := time.Now(), make([]*longRun, (*ticks+runTicks-1)/runTicks)
	var all sync.WaitGroup
	next := atomic.Int64{}
	for range runtime.GOMAXPROCS(0) { // runs are independent of each other
		all.Go(func() {
			for n := next.Add(1) - 1; int(n) < len(runs); n = next.Add(1) - 1 {
				runs[n] = simulate(*seed+uint64(n)<<32, min(*ticks-int(n)*runTicks, runTicks))
			}
		})
	}
	all.Wait()
	total, healing, deployments, events, faults := 0, 0, 0, eventlog.Position(0), map[string]int{}
	for _, d := range runs {
		if d.failure != nil {
			t.Fatalf("seed %d, run %d: %s", *seed, d.seed>>32, shorten("simulation", d.config, d.steps, ends((*cluster).heal)))
		}
		total += d.ticks
		healing += d.cluster.ticks - d.ticks
		deployments += len(d.cluster.ledger.deployments)
		events += d.cluster.head()
		for kind, count := range d.cluster.faults {
			faults[kind] += count
		}
	}
	took := time.Since(began)
	t.Logf("seed %d: %d ticks (and %d while healing), %d events, %d deployments in %s, %.0f ticks a second",
		*seed, total, healing, events, deployments, took.Round(time.Millisecond), float64(total+healing)/took.Seconds())
	t.Logf("faults: %s", faultLines(faults))
}

// runTicks is the length of a run of the long simulation. It is bounded because every server that starts folds the log.
const runTicks = 150

// longRun is one run of the long simulation; ticks counts its ticks before healing.
type longRun struct {
	seed    uint64
	config  config
	steps   []step
	cluster *cluster
	ticks   int
	failure error
}

// simulate runs a number of ticks on one to five servers, and then heals the cluster.
func simulate(seed uint64, ticks int) *longRun {
	dice := newDice(seed)
	d := &longRun{seed: seed, config: config{servers: 1 + dice.roll(5), machines: 30,
		failing: map[string]bool{"m07": true}, unhealthy: map[string]bool{"m09": true}}}
	d.cluster, d.failure = withCluster(d.config, func(p *cluster) {
		for p.ticks < ticks && p.violation == nil {
			d.steps = append(d.steps, draw(dice, all))
			_ = p.runSteps(d.steps[len(d.steps)-1:])
		}
		d.ticks = p.ticks
		if p.violation == nil {
			p.heal()
		}
	})
	return d
}

func TestRunsCanBeWrittenAsScenarios(t *testing.T) {
	t.Parallel()
	different := 0
	for seed := range uint64(40) {
		d := newDice(seed)
		var steps []step
		for range 200 {
			steps = append(steps, draw(d, all&^disks)) // agents of a scenario state what they remember at another moment
		}
		p, err := run(config{servers: 3, machines: 6}, steps, (*cluster).heal)
		require.NoError(t, err)
		_, err = scenario.Run(t.Context(), "run", p.transcript.file("a run"), scenario.Options{})
		if err != nil { // a short page, which a scenario cannot express, can change the number of deployments
			require.ErrorContains(t, err, "unknown deployment", "seed %d", seed)
			different++
		}
	}
	t.Logf("%d of 40 runs have more deployments than their transcripts", different)
	require.Less(t, different, 20)
}

func TestFailureIsShrunkAndWrittenAsFailingScenario(t *testing.T) {
	t.Parallel()
	s := config{servers: 3, machines: 6, withRelease: true}
	check := func(p *cluster) { // a law that drover violates on purpose
		for _, w := range p.ledger.deployments {
			if !w.person() {
				p.violate("nothing is ever deployed by itself", "%s was queued", p.transcript.deployment(w.id))
			}
		}
	}
	judge := func(s config, steps []step) (*cluster, error) {
		return withCluster(s, func(p *cluster) {
			for i := range steps {
				if p.runSteps(steps[i:i+1]) != nil {
					return
				}
				check(p)
			}
		})
	}
	d, drawn := newDice(4), []step(nil)
	for range 100 {
		drawn = append(drawn, draw(d, all))
	}
	report := shorten("provoked", s, drawn, judge)

	path, _, _ := strings.Cut(report[strings.Index(report, "the run as a scenario: ")+len("the run as a scenario: "):],
		"\n")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	steps := report[strings.LastIndex(report, "steps: "):]
	require.LessOrEqual(t, strings.Count(steps, "("), 2, "a machine joins and a server ticks: %s", steps)
	result, err := scenario.Run(t.Context(), path, string(text), scenario.Options{})
	require.NoError(t, err, "the file is valid")
	require.Len(t, result.Failures, 1, "the file fails")
	require.Equal(t, []string{"never: nothing is ever deployed by itself: d7 was queued"}, result.Failures[0].Want)
	require.Contains(t, strings.Join(result.Failures[0].Got, "\n"), "DeploymentQueued",
		"the output shows what drover did instead")
}
