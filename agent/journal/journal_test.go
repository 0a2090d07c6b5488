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

// reopen closes and opens the journal, as a restart of the agent does.
func reopen(t *testing.T, j *journal.Journal, data string) (*journal.Journal, []journal.Entry) {
	t.Helper()
	require.NoError(t, j.Close())
	return open(t, data)
}

func TestIdentityIsCreatedOnceAndReadableOnlyByItsOwner(t *testing.T) {
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

func TestEntrySurvivesRestartsUntilItIsForgotten(t *testing.T) {
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
	require.NoError(t, j.Forget("d-1"), "forgetting twice is not an error")
	require.NoDirExists(t, j.PartFolder("d-1"))
	_, left = reopen(t, j, data)
	require.Empty(t, left)
}

func TestOpenRemovesFilesLeftByACrash(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	incomplete := filepath.Join(data, "journal", ".new-123")
	require.NoError(t, os.WriteFile(incomplete, []byte(`{"dep`), 0o600))
	require.NoError(t, os.MkdirAll(j.PartFolder("0192a0b0-7c4e-7e9a-8f1b-000000000001"), 0o700))
	_, left := reopen(t, j, data)
	require.Empty(t, left)
	require.NoFileExists(t, incomplete)
	require.NoDirExists(t, j.PartFolder("0192a0b0-7c4e-7e9a-8f1b-000000000001"))
}

func TestDeploymentIDCannotEscapeTheDataFolder(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, filepath.Join(data, "agent"))
	for _, id := range []string{"", ".", "..", "../../x", "/etc/x", "a/b", "a\x00", strings.Repeat("x", 300)} {
		require.ErrorContains(t, j.Put(journal.Entry{Deployment: id, State: journal.Claiming}), "is not a valid file name")
		require.NoError(t, j.Forget(id))
	}
	files, err := os.ReadDir(data)
	require.NoError(t, err)
	require.Len(t, files, 1)
}

func TestDamagedFilesAreReportedWithAHint(t *testing.T) {
	for name, c := range map[string]struct{ file, content, message string }{
		"an incomplete entry": {"journal/d-1.json", `{"format": 1, "dep`,
			"make sure that no process of that deployment is running, then remove the file"},
		"no entry at all": {"journal/d-1.json", `{"format": 1}`, "is not a valid journal entry"},
		"an entry of another deployment": {"journal/d-1.json", `{"format": 1, "deployment": "d-2", "state": "running"}`,
			"is not a valid journal entry"},
		"an ended entry without a result": {"journal/d-1.json", `{"format": 1, "deployment": "d-1", "state": "ended"}`,
			"is not a valid journal entry"},
		"an entry of a newer version": {"journal/d-1.json", `{"format": 2}`,
			"has format 2, but this version of drover supports only format 1; use the version that wrote it"},
		"an incomplete identity": {"identity.json", `{`, "restore it from a backup, or remove it and start the agent"},
		"an emptied identity":    {"identity.json", ``, "restore it from a backup, or remove it and start the agent"},
		"an empty identity":      {"identity.json", `{"format": 1}`, "does not contain a valid instance and secret"},
		"an identity of a newer version": {"identity.json", `{"format": 2}`,
			"has format 2, but this version of drover supports only format 1; use the version that wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			j, _ := open(t, data)
			require.NoError(t, j.Close())
			path := filepath.Join(data, c.file)
			require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
			for range 2 { // the first error unlocks the folder
				_, _, err := journal.Open(data)
				require.ErrorContains(t, err, path)
				require.ErrorContains(t, err, c.message)
			}
		})
	}
}

func TestIdentityReadableByOtherUsersIsRefused(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	require.NoError(t, j.Close())
	path := filepath.Join(data, "identity.json")
	require.NoError(t, os.Chmod(path, 0o640))
	_, _, err := journal.Open(data)
	require.EqualError(t, err,
		path+" contains this machine's secret and is accessible to other users (mode 0640); run: chmod 600 "+path)
}

func TestTwoAgentsCannotUseOneDataFolder(t *testing.T) {
	data := t.TempDir()
	open(t, data)
	_, _, err := journal.Open(data)
	var inUse *journal.InUse
	require.ErrorAs(t, err, &inUse)
	require.Contains(t, err.Error(), "already uses "+data+"; give each agent its own data folder")
}

