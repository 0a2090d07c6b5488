package main

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// suite is the test program of a package.
type suite struct {
	path string // of its package, below the module
	skip string // tests that cost more than they notice
	// divide is a test whose subtests are units, because each can run alone.
	divide string
	args   []string
	// wide suites run only with -wide, and as a whole.
	wide bool

	program string
}

// suites are the test programs. A test that starts the compiler would not see the mutants.
var suites = []suite{
	{path: "policies"},
	{path: "rollout"},
	{path: "triggers"},
	{path: "explain"},
	{path: "doctor"},
	{path: "query"},
	{path: "projections"},
	{path: "scenario", skip: "TestSizeOfScenarioFilesIsBounded",
		divide: "TestScenariosHaveTheirExpectedOutput"},
	{path: "engine", skip: "TestRestartedConsumerContinuesWithTheNextEvent"},
	{path: "scenario/sim", skip: "Break|Scenario", wide: true,
		args: []string{"-ticks=150", "-rapid.checks=25", "-rapid.shrinktime=1ms"}},
}

// suitesFor returns the suites of a run: all of them, or those of the packages in tests.
func suitesFor(wide bool, tests string) []suite {
	only := strings.Split(tests, ",")
	return slices.DeleteFunc(slices.Clone(suites), func(s suite) bool {
		return s.wide && !wide || tests != "" && !slices.Contains(only, s.path)
	})
}

// unit is a test, or a subtest of a divided test. The only unit of a wide suite is the whole suite.
type unit struct {
	suite   *suite
	name    string
	took    time.Duration // without a mutant
	reaches map[int]bool  // the mutants that it reaches
}

// pattern returns the regular expression by which a test program selects units.
func pattern(units []*unit) string {
	var all []string
	for _, u := range units {
		test, sub, nested := strings.Cut(u.name, "/")
		one := "^" + regexp.QuoteMeta(test) + "$"
		if nested {
			one += "/^" + regexp.QuoteMeta(sub) + "$"
		}
		all = append(all, one)
	}
	return strings.Join(all, "|")
}

// batch is a list of units of one suite that run in one process.
type batch struct {
	suite *suite
	units []*unit
}

// took is how long the batch took without a mutant.
func (b batch) took() (sum time.Duration) {
	for _, u := range b.units {
		sum += u.took
	}
	return sum
}

// steps are the total times of the fast units that run first. Most mutants are noticed there.
var steps = []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, time.Hour}

// batches groups the units that reach a mutant: the fastest first, and wide suites last.
func batches(units []*unit, id int) (all []batch) {
	units = slices.DeleteFunc(slices.Clone(units), func(u *unit) bool { return !u.reaches[id] })
	slices.SortStableFunc(units, func(a, b *unit) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, limit := range steps {
		n, sum := 0, time.Duration(0)
		for n < len(units) && (n == 0 || sum+units[n].took <= limit) {
			sum += units[n].took
			n++
		}
		all = append(all, bySuite(units[:n])...)
		units = units[n:]
	}
	return all
}

// rank orders units by their time, and wide ones last.
func (u *unit) rank() time.Duration {
	if u.suite.wide {
		return time.Hour + u.took
	}
	return u.took
}

// bySuite groups units by their suite, in the order in which the suites first occur.
func bySuite(units []*unit) (all []batch) {
	for _, u := range units {
		i := slices.IndexFunc(all, func(b batch) bool { return b.suite == u.suite })
		if i < 0 {
			i, all = len(all), append(all, batch{suite: u.suite})
		}
		all[i].units = append(all[i].units, u)
	}
	return all
}
