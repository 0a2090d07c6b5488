package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/journal"
)

const someDeployment = "0192a0b0-7c4e-7e9a-8f1b-2c3d4e5f6a7b"

// leftBy creates a part whose step ran with its working folder as argument, and returns the journal and that folder.
func leftBy(t *testing.T, step func(work string)) (j *journal.Journal, data, work string) {
	t.Helper()
	data = t.TempDir()
	j, _ = open(t, data)
	require.NoError(t, j.Put(journal.Entry{Deployment: someDeployment, Project: "shop", State: journal.Claiming}))
	work = filepath.Join(j.PartFolder(someDeployment), "work")
	require.NoError(t, os.MkdirAll(work, 0o700))
	step(work)
	return j, data, work
}

// mount mounts a folder for the duration of the test.
func mount(t *testing.T, from, to string) {
	t.Helper()
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
			t.Fatalf("missing: permission to mount: %v", err)
		}
		t.Skipf("missing: permission to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(to, syscall.MNT_DETACH) })
}

// mountDisk mounts an empty file system for the duration of the test.
func mountDisk(t *testing.T, to string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", to, "tmpfs", 0, "size=4m"); err != nil {
		if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
			t.Fatalf("missing: permission to mount: %v", err)
		}
		t.Skipf("missing: permission to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(to, syscall.MNT_DETACH) })
}

func TestNothingIsCreatedWhereTheDiskOfTheDataFolderIsNotMounted(t *testing.T) {
	disk := t.TempDir()
	mountDisk(t, disk)
	data := filepath.Join(disk, "drover", "agent")
	j, _ := open(t, data)
	require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH))
	var missing *journal.Missing
	for range 2 { // the agent checks again and again
		_, err := j.Check()
		require.ErrorAs(t, err, &missing)
		require.ErrorContains(t, err, "is not mounted")
	}
	entries, err := os.ReadDir(disk)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is created on the disk below")
}

func TestDeletedDataFolderIsMadeAgainOnItsDisk(t *testing.T) {
	disk := t.TempDir()
	mountDisk(t, disk)
	data := filepath.Join(disk, "drover", "agent")
	j, _ := open(t, data)
	require.NoError(t, os.RemoveAll(filepath.Join(disk, "drover")))
	made, err := j.Check()
	require.NoError(t, err)
	require.True(t, made)
}

// precious creates a folder with a file that drover must not remove.
func precious(t *testing.T) (folder, file string) {
	t.Helper()
	folder = t.TempDir()
	file = filepath.Join(folder, "customers")
	require.NoError(t, os.WriteFile(file, []byte("keep"), 0o600))
	return folder, file
}

func TestMountedDataSurvivesTheCleanUp(t *testing.T) {
	folder, file := precious(t)
	target := ""
	j, data, work := leftBy(t, func(work string) {
		require.NoError(t, os.WriteFile(filepath.Join(work, "scratch"), nil, 0o600))
		target = filepath.Join(work, "data")
		require.NoError(t, os.Mkdir(target, 0o700))
		mount(t, folder, target)
	})
	for _, remove := range []func() error{
		func() error { return j.CleanUp(someDeployment) },
		func() error { return j.Forget(someDeployment) },
		func() error { j, _ = reopen(t, j, data); return j.Orphans() },
	} {
		var left *journal.Left
		require.ErrorAs(t, remove(), &left)
		require.ErrorContains(t, left, target+" (something is mounted there)")
		require.FileExists(t, file)
	}
	require.NoFileExists(t, filepath.Join(work, "scratch"), "the rest is removed")
	require.Equal(t, []journal.LeftFolder{{Path: j.PartFolder(someDeployment), Mounts: []string{target}}},
		journal.LeftFolders(data))
	require.NoError(t, syscall.Unmount(target, 0))
	j, _ = reopen(t, j, data)
	require.NoError(t, j.Orphans())
	require.Empty(t, journal.LeftFolders(data))
	require.NoDirExists(t, j.PartFolder(someDeployment))
	require.FileExists(t, file)
}

func TestCleanUpFollowsNoLink(t *testing.T) {
	folder, file := precious(t)
	for name, step := range map[string]func(work string) error{
		"a link in the working folder":         func(work string) error { return os.Symlink(folder, filepath.Join(work, "data")) },
		"the working folder became a link":     func(work string) error { return replaced(work, folder) },
		"the folder of the part became a link": func(work string) error { return replaced(filepath.Dir(work), folder) },
	} {
		t.Run(name, func(t *testing.T) {
			j, _, _ := leftBy(t, func(work string) { require.NoError(t, step(work)) })
			_ = j.CleanUp(someDeployment)
			require.FileExists(t, file)
			require.NoError(t, j.Forget(someDeployment))
			require.FileExists(t, file)
			require.NoDirExists(t, j.PartFolder(someDeployment))
		})
	}
}

// replaced replaces a folder by a link to another one.
func replaced(folder, target string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Symlink(target, folder)
}

// Only a user other than root needs write access to a folder, so root runs the test as nobody.
func TestReadOnlyFoldersAreRemoved(t *testing.T) {
	j, data, _ := leftBy(t, func(work string) {
		for _, mode := range []os.FileMode{0o500, 0o400, 0o000} {
			folder := filepath.Join(work, mode.String())
			require.NoError(t, os.MkdirAll(filepath.Join(folder, "inside"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(folder, "inside", "file"), nil, 0o400))
			require.NoError(t, os.Chmod(filepath.Join(folder, "inside"), 0o500))
			require.NoError(t, os.Chmod(folder, mode))
		}
	})
	asUserWithoutPrivileges(t, data, func() { require.NoError(t, j.CleanUp(someDeployment)) })
	require.NoDirExists(t, filepath.Join(j.PartFolder(someDeployment), "work"))
}

func TestOnlyFoldersOfDeploymentsAreRemoved(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	for _, name := range []string{"lost+found", "backup-of-the-database", someDeployment} {
		require.NoError(t, os.MkdirAll(filepath.Join(data, "parts", name), 0o700))
	}
	j, _ = reopen(t, j, data)
	require.NoError(t, j.Orphans())
	require.DirExists(t, filepath.Join(data, "parts", "lost+found"))
	require.DirExists(t, filepath.Join(data, "parts", "backup-of-the-database"))
	require.NoDirExists(t, filepath.Join(data, "parts", someDeployment))
}

// asUserWithoutPrivileges runs f with the access of nobody, who gets the folder, if the test runs as root.
func asUserWithoutPrivileges(t *testing.T, data string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	require.NoError(t, os.Chmod(filepath.Dir(data), 0o755))
	require.NoError(t, filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	}))
	runtime.LockOSThread() // the identity of file accesses belongs to the thread
	defer runtime.UnlockOSThread()
	require.NoError(t, syscall.Setfsuid(nobody))
	defer func() { require.NoError(t, syscall.Setfsuid(0)) }()
	f()
}
