package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
)

// memoryFile returns the path of a memory file whose journal is closed, and its content.
func memoryFile(t *testing.T) (path, content string) {
	t.Helper()
	data := t.TempDir()
	j, _ := open(t, data)
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))
	require.NoError(t, j.RecordEvent(client.NewestEvent{Log: "log-1", Revision: 4, Event: "e4"}))
	require.NoError(t, j.RecordRun("shop", client.End{Deployment: "d-1", State: "succeeded"}))
	require.NoError(t, j.Close())
	path = filepath.Join(data, "memory.json")
	return path, read(t, path)
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func TestDamagedMemoryIsQuarantinedAndReplacedByAnEmptyOne(t *testing.T) {
	path, good := memoryFile(t)
	for name, c := range map[string]struct{ content, reason string }{
		"empty":             {"", "unexpected end of JSON input"},
		"truncated":         {good[:len(good)/2], "unexpected end of JSON input"},
		"another event":     {strings.Replace(good, `"e4"`, `"e5"`, 1), "its content does not match its checksum"},
		"not an object":     {"[]", "cannot unmarshal array"},
		"an unknown format": {`{"format": 2}`, "unsupported format 2: this version of drover supports only format 1"},
		"no format":         {"null", "unsupported format 0"},
		"a damaged name":    {`{"format": 1, "log": "log-1", "evemt": "e4"}`, `unknown field "evemt"`},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
			j, _ := open(t, filepath.Dir(path))
			require.Nil(t, j.Memory())
			_, _, ran := j.PreviousRun("d-1")
			require.False(t, ran)
			require.NotNil(t, j.Quarantined())
			require.Equal(t, path, j.Quarantined().File)
			require.ErrorContains(t, j.Quarantined().Err, c.reason)
			require.Equal(t, c.content, read(t, j.Quarantined().Kept))
			require.NoFileExists(t, path)

			require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))
			j, _ = reopen(t, j, filepath.Dir(path))
			require.Nil(t, j.Quarantined(), "it is reported once")
			require.Equal(t, "log-1", j.Memory().Log)
			require.NoError(t, j.Close())
		})
	}
}

func TestOnlyTheLastThreeDamagedMemoriesAreRetained(t *testing.T) {
	path, _ := memoryFile(t)
	other := path + ".damaged-note"
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	for i := range 12 {
		require.NoError(t, os.WriteFile(path, fmt.Append(nil, "damage ", i+1), 0o600))
		j, _ := open(t, filepath.Dir(path))
		require.Equal(t, fmt.Sprintf("%s.damaged-%d", path, i+1), j.Quarantined().Kept)
		require.NoError(t, j.Close())
	}
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{path + ".damaged-10", path + ".damaged-11", path + ".damaged-12", other}, left)
	require.Equal(t, "damage 10", read(t, path+".damaged-10"))
}

func TestMemoryWithoutAChecksumIsReadAndGetsOne(t *testing.T) {
	path, _ := memoryFile(t)
	earlier := `{"format": 1, "log": "log-1", "made": "made-1", "machine": "web-01", "revision": 4, "event": "e4",
		"successes": {"shop": "s1"}, "deployments": {"shop": "d-1"}, "runs": [{"deployment": "d-1", "state": "failed",
		"reason": "step-failed", "exitCode": 2, "step": "install", "detail": "no space", "project": "shop"}]}`
	require.NoError(t, os.WriteFile(path, []byte(earlier), 0o600))
	j, _ := open(t, filepath.Dir(path))
	require.Nil(t, j.Quarantined())
	before := j.Memory()
	require.Equal(t, "e4", before.Event)
	_, _, ran := j.PreviousRun("d-1")
	require.True(t, ran)
	require.Contains(t, read(t, path), `"checksum": "`)

	j, _ = reopen(t, j, filepath.Dir(path))
	require.Nil(t, j.Quarantined())
	require.Equal(t, before, j.Memory())
	_, _, ran = j.PreviousRun("d-1")
	require.True(t, ran)
}

func TestMemoryThatCannotBeReadIsAnError(t *testing.T) {
	path, _ := memoryFile(t)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	_, _, err := journal.Open(filepath.Dir(path))
	require.ErrorContains(t, err, "read "+path)
}

func TestQuarantineReplacesNoOtherFile(t *testing.T) {
	path, _ := memoryFile(t)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Mkdir(path+".damaged-1", 0o700))
	j, _ := open(t, filepath.Dir(path))
	require.Equal(t, path+".damaged-2", j.Quarantined().Kept)
}
