package scenario_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExpectationsThatHoldPrintNothing(t *testing.T) {
	passes(t, fleet+`expect web-01 shop=1
expect web-01 web-02 shop=1 shop/wanted=1 shop/verdict=none shop/reason=up-to-date online
expect web-[01-02] shop=1
expect web-0[1,3] shop/wanted=1
expect web-03 shop=none(dirty) shop/verdict=wait shop/reason=backing-off
expect web-04 shop=none shop/reason=held
expect web-* online enabled
expect db-01 online disabled shop/reason=machine-unavailable
expect web-09 missing
`)
}

func TestExpectationsAskAServerThatIsRunning(t *testing.T) {
	passes(t, fleet+"tick 00:00:18 server=b\n----\n…\n\nkill 00:00:19\n----\nok\n\nexpect web-01 shop=1\n")
	_, err := runPrepared(t, fleet+"kill 00:00:19\n----\nok\n\nexpect web-01 shop=1\n")
	require.ErrorContains(t, err, "server a is down (add `start HH:MM:SS` first)")
}

func TestFailedExpectationsShowWhatIsInstead(t *testing.T) {
	for expectation, want := range map[string]string{
		"web-03 shop=1":         "  - web-03 shop=1\n  + web-03 shop=none(dirty) (wait: backing-off)\n",
		"web-[01,03] shop=2":    "  - web-01 shop=2\n  - web-03 shop=2\n  + web-01 shop=1 (none: up-to-date)\n  + web-03 shop=none",
		"web-0? shop/reason=x":  "  + web-04 shop/reason=held (wait: held)\n",
		"web-01 shop/wanted=2":  "  - web-01 shop/wanted=2\n  + web-01 shop/wanted=1 (none: up-to-date)\n",
		"web-01 offline":        "  - web-01 offline\n  + web-01 online\n",
		"web-01 missing":        "  + web-01 present\n",
		"db-01 online enabled":  "  - db-01 enabled\n  + db-01 disabled\n",
		"web-09 online":         "  + web-09 missing\n",
		"app-* shop=1":          "  - app-* shop=1\n  + app-* missing\n",
		"web-01 bakery=1":       "  + project bakery does not exist\n",
		"web-[100..400] shop=1": "  + and 291 more\n",
	} {
		result, err := runPrepared(t, fleet+"expect "+expectation+"\n")
		require.NoError(t, err)
		require.Len(t, result.Failures, 1, expectation)
		f := result.Failures[0]
		require.Contains(t, f.String(), "tests/a.txt:26: expect "+expectation+" failed\n")
		require.Contains(t, f.String(), want)
		require.True(t, f.Expectation)
		require.False(t, f.Corrected)
		require.True(t, strings.HasSuffix(result.Text, "expect "+expectation+"\n"), "an expectation is not rewritten")
	}
}

func TestInvalidExpectationsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"expect\n":                       `a.txt:1: the machine is missing (usage: expect MACHINE…`,
		"expect shop=1\n":                `a.txt:1:8: "shop=1" is not a machine`,
		"expect web-01\n":                `a.txt:1: nothing is expected of web-01 (an expectation is PROJECT=RELEASE,`,
		"expect web-01 shop=\n":          `a.txt:1:15: invalid expectation "shop="`,
		"expect web-01 =1\n":             `a.txt:1:15: invalid expectation "=1"`,
		"expect web-01 shop/=1\n":        `a.txt:1:15: invalid expectation "shop/=1"`,
		"expect web-01 shop/colour=1\n":  `a.txt:1:15: invalid expectation "shop/colour=1"`,
		"expect web-01 shop=1 web-02\n":  `a.txt:1:22: invalid expectation "web-02"`,
		"expect wéb-01 online shop\n":    `a.txt:1:22: invalid expectation "shop"`,
		"expect *[ online\n":             `a.txt:1:8: "[" has no "]" (write a range like web-[01-50]`,
		"expect *\\ online\n":            "",
		"expect web-01 shop=1\n----\n\n": `a.txt:2: "----" does not start a block`,
		"positions\n":                    `a.txt:1: invalid by= (usage: positions by=time|count)`,
		"positions by=luck\n":            `a.txt:1: invalid by=luck`,
	} {
		_, err := run(t, text)
		if want == "" {
			require.NoError(t, err, "without machines a pattern is only a name")
			continue
		}
		require.ErrorContains(t, err, want)
	}
}
