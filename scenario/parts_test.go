package scenario_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPausedTickPrintsWhatItIsAboutToWrite(t *testing.T) {
	before := "\nreport\n00:00:05 web-01 joins\n----\n…\n\npause after=decide\n----\nok\n\n"
	const read = "tick 00:00:15\n----\nread     #1..#9\nbalance  web-01  +2  deployable\ndeploy   web-01  behind\n"
	const write = "write    DeploymentQueued shop 1 → e: web-01\n"
	const pause = "pause    after decide\n"
	passes(t, before+read+write+pause)
	passes(t, before+read+pause)
	result, err := runPrepared(t, before+"tick 00:00:15\n")
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(result.Text, read+write+pause), "a new block has the line")
	result, err = runPrepared(t, before+read+strings.Replace(write, "web-01", "web-02", 1)+pause)
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
	require.Contains(t, result.Failures[0].String(), "+ "+write)
}

func TestPartsHaveStepsAndCauses(t *testing.T) {
	passes(t, fleet+`report
00:00:18 web-01 fails d2
00:00:19 web-02 offline
----
…

do
00:00:20 deploy shop 1 --to e
----
…

report
00:00:21 web-01 claims
----
ok #32 d3

view parts d1
----
none

view parts d2
----
web-01  succeeded
  step 1  unpack: succeeded
  step 2  switch: succeeded
  step 3  restart: succeeded
  by      trigger t
  causes  #8 MachineAdded
          #9 MachineCameOnline
web-02  succeeded
…
web-03  failed (step-failed)
  step 1  unpack: succeeded
  step 2  switch: failed, exit code 7
  step 3  restart: not run
  by      trigger t
  causes  #12 MachineAdded
          #13 MachineCameOnline

view parts d3
----
db-01  skipped (machine-disabled)
  step 1  unpack: not run
  step 2  switch: not run
  step 3  restart: not run
  by      person
web-01  running
  step 1  unpack: unknown
  step 2  switch: unknown
  step 3  restart: unknown
  by      person
…
`)
}

func TestUnknownNumberOfStepIsRefused(t *testing.T) {
	for _, word := range []string{"0", "4", "-1"} {
		_, err := runPrepared(t, fleet+"do\n00:00:20 deploy shop 1 --to e\n----\n…\n\nreport\n00:00:21 web-01 claims\n"+
			"00:00:22 web-01 fails --step "+word+"\n")
		require.ErrorContains(t, err, "release 1 of shop has no step "+word+" (use its name, or a number from 1 to 3)")
	}
}

func TestStepsHaveSucceededOnceAPartIsVerified(t *testing.T) {
	const project = "apply 00:00:04\napiVersion: drover.dev/v1\nkind: Project\nmetadata: {name: shop}\n" +
		"spec: {healthyFor: 1m, steps: [{name: unpack, run: a}]}\n"
	const steps = "\n  step 1  unpack: succeeded\n…\n"
	passes(t, "\n"+project+"----\n…\n\ndo\n00:00:04 release create shop 2\n00:00:04 deploy shop 2 --to e\n----\n…\n"+`
report
00:00:05 web-[1-2] joins
----
…

tick 00:00:15
----
…

report
00:00:16 web-[1-2] claims
00:00:17 web-[1-2] succeeds
----
…

view parts d3
----
web-1  verifying`+steps+`
report
00:00:20 web-1 unhealthy
00:00:21 web-2 offline
----
…

view parts d3
----
web-1  failed (…)`+steps)
}
