package journal_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
)

func open(t *testing.T, data string) (*journal.Journal, []journal.Entry) {
	t.Helper()
	j, entries, err := journal.Open(data)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j, entries
}

// reopen is a restart of the agent.
func reopen(t *testing.T, j *journal.Journal, data string) (*journal.Journal, []journal.Entry) {
	t.Helper()
	require.NoError(t, j.Close())
	return open(t, data)
}

func TestAnIdentityIsMadeOnceAndForTheAgentAlone(t *testing.T) {
	data := filepath.Join(t.TempDir(), "made", "by", "the", "agent")
	j, _ := open(t, data)
	first := j.Identity()
	require.Len(t, first.Secret, 64)
	info, err := os.Stat(filepath.Join(data, "identity.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	j, _ = reopen(t, j, data)
	require.Equal(t, first, j.Identity())
	other, _ := open(t, t.TempDir())
	require.NotEqual(t, first, other.Identity())
}

func TestAnEntrySurvivesARestartUntilItIsForgotten(t *testing.T) {
	data := t.TempDir()
	j, none := open(t, data)
	require.Empty(t, none)
	entry := journal.Entry{Deployment: "d-1", Project: "shop", State: journal.Claiming, Since: time.Now().UTC()}
	require.NoError(t, j.Put(entry))
	j, left := reopen(t, j, data)
	require.Equal(t, []journal.Entry{entry}, left)

	entry.State, entry.Step, entry.Group = journal.Running, "install", &run.Group{ID: 7, Start: 8, Boot: "b"}
	require.NoError(t, j.Put(entry))
	j, left = reopen(t, j, data)
	require.Equal(t, []journal.Entry{entry}, left)
	require.NoError(t, os.WriteFile(j.OutputFile("d-1"), nil, 0o600))

	require.NoError(t, j.Forget("d-1"))
	require.NoError(t, j.Forget("d-1"), "to forget twice is no error")
	require.NoDirExists(t, j.PartFolder("d-1"))
	_, left = reopen(t, j, data)
	require.Empty(t, left)
}

func TestWhatACrashLeftOfFilesThatWereBeingWrittenIsRemoved(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	half := filepath.Join(data, "journal", ".new-123")
	require.NoError(t, os.WriteFile(half, []byte(`{"dep`), 0o600))
	require.NoError(t, os.MkdirAll(j.PartFolder("forgotten"), 0o700))
	_, left := reopen(t, j, data)
	require.Empty(t, left)
	require.NoFileExists(t, half)
	require.NoDirExists(t, j.PartFolder("forgotten"))
}

func TestNoDeploymentIDLeadsOutOfTheDataFolder(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, filepath.Join(data, "agent"))
	for _, id := range []string{"", ".", "..", "../../x", "/etc/x", "a/b", "a\x00", strings.Repeat("x", 300)} {
		require.ErrorContains(t, j.Put(journal.Entry{Deployment: id, State: journal.Claiming}), "cannot be the name of a file")
		require.NoError(t, j.Forget(id))
	}
	files, err := os.ReadDir(data)
	require.NoError(t, err)
	require.Len(t, files, 1)
}

func TestAJournalThatCannotBeReadIsSaidSoWithAHint(t *testing.T) {
	for name, c := range map[string]struct{ file, content, sentence string }{
		"a torn entry":        {"journal/d-1.json", `{"format": 1, "dep`, "see that nothing of that deployment is running, then remove the file"},
		"no entry at all":     {"journal/d-1.json", `{"format": 1}`, "is no entry of a journal"},
		"an entry of another": {"journal/d-1.json", `{"format": 1, "deployment": "d-2", "state": "running"}`, "is no entry of a journal"},
		"ended without an end": {"journal/d-1.json", `{"format": 1, "deployment": "d-1", "state": "ended"}`,
			"is no entry of a journal"},
		"of a newer drover": {"journal/d-1.json", `{"format": 2}`, "has format 2 and this drover knows format 1; use the drover that wrote it"},
		"a torn identity":   {"identity.json", `{`, "restore it, or remove it to join as a new instance"},
		"an empty identity": {"identity.json", `{"format": 1}`, "holds no instance and secret"},
		"a torn memory":     {"memory.json", `[]`, "remove it, and the agent begins to remember anew"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			j, _ := open(t, data)
			require.NoError(t, j.Close())
			path := filepath.Join(data, c.file)
			require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
			for range 2 { // the first refusal gives the folder free
				_, _, err := journal.Open(data)
				require.ErrorContains(t, err, path)
				require.ErrorContains(t, err, c.sentence)
			}
		})
	}
}

