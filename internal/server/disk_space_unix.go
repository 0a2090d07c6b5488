//go:build linux || darwin

package server

import "syscall"

// DiskSpace returns the space that this user can use on the disk of a folder, and the size of that disk, in bytes. Both are
// 0 if they are unknown.
func DiskSpace(folder string) (free, total uint64) {
	var disk syscall.Statfs_t
	if syscall.Statfs(folder, &disk) != nil {
		return 0, 0
	}
	block := uint64(disk.Bsize) //nolint:gosec // the size of a block is positive
	return disk.Bavail * block, disk.Blocks * block
}
