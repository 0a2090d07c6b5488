package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPageHasMarkersOfEveryRow(t *testing.T) {
	text, err := os.ReadFile("../docs/performance/measurements.md")
	require.NoError(t, err)
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, text, 0o600))
	for _, r := range rows {
		require.NoError(t, writeResult(page, r.name, "found: "+r.name))
		require.NoError(t, writeResult(page, r.name, "found again: "+r.name), "a new measurement replaces the previous one")
	}
	after, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, r := range rows {
		require.Equal(t, 1, strings.Count(string(after), "found again: "+r.name+"\n"))
		require.NotContains(t, string(after), "found: "+r.name+"\n")
	}
	require.Equal(t, strings.Split(string(text), "<!--")[0], strings.Split(string(after), "<!--")[0],
		"text outside the markers must not change")
}

func TestMissingPageIsCreated(t *testing.T) {
	page := filepath.Join(t.TempDir(), "performance.md")
	require.NoError(t, writeResult(page, "burst", "found"))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "## burst: ")
	require.Contains(t, string(text), "found\n")
}

func TestFigureEqualToItsBudgetMeetsIt(t *testing.T) {
	table := comparedWith("baseline")
	table.figure("below", "%.0f", 100, 50, 100)
	table.figure("above", "%.0f", 101, 0, 100)
	table.atLeast("too slow", "%.1f", 0.8, 0.9)
	require.Equal(t, []string{"below", "100", "50", "2.0", "≤ 100", "yes"}, table.rows[0])
	require.Equal(t, []string{"above", "101", "–", "–", "≤ 100", "**no**"}, table.rows[1])
	require.Equal(t, "**no**", table.rows[2][5])
}

func TestGoBenchmarksAreParsed(t *testing.T) {
	found := map[string]float64{}
	readBenchmarks([]byte(
		"goos: linux\nBenchmarkMemory/machines=10/triggers=1-2 \t 1 \t 52 ns/op\t 1834.5 "+
			"B/machine\nBenchmarkEphemeral \t 1\t 9 ns/op\t -7 B/join\nPASS\n"), found)
	require.Equal(t, map[string]float64{"BenchmarkMemory/machines=10/triggers=1 ns/op": 52,
		"BenchmarkMemory/machines=10/triggers=1 B/machine": 1834.5,
		"BenchmarkEphemeral ns/op":                         9, "BenchmarkEphemeral B/join": -7}, found)
}
