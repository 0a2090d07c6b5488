package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var tryBreaks = flag.Bool("breaks", false, "try every defect of testdata/breaks.txt; each builds drover once")

// sabotage is one deliberate defect of testdata/breaks.txt.
type sabotage struct {
	what, test string
	changes    []change
}

// change replaces one line of a file.
type change struct{ file, old, new string }

// readBreaks parses testdata/breaks.txt, which describes its own format.
func readBreaks(t *testing.T) (all []sabotage) {
	t.Helper()
	text, err := os.ReadFile("testdata/breaks.txt")
	require.NoError(t, err)
	file := ""
	for n, line := range strings.Split(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "", "#":
		case "break":
			all = append(all, sabotage{what: rest})
		case "test":
			all[len(all)-1].test = rest
		case "file":
			file = rest
		case "-":
			last := &all[len(all)-1]
			last.changes = append(last.changes, change{file: file, old: rest})
		case "+":
			last := &all[len(all)-1]
			last.changes[len(last.changes)-1].new = rest
		default:
			t.Fatalf("testdata/breaks.txt:%d: %q", n+1, line)
		}
	}
	return all
}

// apply writes the changed files to a temporary folder, and returns a compiler overlay that replaces the real files.
func (s sabotage) apply(t *testing.T) (overlay string) {
	t.Helper()
	folder, texts, replace := t.TempDir(), map[string]string{}, map[string]string{}
	for _, c := range s.changes {
		real, err := filepath.Abs(filepath.Join("../..", c.file))
		require.NoError(t, err)
		if texts[real] == "" {
			text, err := os.ReadFile(real)
			require.NoError(t, err)
			texts[real] = string(text)
		}
		lines := strings.Split(texts[real], "\n")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.TrimSpace(line) == c.old })
		require.GreaterOrEqual(t, at, 0, "%s no longer has the line %q", c.file, c.old)
		lines[at] = c.new
		texts[real] = strings.Join(lines, "\n")
	}
	for real, text := range texts {
		broken := filepath.Join(folder, fmt.Sprint(len(replace))+".go")
		require.NoError(t, os.WriteFile(broken, []byte(text), 0o600))
		replace[real] = broken
	}
	table, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay = filepath.Join(folder, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, table, 0o600))
	return overlay
}

// The defects are the negative controls of this package, because a simulation that passes proves nothing by itself.
func TestBreaksAreDetected(t *testing.T) {
	all := readBreaks(t)
	require.NotEmpty(t, all)
	for _, s := range all {
		t.Run(s.what, func(t *testing.T) {
			overlay := s.apply(t)
			if !*tryBreaks {
				return // the lines exist; -breaks also tests their effect
			}
			run := exec.Command("go", "test", "-overlay", overlay, "-run", s.test, "-count=1", "-rapid.checks=2000",
				"-rapid.shrinktime=1s", "-timeout=5m", ".")
			output, err := run.CombinedOutput()
			require.Error(t, err, "the simulation did not detect it")
			require.NotContains(t, string(output), "build failed", "%s", output)
			for line := range strings.SplitSeq(string(output), "\n") {
				if strings.Contains(line, "[rapid] failed") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
