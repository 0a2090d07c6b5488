//go:build linux || darwin

package sqlite

import "golang.org/x/sys/unix"

// freeIn returns the number of bytes that can be written in folder.
var freeIn = func(folder string) (uint64, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(folder, &found); err != nil {
		return 0, err
	}
	return found.Bavail * uint64(found.Bsize), nil
}
