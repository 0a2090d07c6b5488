package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/scenario"
)

func run(t testing.TB, text string) (scenario.Result, error) {
	t.Helper()
	return scenario.Run(context.Background(), "a.txt", text, scenario.Options{})
}

func TestErrorsNameThePositionAndAHint(t *testing.T) {
	for text, want := range map[string]string{
		"tic 09:00:00\n":                                    `a.txt:1: unknown block "tic" (use one of: apply, do,`,
		"# so\n\n\n----\n":                                  `a.txt:4: "----" does not start a block`,
		"tick\n":                                            `a.txt:1: the time is missing (usage: tick HH:MM:SS`,
		"tick 9 Uhr\n":                                      `a.txt:1: unexpected word "Uhr"`,
		"tick 9:00:00\n":                                    `a.txt:1: invalid time "9:00:00" (use HH:MM:SS)`,
		"tick 09:61:00\n":                                   `invalid time "09:61:00"`,
		"tick 99999999999:00:00\n":                          `invalid time`,
		"tick 09:00:01\n\ntick 09:00:00\n":                  `a.txt:3: 09:00:00 is before 09:00:01 (times must not decrease)`,
		"tick 09:00:00 speed=2\n":                           `unknown option "speed" of tick`,
		"tick 09:00:00\nmore\n":                             `a.txt:2: block tick does not take input lines`,
		"tick 09:00:00 servers=(a,a)\n":                     `server a is named twice`,
		"tick 09:00:00 server=a/b\n":                        `unknown server`,
		"do\nlater deploy shop 1.0\n":                       `a.txt:2: invalid time "later"`,
		"do\n09:00:00\n":                                    `a.txt:2: nothing follows the time`,
		"do\n09:00:00 deplo shop 1.0\n":                     `a.txt:2: unknown command "deplo shop" (use one of: release create, release retire,`,
		"do\n09:00:00 deploy shop\n":                        `an argument is missing (usage: deploy PROJECT VERSION --to`,
		"do\n09:00:00 deploy shop 1.0\n":                    `--to is missing`,
		"do\n09:00:00 deploy shop 1.0 --to\n":               `--to needs a value`,
		"do\n09:00:00 deploy shop 1 --to p --now 1":         `unknown flag --now`,
		"do\n09:00:00 deploy shop 1 2 --to p\n":             `unexpected word "2"`,
		"do\n09:00:00 deploy s 1 --to p --max-parallel x":   `invalid --max-parallel "x"`,
		"do\n09:00:00 pin s 1 --in p --for soon\n":          `invalid --for "soon" (use a duration such as 90m`,
		"do\n09:00:00 cancel d1\n":                          `unknown deployment "d1" (deployments are d1, d2`,
		"do\n09:00:00 delete house x\n":                     `unknown kind "house"`,
		"do\n09:00:00 trigger enable joins\n":               `"joins" does not name a project`,
		"do\n09:00:00 again\n":                              `no previous command to send again`,
		"do\n09:00:00 hold 'web-01 --project shop\n":        `unterminated quote before`,
		"report\n09:00:00 web-01\n":                         `the report has no keyword`,
		"report\n09:00:00 web-01 sings\n":                   `unknown report "sings" (use one of: joins, online`,
		"events\n09:00:00 MachineSang web-01\n":             `unknown event "MachineSang"`,
		"events\n09:00:00 Raw machine/x y {\n":              `invalid JSON "{"`,
		"events\n09:00:00 Raw machine/x\n":                  `an argument is missing (usage: Raw STREAM TYPE JSON)`,
		"events\n09:00:00 Raw \"\" machine.enabled/v1 {}\n": `the log rejected the event`,
		"view\n":                    `unknown view`,
		"why\n":                     `the machine is missing`,
		"why web-01 at=yesterday\n": `invalid at=yesterday`,
		"crash after=lunch\n":       `invalid after=lunch`,
		"resume\n":                  `server a is not within a tick`,
		"pause after=read\n\ntick 09:00:00\n\ntick 09:00:01\n": `server a is within a tick (add ` + "`resume` first)",
		"kill 09:00:00\n\ntick 09:00:01\n":                     `server a is down (add`,
		"start 09:00:00\n":                                     `server a is already running`,
		"stop 09:00:00\n\ntick 09:00:01\n":                     `server a is stopped (add`,
		"wake 09:00:00\n":                                      `server a is not stopped`,
		"clock 09:00:00\n":                                     `invalid clock setting "09:00:00" (usage: clock HH:MM:SS by=DURATION|stands`,
		"clock 09:00:00 by=late\n":                             `invalid clock setting`,
		"react\n":                                              `the time is missing (usage: react HH:MM:SS`,
		"do reacts=soon\n09:00:00 unpin s --in p\n":            `invalid reacts=soon`,
		"kill 09:00:00\n\nstart 09:00:01 rules=new\n":          `invalid rules="new"`,
		"log from=#x\n":                                        `invalid position from=#x`,
		"ticks until=soon\n":                                   `invalid until or every`,
		"do\n09:00:00 \x00\n":                                  `a.txt:2: the line contains invalid characters`,
		"\xff\xfe\n":                                           `a.txt:1: the line contains invalid characters`,
	} {
		result, err := run(t, text)
		var mistake *scenario.Error
		require.ErrorAs(t, err, &mistake, "%q", text)
		require.Contains(t, err.Error(), want, "%q", text)
		require.Equal(t, text, result.Text, "a file that cannot be run stays unchanged")
	}
}

