//go:build unix

package server

import "golang.org/x/sys/unix"

// files returns how many files this process can have open.
func files() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return maxConnections
	}
	return int(min(limit.Cur, maxConnections+reservedFiles))
}
