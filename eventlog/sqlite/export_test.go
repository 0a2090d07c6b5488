package sqlite

import "testing"

// CheckLibrary exports checkLibrary.
var CheckLibrary = checkLibrary

// Unsynced returns a config whose commits do not wait for fsync, for the negative control.
func Unsynced() Config { return Config{synchronous: "NORMAL"} }

// Waiting returns the number of requests that wait for the writer.
func Waiting(l *Log) int { return len(l.writer.queue) }

// Taken returns the number of requests that the writer has taken.
func Taken(l *Log) int64 { return l.writer.taken.Load() }

// HoldReaders occupies all open connections for reading until the end of the test.
func HoldReaders(t testing.TB, l *Log) {
	for range l.readers.Stats().OpenConnections {
		held, err := l.readers.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = held.Close() })
	}
}

// SetFree sets the free disk space for the rest of the test.
func SetFree(t testing.TB, bytes uint64) {
	before := freeIn
	freeIn = func(string) (uint64, error) { return bytes, nil }
	t.Cleanup(func() { freeIn = before })
}
