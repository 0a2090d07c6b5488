package sqlite

// CheckLibrary is checkLibrary, so that a test can feed it versions.
var CheckLibrary = checkLibrary

// Unsynced returns a config whose commits do not wait for fsync: the negative control.
func Unsynced() Config { return Config{synchronous: "NORMAL"} }
