package scenario_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/scenario"
)

// timed is a file whose output names events by their time.
const timed = `include setup.txt
positions by=time

report
00:00:05 web-01 joins

do
00:00:06 deploy shop 1 --to e

report
00:00:07 web-01 claims
00:00:08 web-01 succeeds d00:00:06

tick 00:00:15

view deployments d00:00:06

why web-01 at=#00:00:08

log from=#00:00:06
`

func TestInsertedLineRenumbersNothing(t *testing.T) {
	files := map[string]string{"tests/a.txt": timed}
	for name, text := range prepared {
		files[name] = text
	}
	result, err := inFolder(t, files, "tests/a.txt")
	require.NoError(t, err)
	require.Contains(t, result.Text, "ok #00:00:05..#00:00:05+1\n")
	require.Contains(t, result.Text, "then #00:00:08+1 DeploymentEnded d00:00:06 succeeded\n")
	require.Contains(t, result.Text, "  #00:00:05+1  00:00:05  MachineCameOnline  machine web-01")
	require.NotRegexp(t, `[#d]\d+\b[^:]`, strings.TrimPrefix(result.Text, "include"), "no event is counted")

	files["tests/a.txt"] = result.Text
	result, err = inFolder(t, files, "tests/a.txt")
	require.NoError(t, err)
	require.Empty(t, result.Failures)

	inserted := "do\n00:00:04 release create shop 2\n00:00:04 deploy shop 1 --to e\n----\n…\n\nreport\n00:00:05 web-01 joins"
	files["tests/a.txt"] = strings.Replace(result.Text, "report\n00:00:05 web-01 joins", inserted, 1)
	result, err = inFolder(t, files, "tests/a.txt")
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
	require.Equal(t, "why web-01 at=#00:00:08", result.Failures[0].Block, "only the history has new lines")
	for _, text := range difference(result.Failures[0]) {
		require.Contains(t, text, "+   #00:00:04", "no line changes its number")
	}
}

// difference returns the lines of a failure that differ.
func difference(f scenario.Failure) (lines []string) {
	for text := range strings.Lines(f.String()) {
		if strings.HasPrefix(text, "  -") || strings.HasPrefix(text, "  +") {
			lines = append(lines, text)
		}
	}
	return lines
}

func TestColumnsWithNamesByTimeAreAligned(t *testing.T) {
	passes(t, `positions by=time

report
00:00:05 web-[01-02] joins
----
ok #00:00:05..#00:00:05+3

view candidates
----
PROJECT  TRIGGER  MACHINE  OPENED       VERDICT  REASON  CAUSES
shop     t        web-01   #00:00:05    deploy   behind  #00:00:05 MachineAdded,#00:00:05+1 MachineCameOnline
shop     t        web-02   #00:00:05+2  deploy   behind  #00:00:05+2 MachineAdded,#00:00:05+3 MachineCameOnline
`)
}

func TestPositionsBelongToTheFileThatSelectsThem(t *testing.T) {
	result, err := inFolder(t, map[string]string{"a.txt": "include b.txt\n\nbackup\n----\nok #2\n",
		"b.txt": "positions by=time\n\napply 00:00:01\nkind: Environment\napiVersion: drover.dev/v1\nmetadata: {name: e}\n" +
			"----\nEnvironment e ok #00:00:01\n\ninclude c.txt\n\nbackup\n----\nok #00:00:01\n",
		"c.txt": "backup\n----\nok #2\n"}, "a.txt")
	require.NoError(t, err)
	require.Empty(t, result.Failures)
}

func TestRestoredLogIsNamedByTimeAgain(t *testing.T) {
	passes(t, `positions by=time

backup
----
ok #00:00:00+6

report
00:00:05 web-[1-2] joins
----
ok #00:00:05..#00:00:05+3

kill 00:00:06
----
ok

restore 00:00:06
----
ok: the log ends at #00:00:00+6 again, 4 events are lost

start 00:00:07
----
…

report
00:00:07 web-3 joins
----
ok #00:00:07+…

log from=#00:00:07
----
00:00:07 #00:00:07 ServerStarted a
…
`)
}
