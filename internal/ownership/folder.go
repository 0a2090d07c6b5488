//go:build unix

package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Check returns an error if other users than root can change a data folder, or the named entries of drover in it. Entries
// that do not exist are skipped. The error says how to repair the folder. An empty folder of this user to which everybody can
// add files, such as a tmpfs that was just mounted, is made private.
func Check(folder string, entries ...string) error {
	info, err := os.Stat(folder)
	if err == nil && isShared(info) && ownerOf(info) == os.Geteuid() {
		info, err = makePrivate(folder, info)
	}
	if err != nil {
		return fmt.Errorf("check the data folder: %w", err)
	}
	if err := checkFolder(folder, info); err != nil {
		return err
	}
	for _, name := range entries {
		path := filepath.Join(folder, name)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("check the data folder: %w", err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s is a link, and drover follows no links among its own files; replace it with what it points to",
				path)
		}
		if err := checkOwner(path, info); err != nil {
			return err
		}
	}
	return nil
}

// isShared reports whether everybody can add files to a folder, but not replace those of others, as in /tmp.
func isShared(info fs.FileInfo) bool {
	return info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky != 0
}

// makePrivate takes the permissions of others away from an empty folder, and returns what it is then. It changes nothing if
// the folder contains something: another program may use it.
func makePrivate(folder string, info fs.FileInfo) (fs.FileInfo, error) {
	if found, err := os.ReadDir(folder); err != nil || len(found) > 0 {
		return info, err
	}
	if err := os.Chmod(folder, 0o700); err != nil { //nolint:gosec // a folder needs the right to enter it
		return info, err
	}
	if found, err := os.ReadDir(folder); err != nil || len(found) > 0 { // somebody was faster: what is it?
		return info, err
	}
	return os.Stat(folder)
}

// checkFolder checks the owner and the permissions of the folder itself.
func checkFolder(path string, info fs.FileInfo) error {
	if err := checkOwner(path, info); err != nil {
		return err
	}
	mode := info.Mode().Perm()
	switch {
	case isShared(info): // others can add a link where drover is about to write
		return fmt.Errorf("every user of this machine can add files to %s (mode 1%03o); use a new folder in it, such as %s",
			path, mode, filepath.Join(path, "drover"))
	case mode&0o002 != 0:
		return fmt.Errorf("every user of this machine can change %s (mode %04o); run: chmod o-w %s, or use a new folder in it",
			path, mode, path)
	case mode&0o020 != 0 && !groupIsTrusted(info):
		return fmt.Errorf("the members of group %d can change %s (mode %04o); run: chmod g-w %s, or use a new folder in it",
			groupOf(info), path, mode, path)
	}
	return nil
}

// checkOwner accepts files of this user and of root.
func checkOwner(path string, info fs.FileInfo) error {
	owner, self := ownerOf(info), os.Geteuid()
	if owner == self || owner == 0 {
		return nil
	}
	return fmt.Errorf("%s belongs to user %d, but drover runs as user %d; run drover as its owner, or: chown -R %d %s",
		path, owner, self, self, path)
}

// groupIsTrusted reports whether a folder that its group can change is safe. The private group of this user contains
// nobody else: umask 002 is usual with such groups. And root may share its own folder with a group of this user by the
// setgid bit, as Kubernetes does for volumes with fsGroup.
func groupIsTrusted(info fs.FileInfo) bool {
	group := groupOf(info)
	if group == os.Getegid() && isPrivate(os.Geteuid(), group) {
		return true
	}
	groups, err := os.Getgroups()
	return err == nil && ownerOf(info) == 0 && info.Mode()&fs.ModeSetgid != 0 &&
		(group == os.Getegid() || slices.Contains(groups, group))
}

// isPrivate reports whether a group is that of one user only: it has the same number or the same name.
func isPrivate(uid, gid int) bool {
	if uid == gid {
		return true
	}
	owner, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return false
	}
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	return err == nil && group.Name == owner.Username
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return os.Geteuid()
}

func groupOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Gid)
	}
	return os.Getegid()
}
