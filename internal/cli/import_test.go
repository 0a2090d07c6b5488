package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// killedImport imports archive into a log at path and kills the import. It reports whether the import was incomplete.
func (s *fixture) killedImport(archive, path string) (ok bool) {
	ctx := context.Background()
	importing := s.process("eventlog", "import", archive, "--log", "sqlite:"+path)
	for begun := false; !begun; {
		select {
		case <-importing.Ended():
			return false
		default:
			info, err := os.Stat(path + "-wal") // it grows with each append
			begun = err == nil && info.Size() > 200<<10
		}
	}
	importing.Kill() // it may have ended before
	log, err := sqlite.Open(ctx, path, sqlite.Config{})
	require.NoError(s.t, err)
	defer log.Close()
	head, err := log.Head(ctx)
	require.NoError(s.t, err)
	return head > 0 && eventlog.CheckNotImporting(ctx, log) != nil
}

func TestInterruptedImportBlocksServersAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	source := newFixture(t)
	source.server()
	var many strings.Builder
	for n := range 1500 {
		fmt.Fprintf(&many, "---\napiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: e-%d}\n", n)
	}
	file := filepath.Join(source.Folder, "many.yaml")
	require.NoError(t, os.WriteFile(file, []byte(many.String()), 0o600))
	source.ok("apply", "-f", file)
	archive := filepath.Join(source.Folder, "log.jsonl")
	source.ok("eventlog", "export", archive)

	path := ""
	for try := 0; path == ""; try++ {
		require.Less(t, try, 20, "every import ended before it was killed")
		if to := filepath.Join(s.Folder, fmt.Sprint("try-", try), "drover.db"); s.killedImport(archive, to) {
			path = to
		}
	}
	log := "sqlite:" + path
	for _, command := range [][]string{{"server", "--log", log}, {"token", "create", "--log", log}} {
		_, words, code := s.run(command...)
		require.Equal(t, 1, code, words)
		require.Contains(t, words, "an import into this log is not finished")
		require.Contains(t, words, "run the same `drover eventlog import` again")
	}
	_, words, code := s.run("eventlog", "import", archive, "--log", log)
	require.Zero(t, code, words)
	require.NotContains(t, words, "imported 0 events")
	copied := filepath.Join(s.Folder, "again.jsonl")
	s.ok("eventlog", "export", copied, "--log", log)
	want, err := os.ReadFile(archive)
	require.NoError(t, err)
	got, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "all events, in order, without duplicates")
	s.process("server", "--log", log)
	require.Contains(t, s.ok("get", "environment", "e-1499", "--token", source.contexts().List[0].Token), "e-1499")
}
