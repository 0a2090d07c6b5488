//go:build linux || darwin

package server

import "syscall"

// Free is how much room this user has on the disk of a folder, and how large that disk is; zeros where nobody can tell.
func Free(folder string) (free, total uint64) {
	var disk syscall.Statfs_t
	if syscall.Statfs(folder, &disk) != nil {
		return 0, 0
	}
	block := uint64(disk.Bsize) //nolint:gosec // the size of a block is positive
	return disk.Bavail * block, disk.Blocks * block
}
