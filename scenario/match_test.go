package scenario_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGapsAndWildcardsMatchAnyText(t *testing.T) {
	for expected, matches := range map[string]bool{
		"read     #1\nappend   nothing": true,
		"…":                             true,
		"…\n…":                          true,
		"read     …\n…":                 true,
		"…\nread     #1\nappend   nothing\n  …  ":   true,
		"read …1\n…nothing":                         true,
		"r…d     …#…1…\nappend   nothing":           true,
		"read     #1…1\nappend   nothing":           false,
		"read     #1":                               false,
		"…\nread     #1":                            false,
		"…\nappend   nothing\nread     #1\n…":       false,
		"read     #1\n…\nread     #1\n…":            false,
		"r…#…#…1\nappend   nothing":                 false,
		"…\n…d     #1\n…thing\n…":                   true,
		"read     #1\nappend   nothing\nappend   …": false,
	} {
		result, err := run(t, "tick 00:00:15\n----\n"+expected+"\n")
		require.NoError(t, err)
		require.Equal(t, matches, len(result.Failures) == 0, expected)
	}
}

func TestUpdateKeepsWildcardsThatMatch(t *testing.T) {
	for expected, want := range map[string]string{
		"read     #7\nappend   …":              "read     #1\nappend   …",
		"read     …\nappend   #2 Something":    "read     …\nappend   nothing",
		"…\nappend   #2 Something":             "…\nappend   nothing",
		"…\nread     #7\n…":                    "…\nread     #1\n…",
		"…\nbalance  …\n…":                     "…",
		"read     …":                           "read     …\nappend   nothing",
		"":                                     "read     #1\nappend   nothing",
		"a…\nread     #1\nb\nappend   nothing": "read     #1\nappend   nothing",
	} {
		text := "# Before.\n\ntick 00:00:15\n----\n" + expected + "\n\n# After.\n"
		if expected == "" {
			text = "# Before.\n\ntick 00:00:15\n\n# After.\n"
		}
		result, err := run(t, text)
		require.NoError(t, err)
		require.Len(t, result.Failures, 1)
		require.True(t, result.Failures[0].Corrected)
		require.Equal(t, "# Before.\n\ntick 00:00:15\n----\n"+want+"\n\n# After.\n", result.Text, expected)
		again, err := run(t, result.Text)
		require.NoError(t, err)
		require.Empty(t, again.Failures)
	}
}

func TestLongDifferencesShowOnlyTheLinesAround(t *testing.T) {
	result, err := run(t, setup+"log\n----\n…\n00:00:00 #9 Other\n")
	require.NoError(t, err)
	last := result.Failures[len(result.Failures)-1].String()
	require.Contains(t, last, "    …\n  - 00:00:00 #9 Other\n  + 00:00:00 #8 ")
	result, err = run(t, "view candidates\n----\n"+strings.Repeat("none\n", 700))
	require.NoError(t, err)
	require.Equal(t, "view candidates\n----\nnone\n", result.Text)
}

func TestEqualLinesInTheMiddleAreCounted(t *testing.T) {
	blocks := "report\n00:00:05 web-[01..40] joins\n\nview fleet\n"
	result, err := runPrepared(t, blocks)
	require.NoError(t, err)
	text := strings.Replace(result.Text, "web-40", "web-41", 1)
	require.NotEqual(t, result.Text, text)
	files := map[string]string{"tests/a.txt": text}
	for name, text := range prepared {
		files[name] = text
	}
	result, err = inFolder(t, files, "tests/a.txt")
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
	require.Contains(t, result.Failures[0].String(), "    (30 equal lines)\n    web-35 ")
}

func TestComparisonsAreBounded(t *testing.T) {
	joins := "\nreport\n00:00:05 a-[001..900] joins\n" +
		"00:00:05 b-[001..900] joins\n00:00:05 c-[001..900] joins\n----\n…\n\n"
	_, err := runPrepared(t, joins+"log\n----\n…\n"+strings.Repeat("…#…\n", 2000)+"other\n…\n")
	require.ErrorContains(t, err, "tests/a.txt:10: the expected output of this block needs more than 5000000 comparisons "+
		"(write fewer lines between two lines with …)")
	result, err := runPrepared(t, joins+"log\n----\n"+strings.Repeat("…\n…a…a…a…\n", 2000)+"…\n")
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
}

func TestUpdateReplacesTheLineThatIsMostSimilar(t *testing.T) {
	const tick = "\nreport\n00:00:05 web-[1-3] joins\n----\n…\n\ntick 00:00:15\n----\n"
	for expected, want := range map[string]string{
		"…\nbalance  web-2  +9  deployable\n…":                  "…\nbalance  web-2  +2  deployable\n…",
		"…\nbalance  web-4  +9  deployable\nbalance  …\n…":      "…\nbalance  web-1  +2  deployable\nbalance  …\n…",
		"…\ndeploy   web-3  held\n…":                            "…\ndeploy   web-3  behind\n…",
		"read     #2\nbalance  …\nbalance  …\nbalance  …\n…\nx": "read     #1..#13\nbalance  …\nbalance  …\nbalance  …\n…",
	} {
		result, err := runPrepared(t, tick+expected+"\n")
		require.NoError(t, err)
		require.Len(t, result.Failures, 1, expected)
		require.Equal(t, "include setup.txt\n"+tick+want+"\n", result.Text)
	}
}

func TestUpdateOfLongOutputKeepsWildcards(t *testing.T) {
	const report = "\nreport\n00:00:05 web-[101-300] joins\n----\n…\n\nlog\n----\n"
	result, err := runPrepared(t, report+"x\n")
	require.NoError(t, err)
	lines := strings.Split(result.Text, "\n")
	lines[200] = lines[200][:14] + "…"
	want := strings.Join(lines, "\n")
	lines[100], lines[300] = "00:00:05 #1 Other", "00:00:05 #2 Other"
	_, changed, _ := strings.Cut(strings.Join(lines, "\n"), report)
	result, err = runPrepared(t, report+changed)
	require.NoError(t, err)
	require.Equal(t, want, result.Text)
}