// holdEnv makes the test binary lock the data folder that the variable names, as an agent does.
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

func TestLockOfAKilledAgentIsReleased(t *testing.T) {
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

func TestMemorySurvivesRestartsAndIgnoresOlderEvents(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	require.Nil(t, j.Memory())
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))
	require.NoError(t, j.RecordEvent(client.NewestEvent{Log: "log-1", Revision: 4, Event: "e4"}))
	require.NoError(t, j.RecordEvent(client.NewestEvent{Log: "log-1", Revision: 3, Event: "e3"}))
	require.NoError(t, j.RecordEvent(client.NewestEvent{Log: "another", Revision: 9, Event: "e9"}))
	require.NoError(t, j.RecordSuccess("shop", client.Ended{Deployment: "d-1", Event: "s1"}))
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))

	j, _ = reopen(t, j, data)
	want := &client.Memory{
		Log:         "log-1",
		Made:        "made-1",
		Machine:     "web-01",
		Revision:    4,
		Event:       "e4",
		Successes:   map[string]string{"shop": "s1"},
		Deployments: map[string]string{"shop": "d-1"},
	}
	require.Equal(t, want, j.Memory())

	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-2", Made: "made-1"}, "web-01"))
	want = &client.Memory{Log: "log-2", Made: "made-1", Machine: "web-01", Revision: -1,
		Earlier: map[string]string{"shop": "s1"}, EarlierDeployments: map[string]string{"shop": "d-1"}}
	require.Equal(t, want, j.Memory())
	require.NoError(t, j.RecordEvent(client.NewestEvent{Log: "log-2", Revision: 0, Event: "f0"}))
	require.Equal(t, "f0", j.Memory().Event)

	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-3", Made: "made-1"}, "web-01"))
	require.Equal(t, want.Earlier, j.Memory().Earlier, "a second restore without a success in between")
	require.NoError(t, j.RecordSuccess("shop", client.Ended{Deployment: "d-2", Event: "s2"}))
	j, _ = reopen(t, j, data)
	require.Empty(t, j.Memory().Earlier, "the newer success replaces it")
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-4", Made: "made-2"}, "web-01"))
	require.Empty(t, j.Memory().Earlier, "the log of another cluster")
}

func TestMemoryOfAnotherMachineIsDiscarded(t *testing.T) {
	j, _ := open(t, t.TempDir())
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01"))
	require.NoError(t, j.RecordEvent(client.NewestEvent{Log: "log-1", Revision: 4, Event: "e4"}))
	require.NoError(t, j.RecordSuccess("shop", client.Ended{Deployment: "d-1", Event: "s1"}))
	require.NoError(t, j.RecordRun("shop", client.End{Deployment: "d-1", State: "succeeded"}))

	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-02"))
	require.Equal(t, &client.Memory{Log: "log-1", Made: "made-1", Machine: "web-02", Revision: -1}, j.Memory())
	_, _, ran := j.PreviousRun("d-1")
	require.False(t, ran, "web-01 ran it, not this machine")
}

// fullDiskEnv makes TestWriteToAFullDiskReturnsAnErrorAndChangesNothing limit the size of files in this process.
const fullDiskEnv = "JOURNAL_TEST_FULL_DISK"

func TestWriteToAFullDiskReturnsAnErrorAndChangesNothing(t *testing.T) {
	if os.Getenv(fullDiskEnv) == "" { // in a separate process, because go test writes files of this one
		test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		test.Env = append(os.Environ(), fullDiskEnv+"=yes")
		out, err := test.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	data := t.TempDir()
	j, _ := open(t, data)
	require.NoError(t, j.Put(journal.Entry{Deployment: "d-1", Project: "shop", State: journal.Claiming}))
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20, Max: was.Max}))
	running := j.Put(journal.Entry{Deployment: "d-1", Project: "shop", State: journal.Running})
	recorded := j.RecordLog(client.Welcome{Log: "log-1", Made: "made-1"}, "web-01")
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))

	require.ErrorContains(t, running, "write the journal: ")
	require.ErrorContains(t, recorded, "write the agent's memory: ")
	require.Nil(t, j.Memory())
	_, left := reopen(t, j, data)
	require.Len(t, left, 1)
	require.Equal(t, journal.Claiming, left[0].State)
}