func TestAnIdentityThatOthersCanReadIsRefused(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	require.NoError(t, j.Close())
	path := filepath.Join(data, "identity.json")
	require.NoError(t, os.Chmod(path, 0o640))
	_, _, err := journal.Open(data)
	require.EqualError(t, err, path+" holds this machine's secret and can be used by others (mode 0640); run: chmod 600 "+path)
}

func TestTwoAgentsCannotUseOneDataFolder(t *testing.T) {
	data := t.TempDir()
	open(t, data)
	_, _, err := journal.Open(data)
	var inUse *journal.InUse
	require.ErrorAs(t, err, &inUse)
	require.Contains(t, err.Error(), "already uses "+data+"; give each agent a data folder of its own")
}

// holdEnv makes the test binary hold the data folder that it names, as an agent would.
const holdEnv = "JOURNAL_TEST_HOLD"

func TestMain(m *testing.M) {
	if data := os.Getenv(holdEnv); data != "" {
		if _, _, err := journal.Open(data); err == nil {
			_, _ = os.Stdout.WriteString("held\n")
		}
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAnAgentThatWasKilledDoesNotKeepItsDataFolderLocked(t *testing.T) {
	data := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), holdEnv+"="+data)
	_, err := other.StdinPipe()
	require.NoError(t, err)
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", line)
	_, _, err = journal.Open(data)
	require.ErrorAs(t, err, new(*journal.InUse))

	require.NoError(t, other.Process.Signal(syscall.SIGKILL))
	_ = other.Wait()
	open(t, data)
}

func TestTheMemoryOfALogSurvivesARestartAndNeverGoesBack(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	require.Nil(t, j.Memory())
	require.NoError(t, j.RememberLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))
	require.NoError(t, j.RememberEvent(client.Told{Log: "log-1", Revision: 4, Event: "e4"}))
	require.NoError(t, j.RememberEvent(client.Told{Log: "log-1", Revision: 3, Event: "e3"}))
	require.NoError(t, j.RememberEvent(client.Told{Log: "another", Revision: 9, Event: "e9"}))
	require.NoError(t, j.RememberSuccess("shop", client.Ended{Deployment: "d-1", Event: "s1"}))
	require.NoError(t, j.RememberLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))

	j, _ = reopen(t, j, data)
	want := &client.Memory{Log: "log-1", Made: "made-1", Machine: "web-01", Revision: 4, Event: "e4", Successes: map[string]string{"shop": "s1"}, Deployments: map[string]string{"shop": "d-1"}}
	require.Equal(t, want, j.Memory())

	require.NoError(t, j.RememberLog(client.Welcome{Log: "log-2", Made: "made-1"}, "web-01"))
	require.Equal(t, &client.Memory{Log: "log-2", Made: "made-1", Machine: "web-01", Revision: -1}, j.Memory())
	require.NoError(t, j.RememberEvent(client.Told{Log: "log-2", Revision: 0, Event: "f0"}))
	require.Equal(t, "f0", j.Memory().Event)
}

func TestADataFolderFromTheImageOfAnotherMachineRemembersNothing(t *testing.T) {
	j, _ := open(t, t.TempDir())
	require.NoError(t, j.RememberLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))
	require.NoError(t, j.RememberEvent(client.Told{Log: "log-1", Revision: 4, Event: "e4"}))
	require.NoError(t, j.RememberSuccess("shop", client.Ended{Deployment: "d-1", Event: "s1"}))
	require.NoError(t, j.RememberRun("shop", client.End{Deployment: "d-1", State: "succeeded"}))

	require.NoError(t, j.RememberLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-02"))
	require.Equal(t, &client.Memory{Log: "log-1", Made: "made-1", Machine: "web-02", Revision: -1}, j.Memory())
	_, _, ran := j.Run("d-1")
	require.False(t, ran, "web-01 ran that, not this machine")
}

func TestAFullDiskIsAnErrorAndChangesNothing(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	require.NoError(t, j.Put(journal.Entry{Deployment: "d-1", Project: "shop", State: journal.Claiming}))
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20, Max: was.Max}))
	running := j.Put(journal.Entry{Deployment: "d-1", Project: "shop", State: journal.Running})
	remembered := j.RememberLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01")
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))

	require.ErrorContains(t, running, "write the journal: ")
	require.ErrorContains(t, remembered, "remember the log: ")
	require.Nil(t, j.Memory())
	_, left := reopen(t, j, data)
	require.Len(t, left, 1)
	require.Equal(t, journal.Claiming, left[0].State)
}