func TestSizeOfScenarioFilesIsBounded(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("#", scenario.MaxBytes+1): "the file has 1048577 bytes (use " +
			"at most 1048576)",
		strings.Repeat("replay\n\n", scenario.MaxBlocks+1):                               "more than 10000 blocks",
		"ticks until=9000:00:00 every=1s\n":                                              "is too early or too late",
		"ticks until=200:00:00 every=10s\n\nticks until=400:00:00 every=10s servers=b\n": "more than 100000 ticks",
	} {
		_, err := run(t, text)
		require.ErrorContains(t, err, want)
	}
}

func TestRunEndsWhenItsContextIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := scenario.Run(ctx, "a.txt", "tick 09:00:00\n", scenario.Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestDifferentOutputIsShownLineByLine(t *testing.T) {
	result, err := run(t, "# One.\n\ntick 09:00:00\n----\nread     #1\ndeploy   web-01  behind\nappend   nothing\n")
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
	require.Equal(t, "a.txt:3: the output of tick 09:00:00 differs from the expected output\n"+
		"    read     #1\n  - deploy   web-01  behind\n    append   nothing\n", result.Failures[0].String())
	require.Equal(t, "# One.\n\ntick 09:00:00\n----\nread     #1\nappend   nothing\n", result.Text)
}

func TestMissingOutputIsAFailureAndIsFilledIn(t *testing.T) {
	result, err := run(t, "tick 09:00:00\r\n\r\nview fleet")
	require.NoError(t, err)
	require.Len(t, result.Failures, 2)
	require.Equal(t, 2, result.Blocks)
	again, err := run(t, result.Text)
	require.NoError(t, err)
	require.Empty(t, again.Failures)
	require.Equal(t, result.Text, again.Text)
}

func TestFileHasTheSameOutputEachTime(t *testing.T) {
	for _, file := range files(t)[:10] {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		first, err := run(t, string(text))
		require.NoError(t, err)
		second, err := run(t, string(text))
		require.NoError(t, err)
		require.Equal(t, first, second)
	}
}

// mustExist lists the files that the laws require by name.
var mustExist = []string{"partial-failure-is-not-rolled-back", "disable-beats-a-paused-decision",
	"cancel-and-claim-at-once",
	"claimed-machine-destroyed", "slow-machine-blocks-nobody", "online-during-rollout-is-not-up-to-date",
	"skip-after-restart-stays-skipped",
	"exhausted-is-not-swept", "window-of-one-on-two-servers", "cure-reaches-the-unhealthy",
	"health-after-deploy-is-no-cause",
	"reboot-in-a-step-is-no-new-cause", "exclude-stays-excluded", "rollback-during-rollout",
	"offline-then-connected", "clone-is-refused",
	"post-twice-is-once", "name-used-again-starts-empty", "clocks-apart-lease", "wake-after-40s-writes-no-offline",
	"rule-change-does-not-redeploy"}

func TestLawsAndScenarioFilesAreComplete(t *testing.T) {
	page, err := os.ReadFile("../docs/laws.md")
	require.NoError(t, err)
	for law := 1; law <= 32; law++ {
		if law == 30 { // it is a promise about agents, and no decision
			continue
		}
		require.Contains(t, string(page), fmt.Sprintf("\n| %d | ", law))
	}
	for _, name := range mustExist {
		require.FileExists(t, folder+"/"+name+".txt")
	}
	for _, file := range files(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		first, _, _ := strings.Cut(string(text), "\n")
		require.Regexp(t, `^# [A-Z].*\.$`, first, "the first line of %s is a sentence", file)
		name := strings.TrimSuffix(strings.TrimPrefix(file, folder+"/"), ".txt")
		require.Contains(t, string(page), "`"+name+"`", "docs/laws.md names %s", name)
	}
	for _, row := range strings.Split(string(page), "\n") {
		cells := strings.Split(row, " | ")
		if len(cells) < 3 || !strings.Contains(cells[2], "`") {
			continue
		}
		for _, name := range strings.Split(strings.ReplaceAll(cells[2], "`", ""), ", ") {
			require.FileExists(t, folder+"/"+name+".txt", "docs/laws.md names it")
		}
	}
}

// setup contains the resources that most blocks need.
const setup = `apply
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: e}
spec: {}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {steps: [{name: s, run: s}]}
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: t}
spec: {project: shop, events: [Machine], environments: ["*"], redeploy: true}

report
00:00:00 web-01 joins

do
00:00:00 release create shop 1
00:00:00 deploy shop 1 --to e

`

// FuzzRun searches for files that make a run panic, hang, or give another output the second time.
func FuzzRun(f *testing.F) {
	for _, blocks := range []string{"tick 09:00:00\n----\n", "apply\nkind: Environment\n\n----\n",
		"do\n09:00:00 deploy shop 1 --to e --machine web-01\n09:00:01 cancel d1\n09:00:01 again\n09:00:02 delete machine " +
			"web-01",
		"report\n09:00:01 web-01 joins\n09:00:02 web-01 claims\n09:00:03 web-01 fails d1 --exit 2\n09:00:04 web-01 re-imaged",
		"events\n09:00:00 PartClaimed web-01 d1\n09:00:00 MachineWentOffline web-01 --connect #4\n09:00:01 MachineDeleted " +
			"web-01",
		"events\n09:00:00 Raw part/d1/x part.claimed/v1 {}\n09:00:00 Raw watch watch.passed/v1 '{\"since\":\"#1\"}'",
		"crash after=decide\n\ntick 09:00:01 servers=(a,b)\n\npause after=read\n\ntick 09:00:02\n\nresume",
		"kill 09:00:00\n\nstart 09:00:01 rules=2",
		"clock 09:00:00 by=-48h server=b\n\nstop 09:00:01\n\nreact 09:00:40 servers=(b)\n\nwake 09:01:00\n\nclock 09:01:00 " +
			"stands\n\nreact 09:01:01",
		"expect web-* shop=none\nexpect web-[01..02] missing\npositions by=time\nlog from=#00:00:00+1\n----\n…\nx…y\n…",
		"include fuzz.txt\n", "apply -f fuzz.yaml\n", "include ../../../dev/zero\n",
		"report\n00:00:01 app-[1-3] joins --role x\n00:00:02 app-[1-2,3] claims\n00:00:03 app-[1-3] fails --step 1\n----\n…",
		"pause after=decide\n\ntick 00:00:15\n----\nread …\nwrite    …\n\nresume\n\nview parts d2\n\nview parts d00:00:15",
		"do reacts=no\n09:00:00 log clear watch\n09:00:01 log clear part/d1/web-01",
		"view deployments d1\n\nview fleet\n\nwhy web-01 shop at=#3\n\nlog from=#2 stream=project/shop\n\nreplay"} {
		f.Add(blocks)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "ticks") {
			t.Skip("ticks would only make the run slow")
		}
		text = setup + text
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		result, err := scenario.Run(ctx, "fuzz.txt", text, scenario.Options{Replay: true})
		if err != nil {
			var mistake *scenario.Error
			require.True(t, errors.As(err, &mistake) || ctx.Err() != nil, "%v", err)
			if mistake != nil {
				require.Equal(t, "fuzz.txt", mistake.File)
				require.NotEmpty(t, mistake.Reason)
				require.True(t, mistake.Line > 0 && mistake.Line <= strings.Count(text, "\n")+2,
					"line %d is in the file", mistake.Line)
				require.Less(t, len(mistake.Error()), 4000)
			}
			return
		}
		again, err := scenario.Run(ctx, "fuzz.txt", result.Text, scenario.Options{Replay: true})
		if ctx.Err() != nil {
			t.Skip("the run is too slow")
		}
		require.NoError(t, err)
		for _, failure := range again.Failures {
			require.True(t, failure.Expectation, "%s", failure)
		}
		require.Equal(t, result.Text, again.Text)
	})
}
