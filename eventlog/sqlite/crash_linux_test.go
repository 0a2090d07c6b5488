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

// TestBackendUnderFaults checks the laws that need a process to be killed or a disk to fail. Like those of TestBackend,
// its subtests are rows in the table of laws.
func TestBackendUnderFaults(t *testing.T) {
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
		t.Run("repeating an append after a failed fsync determines its outcome", testFailedSync)
		t.Run("a full disk refuses appends, loses nothing, and accepts appends again when space is free", testFullDisk)
		t.Run("a file size limit loses nothing and appends succeed when it is lifted", testLimited)
		t.Run("a folder without write permission is reported with a hint", testForbidden)
	})
}

// TestPowerCutWithoutFsyncLosesAcknowledgedEvents is the negative control. It shows that the power cut test can detect
// a loss, and why synchronous must be FULL.
func TestPowerCutWithoutFsyncLosesAcknowledgedEvents(t *testing.T) {
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
	all := report{acks: map[string]string{}}
	random := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		two := []report{{acks: map[string]string{}}, {acks: map[string]string{}}}
		var running []*process
		for i := range two {
			running = append(running, two[i].start(t, nil, "write", path, "DROVER_LOG_TURNS=1000000",
				fmt.Sprint("DROVER_LOG_NAME=", i)))
		}
		done := make(chan struct{}, len(running))
		for _, child := range running {
			n := 1 + random.IntN(120)
			go func() {
				child.read(n)
				done <- struct{}{}
			}()
		}
		<-done
		for _, child := range running {
			require.NoError(t, child.command.Process.Kill())
		}
		<-done
		for i, child := range running {
			_ = child.finish()
			for place, id := range two[i].acks {
				require.NotContains(t, all.acks, place, "two acknowledged events have the same revision")
				all.acks[place] = id
			}
			for key, sequence := range two[i].cursors {
				all.addCursor(key, fmt.Sprint(sequence))
			}
			require.Empty(t, two[i].other)
		}
		require.Zero(t, all.lost(t, path))
	}
	integrity(t, path)
	require.Len(t, all.cursors, 3)
	t.Logf("%d acknowledged events, 20 kills, 0 lost", len(all.acks))
}

// straced returns the prefix of a command line that makes system calls of the child fail.
func straced(t *testing.T, inject string) []string {
	strace, err := exec.LookPath("strace")
	missing(t, "the program strace", err)
	err = exec.Command(strace, "-f", "-qq", "-o", "/dev/null", "true").Run()
	missing(t, "permission to trace a process", err)
	calls, _, _ := strings.Cut(inject, ":")
	return []string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + inject}
}

func testKillAtSyscall(t *testing.T) {
	for _, n := range []int{3, 9, 17, 26, 38, 60, 90} {
		path := filepath.Join(t.TempDir(), "drover.db")
		rep := report{acks: map[string]string{}}
		before := straced(t, fmt.Sprintf("pwrite64,fsync,fdatasync:signal=KILL:when=%d", n))
		err := rep.start(t, before, "write", path, "DROVER_LOG_TURNS=400", "DROVER_LOG_NAME=a").finish()
		require.ErrorContains(t, err, "signal: killed", "at call %d", n)
		require.Zero(t, rep.lost(t, path), "killed at call %d", n)
		integrity(t, path)
	}
}

func testFailedSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	require.NoError(t, open(t, path).Close())
	rep := report{acks: map[string]string{}}
	before := straced(t, "fsync,fdatasync:error=EIO:when=5+9")
	err := rep.start(t, before, "write", path, "DROVER_LOG_TURNS=60", "DROVER_LOG_NAME=a").finish()
	require.NoError(t, err, "%s", rep.other)
	require.Positive(t, rep.unknown, "no fsync failed")
	require.Zero(t, rep.lost(t, path))
	log := open(t, path)
	defer log.Close()
	verified, err := eventlog.Verify(context.Background(), log, nil)
	require.NoError(t, err)
	require.Equal(t, len(rep.acks), verified.Events, "an event was stored twice")
	integrity(t, path)
	t.Logf("%d unknown outcomes among %d events", rep.unknown, verified.Events)
}

// largeEvent returns an event with 8 KiB of data.
func largeEvent() eventlog.Event {
	return eventlog.Event{ID: uuid.New(), Type: "x/v1",
		Data: json.RawMessage(`{"a":"` + strings.Repeat("x", 8<<10) + `"}`)}
}

// fill appends until an append is refused. It returns that event, its expected revision and the error.
func fill(log eventlog.Log, acks map[string]string) (eventlog.Event, eventlog.Revision, error) {
	for expected := eventlog.NoStream; ; expected++ {
		event := largeEvent()
		if _, err := log.Append(context.Background(), "a", expected, event); err != nil {
			return event, expected, err
		}
		acks[fmt.Sprint("a ", expected+1)] = event.ID.String()
	}
}

func testFullDisk(t *testing.T) {
	folder := t.TempDir()
	missing(t, "permission to mount a file system", syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=3m"))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(folder, 0)) })
	ballast := filepath.Join(folder, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	path := filepath.Join(folder, "drover.db")
	rep := report{acks: map[string]string{}}
	log := open(t, path)
	defer func() { require.NoError(t, log.Close()) }()

	refused, expected, err := fill(log, rep.acks)
	require.ErrorIs(t, err, eventlog.ErrFull)
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.ErrorContains(t, err, "free space on its disk")
	for range 5 {
		_, err = log.Append(context.Background(), "a", expected, refused)
		require.ErrorIs(t, err, eventlog.ErrUnavailable)
	}
	head, err := log.Head(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, len(rep.acks), head)

	require.NoError(t, os.Remove(ballast))
	_, err = log.Append(context.Background(), "a", expected, refused)
	require.NoError(t, err)
	rep.acks[fmt.Sprint("a ", expected+1)] = refused.ID.String()
	require.Zero(t, rep.lost(t, path))
	integrity(t, path)
}

func testLimited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	rep := report{acks: map[string]string{}}
	err := rep.start(t, nil, "limited", path).finish()
	require.NoError(t, err, "%s", rep.other)
	require.NotEmpty(t, rep.acks)
	require.Zero(t, rep.lost(t, path))
	integrity(t, path)
}

// childLimited appends until the file size limit refuses it, then lifts the limit and appends the refused event.
func childLimited() error {
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
		missing(t, "root, to run as another user", errors.New("not root"))
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
	output, err := command.Output()
	require.Error(t, err)
	require.Contains(t, string(output),
		"user 65534 has no permission to write in folder "+closed+"; grant it, or use another folder")
}
