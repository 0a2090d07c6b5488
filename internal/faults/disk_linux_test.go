package faults

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// diskBytes is the size of the small disk.
const diskBytes = "size=400m"

// smallDisk mounts a disk in memory and makes it the temporary folder of this process.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk, err := os.MkdirTemp("", "drover-disk-")
	if err == nil {
		t.Cleanup(func() { os.Remove(disk) })
		err = syscall.Mount("tmpfs", disk, "tmpfs", 0, diskBytes)
	}
	postgrestest.SkipOrFail(t, "the permission to mount a disk in memory", err)
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	if err := os.Chmod(disk, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", disk)
	return disk
}

// fill fills the disk. The returned function frees it again.
func fill(disk string) (empty func()) {
	path := filepath.Join(disk, "filler")
	file, err := os.Create(path)
	if err != nil {
		return func() {}
	}
	defer file.Close()
	for size := 1 << 20; size >= 512; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return func() { os.Remove(path) }
}
