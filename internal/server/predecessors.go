package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// runningFolder is the folder in the data folder with one file for each server that runs. A server holds a lock on its
// file until its process ends, however it ends. A file without a lock therefore names a server that was killed.
const runningFolder = "running"

// runningFile is the locked file of a server. Its zero value marks nothing.
type runningFile struct{ file *os.File }

// markRunning creates and locks the file of a server, and returns the servers of this data folder that were killed.
// Several servers may share a folder.
func markRunning(folder string, server domain.ID) (own runningFile, killed []domain.ID, err error) {
	folder = filepath.Join(folder, runningFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return runningFile{}, nil, err
	}
	// without the lock, a server that starts at the same time could look killed before it has locked its file
	unlock, err := lockPrivately(filepath.Join(folder, ".lock"))
	if err != nil {
		return runningFile{}, nil, err
	}
	defer unlock()
	found, err := os.ReadDir(folder)
	if err != nil {
		return runningFile{}, nil, err
	}
	for _, entry := range found {
		id, err := uuid.Parse(entry.Name())
		if err != nil || !entry.Type().IsRegular() {
			continue
		}
		file, err := lockFile(filepath.Join(folder, entry.Name()), 0)
		if err == nil {
			killed = append(killed, domain.ID(id))
			_ = file.Close()
		}
	}
	file, err := lockFile(filepath.Join(folder, server.String()), os.O_CREATE)
	return runningFile{file}, killed, err
}

// lockFile opens a file and locks it. It returns an error if another process has locked it.
func lockFile(path string, flag int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// close removes the file, when the server has stopped.
func (f runningFile) close() {
	if f.file != nil {
		_ = os.Remove(f.file.Name())
		_ = f.file.Close()
	}
}

// dropKilled drops the leases of servers of this data folder that were killed. Without it, other servers would wait
// until those leases are stale, and until then refuse an agent that was restarted at the same time. If this server
// knows of lost events, the leases stay, because the next server to start learns of the loss from them. A server that
// runs after all, because this data folder is a copy of its folder, renews its lease within leaseEvery.
func (r *run) dropKilled(ctx context.Context) {
	if r.config.Data == "" || r.engine.LostEvents() != nil {
		return
	}
	own, killed, err := markRunning(r.config.Data, r.engine.Server())
	r.running = own
	r.logFault(ctx, "could not mark this server as running", err)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, server := range killed {
		err := errors.Join(r.log.Drop(ctx, eventlog.Contacts, server.String()),
			r.log.Drop(ctx, eventlog.Leases, server.String()))
		if err == nil {
			err = os.Remove(filepath.Join(r.config.Data, runningFolder, server.String()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the next start drops them
			r.logFault(ctx, "could not drop the lease of a server that was killed", err)
		}
	}
}
