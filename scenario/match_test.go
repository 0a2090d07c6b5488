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

func TestManyGapsAreComparedInBoundedTime(t *testing.T) {
	const lines = 3000
	log := "log\n----\n" + strings.Repeat("…\n…a…a…a…\n", lines) + "…\n"
	result, err := runPrepared(t, "\nreport\n00:00:05 a-[001..900] joins\n----\n…\n\n"+log)
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
}
