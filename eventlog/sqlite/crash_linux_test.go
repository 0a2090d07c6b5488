package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// TestBackendOnBadDays proves the laws that need a process to die or a disk to fail.
// Its subtests are rows of the table of laws, as those of TestBackend are.
func TestBackendOnBadDays(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Run("an acknowledged event or item survives kill -9 of every writer", testKill)
		t.Run("an acknowledged event or item survives kill -9 at any write or fsync", testKillAtSyscall)
		t.Run("an acknowledged event or item survives a power cut", func(t *testing.T) {
			require.Zero(t, cutPower(t, 0, ""))
		})
		t.Run("an acknowledged event or item survives a power cut after a failed fsync", func(t *testing.T) {
			for _, failing := range []float64{0.05, 0.1, 0.2, 0.3} {
				require.Zero(t, cutPower(t, failing, ""))
			}
		})
		t.Run("an append whose fsync failed is settled by appending it again", testFailedSync)
		t.Run("a full disk refuses appends and loses nothing and writing goes on when there is room", testFullDisk)
		t.Run("a file that may not grow loses nothing and writing goes on when it may", testOutgrown)
		t.Run("a folder that may not be written is named with a hint", testForbidden)
	})
}

// TestWithoutFsyncAPowerCutLosesAcknowledgedEvents is the negative control: it shows that
// the test of power cuts can see a loss, and why synchronous must be FULL.
func TestWithoutFsyncAPowerCutLosesAcknowledgedEvents(t *testing.T) {
	require.Positive(t, cutPower(t, 0, "DROVER_LOG_UNSYNCED=yes"))
}

func integrity(t *testing.T, path string) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	var verdict string
	require.NoError(t, db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict))
	require.Equal(t, "ok", verdict)
}

func testKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	all := told{acks: map[string]string{}}
	random := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		two := []told{{acks: map[string]string{}}, {acks: map[string]string{}}}
		var running []*process
		for i := range two {
			running = append(running, two[i].start(t, nil, "write", path, "DROVER_LOG_TURNS=1000000", fmt.Sprint("DROVER_LOG_NAME=", i)))
		}
		heard := make(chan struct{}, len(running))
		for _, child := range running {
			n := 1 + random.IntN(120)
			go func() {
				child.listen(n)
				heard <- struct{}{}
			}()
		}
		<-heard
		for _, child := range running {
			require.NoError(t, child.command.Process.Kill())
		}
		<-heard
		for i, child := range running {
			_ = child.finish()
			for place, id := range two[i].acks {
				require.NotContains(t, all.acks, place, "two acknowledged events have one place")
				all.acks[place] = id
			}
			for key, sequence := range two[i].cursors {
				all.moved(key, fmt.Sprint(sequence))
			}
			require.Empty(t, two[i].other)
		}
		require.Zero(t, all.lost(t, path))
	}
	integrity(t, path)
	require.Len(t, all.cursors, 3)
	t.Logf("%d acknowledged events, 20 kills, 0 lost", len(all.acks))
}

// straced returns the command line that makes the kernel fail the child's calls.
func straced(t *testing.T, inject string) []string {
	strace, err := exec.LookPath("strace")
	missing(t, "the program strace", err)
	err = exec.Command(strace, "-f", "-qq", "-o", "/dev/null", "true").Run()
	missing(t, "the right to trace a process", err)
	calls, _, _ := strings.Cut(inject, ":")
	return []string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + inject}
}

func testKillAtSyscall(t *testing.T) {
	for _, n := range []int{3, 9, 17, 26, 38, 60, 90} {
		path := filepath.Join(t.TempDir(), "drover.db")
		heard := told{acks: map[string]string{}}
		before := straced(t, fmt.Sprintf("pwrite64,fsync,fdatasync:signal=KILL:when=%d", n))
		err := heard.start(t, before, "write", path, "DROVER_LOG_TURNS=400", "DROVER_LOG_NAME=a").finish()
		require.ErrorContains(t, err, "signal: killed", "at call %d", n)
		require.Zero(t, heard.lost(t, path), "killed at call %d", n)
		integrity(t, path)
	}
}

func testFailedSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	require.NoError(t, open(t, path).Close())
	heard := told{acks: map[string]string{}}
	before := straced(t, "fsync,fdatasync:error=EIO:when=5+9")
	err := heard.start(t, before, "write", path, "DROVER_LOG_TURNS=60", "DROVER_LOG_NAME=a").finish()
	require.NoError(t, err, "%s", heard.other)
	require.Positive(t, heard.unknown, "no fsync failed")
	require.Zero(t, heard.lost(t, path))
	log := open(t, path)
	defer log.Close()
	verified, err := eventlog.Verify(context.Background(), log, nil)
	require.NoError(t, err)
	require.Equal(t, len(heard.acks), verified.Events, "an event is in the log twice")
	integrity(t, path)
	t.Logf("%d unknown outcomes among %d events", heard.unknown, verified.Events)
}

// fat makes an event with 8 KiB of data.
func fat() eventlog.Event {
	return eventlog.Event{ID: uuid.New(), Type: "x/v1", Data: json.RawMessage(`{"a":"` + strings.Repeat("x", 8<<10) + `"}`)}
}

// fill appends until an append is refused, and returns it with its place and its error.
func fill(log eventlog.Log, acks map[string]string) (eventlog.Event, eventlog.Revision, error) {
	for expected := eventlog.NoStream; ; expected++ {
		event := fat()
		if _, err := log.Append(context.Background(), "a", expected, event); err != nil {
			return event, expected, err
		}
		acks[fmt.Sprint("a ", expected+1)] = event.ID.String()
	}
}

func testFullDisk(t *testing.T) {
	folder := t.TempDir()
	missing(t, "the right to mount a file system", syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=3m"))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(folder, 0)) })
	ballast := filepath.Join(folder, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	path := filepath.Join(folder, "drover.db")
	heard := told{acks: map[string]string{}}
	log := open(t, path)
	defer func() { require.NoError(t, log.Close()) }()

	refused, expected, err := fill(log, heard.acks)
	require.ErrorIs(t, err, eventlog.ErrFull)
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.ErrorContains(t, err, "make room on its disk")
	for range 5 {
		_, err = log.Append(context.Background(), "a", expected, refused)
		require.ErrorIs(t, err, eventlog.ErrUnavailable)
	}
	head, err := log.Head(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, len(heard.acks), head)

	require.NoError(t, os.Remove(ballast))
	_, err = log.Append(context.Background(), "a", expected, refused)
	require.NoError(t, err)
	heard.acks[fmt.Sprint("a ", expected+1)] = refused.ID.String()
	require.Zero(t, heard.lost(t, path))
	integrity(t, path)
}

func testOutgrown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	heard := told{acks: map[string]string{}}
	err := heard.start(t, nil, "outgrown", path).finish()
	require.NoError(t, err, "%s", heard.other)
	require.NotEmpty(t, heard.acks)
	require.Zero(t, heard.lost(t, path))
	integrity(t, path)
}

// childOutgrown writes until no file of it may grow further, then lifts that limit and
// appends what was refused.
func childOutgrown() error {
	log, err := childLog()
	if err != nil {
		return err
	}
	defer log.Close()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	narrow := limit
	narrow.Cur = 600 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &narrow); err != nil {
		return err
	}
	acks := map[string]string{}
	refused, expected, err := fill(log, acks)
	if !errors.Is(err, eventlog.ErrUnknownOutcome) && !errors.Is(err, eventlog.ErrUnavailable) {
		return fmt.Errorf("beyond the limit: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if _, err := log.Append(context.Background(), "a", expected, refused); err != nil {
		return fmt.Errorf("after the limit: %w", err)
	}
	acks[fmt.Sprint("a ", expected+1)] = refused.ID.String()
	for place, id := range acks {
		fmt.Println("ack", place, id)
	}
	return nil
}

func testForbidden(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root, to become another user", errors.New("not root"))
	}
	folder, err := os.MkdirTemp("", "drover")
	require.NoError(t, err)
	defer os.RemoveAll(folder)
	require.NoError(t, os.Chmod(folder, 0o755))
	binary := filepath.Join(folder, "child")
	content, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, content, 0o755))
	closed := filepath.Join(folder, "closed")
	require.NoError(t, os.Mkdir(closed, 0o755))

	command := exec.Command(binary)
	command.Env = append(os.Environ(), "DROVER_LOG_CHILD=open", "DROVER_LOG_PATH="+filepath.Join(closed, "drover.db"))
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said, err := command.Output()
	require.Error(t, err)
	require.Contains(t, string(said), "user 65534 may not write in folder "+closed+"; give it the right, or name another folder")
}
