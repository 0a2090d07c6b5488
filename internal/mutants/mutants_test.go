package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/sample.txt")

// TestSampleHasTheListedMutants finds, builds and tests all mutants of a small package. testdata/sample.txt lists them
// with their outcome.
func TestSampleHasTheListedMutants(t *testing.T) {
	source, err := load(t.Context(), "testdata/sample", []string{"."})
	require.NoError(t, err)
	built, err := build(t.Context(), source, t.TempDir(), []suite{{path: "."}})
	require.NoError(t, err)
	require.NoError(t, built.measure(t.Context()))
	var got bytes.Buffer
	for _, r := range built.test(t.Context(), source.mutants(), 2) {
		require.False(t, r.invalid, "%s does not compile", r.mutant)
		fmt.Fprintf(&got, "%s: %s\n", r.mutant, r.outcome())
	}
	if *rewrite {
		require.NoError(t, os.WriteFile("testdata/sample.txt", got.Bytes(), 0o600))
	}
	want, err := os.ReadFile("testdata/sample.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

func TestAcceptedMutantThatNoLongerExistsIsReported(t *testing.T) {
	accepted := map[string]string{"p/a.go f: `x` removed": "so", "p/a.go f: `y` removed": "so", "q/a.go f: `z` removed": "so"}
	mutants := []*mutant{{file: "p/a.go", line: 7, function: "f", before: "x", change: "removed"}}
	require.Equal(t, []string{"p/a.go f: `y` removed"}, outdated(accepted, mutants), "package q is not part of the run")
	require.Empty(t, outdated(accepted, nil))
}

func TestAcceptedMutantsHaveReasons(t *testing.T) {
	accepted, err := readAccepted(acceptedText)
	require.NoError(t, err)
	require.NotEmpty(t, accepted)
}

func TestAcceptedMutantNeedsReason(t *testing.T) {
	accepted, err := readAccepted("# a comment\n\na.go f: `x` removed\n    It only\n    saves time.\n")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a.go f: `x` removed": "It only saves time."}, accepted)
	for _, text := range []string{"a.go f: `x` removed\nb.go g: `y` removed\n    so\n", "    no mutant\n", "a.go f: `x` removed\n",
		"a.go f: `x` removed\n    so\na.go f: `x` removed\n    so\n"} {
		_, err := readAccepted(text)
		require.ErrorContains(t, err, "accepted.txt", "%q", text)
	}
}

func TestReportFailsOnlyForUnexpectedSurvivors(t *testing.T) {
	results := []result{
		{mutant: &mutant{file: "p/a.go", line: 1, function: "f", before: "x", change: "removed"}, killedBy: "p", reached: true},
		{mutant: &mutant{file: "p/a.go", line: 2, function: "f", before: "y", change: "removed"}, reached: true},
		{mutant: &mutant{file: "p/a.go", line: 3, function: "f", before: "z", change: "removed", invalid: true}},
	}
	var out bytes.Buffer
	require.ErrorContains(t, report(&out, results, nil, time.Second), "1 mutants survived")
	require.Contains(t, out.String(), "| p | 2 | 1 | 0 | 1 | 1 |")
	require.Contains(t, out.String(), "p/a.go:2 f: `y` removed: survived\n")
	out.Reset()
	require.NoError(t, report(&out, results, map[string]string{"p/a.go f: `y` removed": "It only saves time."}, time.Second))
	require.Contains(t, out.String(), "| p | 2 | 1 | 1 | 0 | 1 |")
}

func TestLimitSelectsTheSameMutantsForTheSameSeed(t *testing.T) {
	var all []*mutant
	for i := range 50 {
		all = append(all, &mutant{id: i + 1, file: "p/a.go", line: i})
	}
	first, err := choose(all, options{limit: 5, seed: 7})
	require.NoError(t, err)
	require.Len(t, first, 5)
	again, err := choose(all, options{limit: 5, seed: 7})
	require.NoError(t, err)
	require.Equal(t, first, again)
	other, err := choose(all, options{limit: 5, seed: 8})
	require.NoError(t, err)
	require.NotEqual(t, first, other)
	_, err = choose(all, options{match: "("})
	require.ErrorContains(t, err, "invalid -match")
}

func TestTimeOfATestExcludesItsProcess(t *testing.T) {
	output := "=== RUN   TestA\n    --- PASS: TestA/b_c (0.25s)\n--- PASS: TestA (1.50s)\n--- PASS: TestAB (0.00s)\nPASS\n"
	require.Equal(t, 1500*time.Millisecond, took(output, "TestA", time.Minute))
	require.Equal(t, 250*time.Millisecond, took(output, "TestA/b_c", time.Minute))
	require.Equal(t, time.Millisecond, took(output, "TestAB", time.Minute))
	require.Equal(t, time.Minute, took(output, "", time.Minute), "a whole suite")
}
