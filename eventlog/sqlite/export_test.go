package sqlite

import "testing"

// CheckLibrary is checkLibrary, so that a test can feed it versions.
var CheckLibrary = checkLibrary

// Unsynced returns a config whose commits do not wait for fsync: the negative control.
func Unsynced() Config { return Config{synchronous: "NORMAL"} }

// Waiting returns how many appends wait for the writer.
func Waiting(l *Log) int { return len(l.writer.queue) }

// Taken returns how many appends the writer has begun with.
func Taken(l *Log) int64 { return l.writer.taken.Load() }

// SetFree is a disk with this much room, for the rest of the test.
func SetFree(t testing.TB, bytes uint64) {
	before := freeIn
	freeIn = func(string) (uint64, error) { return bytes, nil }
	t.Cleanup(func() { freeIn = before })
}
