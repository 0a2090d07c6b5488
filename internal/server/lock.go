package server

import (
	"os"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// lockPrivately waits until no other process holds the lock at path. Only the owner can open the file: another user who holds
// the lock would stop the server.
func lockPrivately(path string) (unlock func(), err error) {
	if file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err == nil {
		err = file.Chmod(0o600) // an earlier version created it with other permissions
		_ = file.Close()
		if err != nil {
			return nil, err
		}
	}
	return lockedfile.MutexAt(path).Lock()
}
