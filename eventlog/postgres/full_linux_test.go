package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// smallDisk mounts a disk of n MiB that the server owns. grow changes its size.
func smallDisk(t *testing.T, n int) (folder string, grow func(n int)) {
	folder = t.TempDir()
	for parent := folder; parent != os.TempDir() && parent != "/"; parent = parent[:strings.LastIndexByte(parent,
		'/')] {
		require.NoError(t, os.Chmod(parent, 0o755))
	}
	err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%dm", n))
	postgrestest.SkipOrFail(t, "permission to mount", err)
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(folder, syscall.MNT_DETACH)) })
	owner, err := user.Lookup("postgres")
	postgrestest.SkipOrFail(t, "the user postgres", err)
	uid, err := strconv.Atoi(owner.Uid)
	require.NoError(t, err)
	require.NoError(t, os.Chown(folder, uid, -1))
	return folder, func(n int) {
		out, err := exec.Command("mount", "-o", fmt.Sprintf("remount,size=%dm", n), folder).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// TestBackendOnFullDisk adds a row to the table of laws.
func TestBackendOnFullDisk(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		t.Run("a full disk refuses appends, loses nothing, and accepts appends again when space is free", testFullDisk)
	})
}

// testFullDisk stores the events on a disk of 4 MiB.
func testFullDisk(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Start(t, postgrestest.Config{})
	folder, grow := smallDisk(t, 4)
	server.Exec(t, `CREATE TABLESPACE small LOCATION '`+folder+`'`)
	log := open(t, server.URL("default_tablespace=small"))
	defer log.Close()
	written := eventlog.NoStream
	var full error
	for range 100 {
		large := sample(0)
		large.ID = uuid.New()
		large.Data = json.RawMessage(fmt.Sprintf(`{"note":"%s"}`, noise(100_000)))
		appended, err := log.Append(ctx, "a", written, large)
		if full = err; err != nil {
			break
		}
		written = appended.Revision
	}
	requireMessage(t, full, "no space left for the log", "free space on the disk of the database server")
	require.ErrorIs(t, full, eventlog.ErrFull)
	require.ErrorIs(t, full, eventlog.ErrUnavailable)
	require.NotErrorIs(t, full, eventlog.ErrUnknownOutcome)
	require.Greater(t, written, eventlog.Revision(5))
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.EqualValues(t, written+1, verified.Events)
	grow(16)
	appended, err := log.Append(ctx, "a", written, sample(1))
	require.NoError(t, err)
	require.EqualValues(t, written+2, appended.Position, "the refused append left a gap")
}
