//go:build unix && !linux

package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// openInside opens a folder in a folder. It returns EXDEV if another file system is mounted there. If the owner has no
// access to the folder, it grants it.
func openInside(parent *os.File, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(parent.Fd()), name, flags, 0)
	if err == unix.EACCES && unix.Fchmodat(int(parent.Fd()), name, 0o700, unix.AT_SYMLINK_NOFOLLOW) == nil {
		fd, err = unix.Openat(int(parent.Fd()), name, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	folder := os.NewFile(uintptr(fd), name)
	var outer, inner unix.Stat_t
	if unix.Fstat(int(parent.Fd()), &outer) != nil || unix.Fstat(fd, &inner) != nil || outer.Dev != inner.Dev {
		_ = folder.Close()
		return nil, unix.EXDEV
	}
	return folder, nil
}

// mountsIn returns nothing: this system has no list of mounts.
func mountsIn(string) []string { return nil }
