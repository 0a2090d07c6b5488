package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/eventlog"
)

// Copier is a log in a file that can be copied while servers write to it.
type Copier interface {
	// CopyTo writes the log as it stands to a new file.
	CopyTo(ctx context.Context, path string) error
}

// backupName begins the names of copies that are on their way to whoever asked for them.
const backupName = ".drover-backup-"

// staleAfter is the age of a copy that nobody can be reading any more: the server that made it was killed meanwhile.
const staleAfter = 24 * time.Hour

// backups is what the API offers to copy the log with, nil where the log is in no file of this machine.
func (r *run) backups(opened eventlog.Backend) func(context.Context) (*api.Copy, error) {
	copier, can := opened.(Copier)
	file, isFile := LogFile(addressOf(r.config.Log, r.config.Data))
	if !can || !isFile {
		return nil
	}
	return func(ctx context.Context) (*api.Copy, error) { return copyOf(ctx, copier, filepath.Dir(file)) }
}

// copyOf makes a copy of the log in a folder of its own beside it, where there is a disk for logs. Its reader closes it, and
// then it is gone.
func copyOf(ctx context.Context, log Copier, folder string) (c *api.Copy, err error) {
	forgetStale(folder)
	own, err := os.MkdirTemp(folder, backupName) // 0700
	if err != nil {
		return nil, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(own))
		}
	}()
	path := filepath.Join(own, "drover.db")
	if err := log.CopyTo(ctx, path); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &api.Copy{Reader: file, Size: info.Size(), Close: func() error { return errors.Join(file.Close(), os.RemoveAll(own)) }}, nil
}

// forgetStale deletes copies that a server left when it was killed.
func forgetStale(folder string) {
	left, _ := os.ReadDir(folder) // what cannot be read or deleted now is tried again with the next copy
	for _, entry := range left {
		info, err := entry.Info()
		if strings.HasPrefix(entry.Name(), backupName) && err == nil && time.Since(info.ModTime()) >= staleAfter {
			_ = os.RemoveAll(filepath.Join(folder, entry.Name()))
		}
	}
}
