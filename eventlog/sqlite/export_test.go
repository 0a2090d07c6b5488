package sqlite

// CheckLibrary is checkLibrary, so that a test can feed it versions.
var CheckLibrary = checkLibrary

// Unsynced returns a config whose commits do not wait for fsync: the negative control.
func Unsynced() Config { return Config{synchronous: "NORMAL"} }

// Waiting returns how many appends wait for the writer.
func Waiting(l *Log) int { return len(l.writer.queue) }

// Taken returns how many appends the writer has begun with.
func Taken(l *Log) int64 { return l.writer.taken.Load() }
