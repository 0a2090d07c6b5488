//go:build !unix

package server

// files returns how many files this process can have open. The limit is unknown on this system.
func files() int { return maxConnections + reservedFiles }
