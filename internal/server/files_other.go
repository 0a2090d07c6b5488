//go:build !unix

package server

// files is how many files the system lets this process have open; here nothing is known of that.
func files() int { return maxConnections + sparedFiles }
