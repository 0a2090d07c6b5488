package cli_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
	"github.com/droverhq/drover/explain"
)

// savedLogs contains a folder for each format of the log: drover.db as written by that version, its archive log.jsonl,
// and why.json with the explanations for each machine at the end.
const savedLogs = "../../testdata/logs"

var save = flag.String("save", "", "create a folder of this name in testdata/logs with the current version of drover")

// whys returns the explanations for each machine at a position, without their sentences, whose wording may change.
func (s *fixture) whys(at string) (all []explain.Why) {
	s.t.Helper()
	for _, machine := range []string{"web-01", "web-02"} {
		var list explain.List[explain.Why]
		require.NoError(s.t, json.Unmarshal([]byte(s.ok("why", machine, "--at", at, "-o", "json")), &list))
		require.NotEmpty(s.t, list.Items)
		for _, w := range list.Items {
			w.Sentence, w.Consequence, w.History = "", "", nil
			all = append(all, w)
		}
	}
	return all
}

const savedShop = `
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {steps: [{name: install, run: "echo installed"}]}
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: joins}
spec: {project: shop, events: [MachineAvailable], environments: [production]}
`

// savedWhy is the content of why.json.
type savedWhy struct {
	At  string        `json:"at"`
	Why []explain.Why `json:"why"`
}

// TestSaveLog creates a new folder: go test ./internal/cli -run TestSaveLog -save sqlite-2.
func TestSaveLog(t *testing.T) {
	if *save == "" {
		t.Skip("-save is not set")
	}
	s := newFixture(t)
	s.server()
	file := filepath.Join(s.Folder, "shop.yaml")
	require.NoError(t, os.WriteFile(file, []byte(savedShop), 0o600))
	s.ok("apply", "-f", file)
	s.ok("release", "create", "shop", "1.0")
	s.ok("deploy", "shop", "1.0", "--to", "production", "--wait", "--allow-empty", "--timeout", "60s")
	s.agent("web-01")
	s.eventually("web-01 has 1.0", func() bool { return s.has("web-01", "1.0") })
	s.agent("web-02")
	s.eventually("web-02 has 1.0", func() bool { return s.has("web-02", "1.0") })
	s.ok("release", "create", "shop", "1.1")
	s.ok("hold", "web-02", "--project", "shop", "--reason", "somebody looks at it")
	s.ok("deploy", "shop", "1.1", "--to", "production", "--wait", "--timeout", "60s")
	s.ok("pin", "shop", "1.1", "--in", "production", "--for", "1h")
	s.ok("unpin", "shop", "--in", "production")
	s.ok("machine", "disable", "web-01")
	s.ok("machine", "enable", "web-01")
	folder, err := filepath.Abs(filepath.Join(savedLogs, *save))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	s.ok("eventlog", "backup", filepath.Join(folder, "drover.db"))
	s.ok("eventlog", "export", filepath.Join(folder, "log.jsonl"), "--log",
		"sqlite:"+filepath.Join(folder, "drover.db"))
	require.NoError(t, os.Remove(filepath.Join(folder, "drover.db.ephemera")))
	head := strings.TrimPrefix(strings.Fields(s.ok("eventlog", "verify", "--log",
		"sqlite:"+filepath.Join(folder, "drover.db")))[3], "#")
	require.NoError(t, os.Remove(filepath.Join(folder, "drover.db.ephemera")))
	text, err := json.MarshalIndent(savedWhy{At: head, Why: s.whys(head)}, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "why.json"), append(text, '\n'), 0o600))
}

func TestLogsOfAllFormatsAreReadAndContinued(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join(savedLogs, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		folder, err := filepath.Abs(folder)
		require.NoError(t, err)
		var saved savedWhy
		text, err := os.ReadFile(filepath.Join(folder, "why.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &saved))
		for way, fill := range map[string]func(s *fixture){
			"from the file": func(s *fixture) {
				content, err := os.ReadFile(filepath.Join(folder, "drover.db"))
				require.NoError(s.t, err)
				require.NoError(s.t, os.MkdirAll(s.data, 0o700))
				require.NoError(s.t, os.WriteFile(filepath.Join(s.data, "drover.db"), content, 0o600))
				s.ok("eventlog", "verify", "--log", "sqlite:"+filepath.Join(s.data, "drover.db"))
			},
			"from the archive": func(s *fixture) {
				s.ok("eventlog", "import", filepath.Join(folder, "log.jsonl"), "--log",
					"sqlite:"+filepath.Join(s.data, "drover.db"))
			},
		} {
			t.Run(filepath.Base(folder)+" "+way, func(t *testing.T) {
				s := newFixture(t)
				fill(s)
				s.continues(saved)
			})
		}
	}
}

// continues starts a server on a saved log and requires that it decides.
func (s *fixture) continues(saved savedWhy) {
	s.t.Helper()
	s.server()
	require.Equal(s.t, saved.Why, s.whys(saved.At), "the explanations are the same as in that version")
	s.ok("eventlog", "verify")
	s.agent("web-03")
	s.eventually("a new machine gets the release that the old log wants", func() bool { return s.has("web-03", "1.1") })
	s.ok("release", "create", "shop", "1.2")
}

func TestLogOfNewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	path := filepath.Join(s.Folder, "newer.db")
	log, err := sqlite.Open(context.Background(), path, sqlite.Config{})
	require.NoError(t, err)
	var archive strings.Builder
	_, err = eventlog.Export(context.Background(), log, &archive, nil)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	content[63]++ // the last byte of user_version
	require.NoError(t, os.WriteFile(path, content, 0o600))
	newer := filepath.Join(s.Folder, "newer.jsonl")
	require.NoError(t, os.WriteFile(newer, []byte(strings.Replace(archive.String(), `"archive":1`, `"archive":2`, 1)),
		0o600))
	for _, c := range []struct {
		words   string
		command []string
	}{
		{"unsupported file format 2 (this drover supports formats up to 1); use a newer drover",
			[]string{"server", "--log", "sqlite:" + path}},
		{"unsupported file format 2 (this drover supports formats up to 1); use a newer drover",
			[]string{"eventlog", "verify", "--log", "sqlite:" + path}},
		{"unsupported archive version 2 (this drover reads version 1); use a newer drover",
			[]string{"eventlog", "import", newer, "--log", "sqlite:" + filepath.Join(s.Folder, "new.db")}},
	} {
		_, words, code := s.run(c.command...)
		require.Equal(t, 1, code)
		require.Contains(t, words, c.words)
	}
	require.NoFileExists(t, filepath.Join(s.Folder, "new.db"))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, after, "the file is unchanged")
}
