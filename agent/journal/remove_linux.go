package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openInside opens a folder in a folder. It returns EXDEV if another file system, or another place of the same one, is
// mounted there. If the owner has no access to the folder, it grants it.
func openInside(parent *os.File, name string) (*os.File, error) {
	handle, err := openHandle(parent, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(handle) }()
	var stat unix.Stat_t
	if err := unix.Fstat(handle, &stat); err == nil && stat.Mode&0o700 != 0o700 {
		// a handle has no chmod; this path names the file of the handle, wherever it is
		_ = os.Chmod(fmt.Sprintf("/proc/self/fd/%d", handle), 0o700) //nolint:gosec // a folder, for its owner
	}
	fd, err := unix.Openat(handle, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openHandle returns a handle of a folder that is on the same mount as its parent. A handle needs no permission to read.
func openHandle(parent *os.File, name string) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	handle, err := unix.Openat2(int(parent.Fd()), name, &unix.OpenHow{Flags: flags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return handle, err
	}
	// a kernel before 5.6, or a container runtime that forbids openat2
	if handle, err = unix.Openat(int(parent.Fd()), name, flags, 0); err != nil {
		return handle, err
	}
	if own, of := mountOf(int(parent.Fd())), mountOf(handle); own == "" || own != of {
		_ = unix.Close(handle)
		return -1, unix.EXDEV
	}
	return handle, nil
}

// mountOf returns the id of the mount of an open file, or "" if it is unknown.
func mountOf(fd int) string {
	info, _ := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	for line := range strings.Lines(string(info)) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

// mountsIn returns the mount points at or below a folder.
func mountsIn(folder string) (found []string) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	info, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := mountNames.Replace(fields[4])
		if point == folder || strings.HasPrefix(point, folder+"/") {
			found = append(found, point)
		}
	}
	return found
}

// mountNames decodes the names in /proc/self/mountinfo.
var mountNames = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
