package scenario_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/scenario"
)

var rewrite = flag.Bool("rewrite", false, "write the output of the blocks to the scenario files")

const folder = "../testdata"

// files returns the scenario files of the project.
func files(t testing.TB) []string {
	names, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

func TestScenariosHaveTheirExpectedOutput(t *testing.T) {
	for _, file := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			result, err := scenario.Run(context.Background(), filepath.Base(file), string(text),
				scenario.Options{Folder: folder, Replay: true})
			require.NoError(t, err)
			if *rewrite && result.Text != string(text) {
				require.NoError(t, os.WriteFile(file, []byte(result.Text), 0o644))
				return
			}
			for _, failure := range result.Failures {
				t.Error(failure)
			}
			require.Equal(t, result.Text, string(text), "the file does not have the form that -rewrite writes")
			asUser, err := scenario.Run(context.Background(), filepath.Base(file), string(text), scenario.Options{Folder: folder})
			require.NoError(t, err)
			require.Equal(t, result.Text, asUser.Text, "`drover test` gives the same output as this test")
		})
	}
}
