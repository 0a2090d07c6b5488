//go:build !linux && !darwin

package server

// DiskSpace returns the space that this user can use on the disk of a folder, and the size of that disk, in bytes. Both are
// 0 if they are unknown.
func DiskSpace(string) (free, total uint64) { return 0, 0 }
