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

// Copier is a log that can be copied while servers write to it.
type Copier interface {
	// CopyTo writes the current log to a new file.
	CopyTo(ctx context.Context, path string) error
}

// backupName is the prefix of the folders that contain copies while clients download them.
const backupName = ".drover-backup-"

// staleAfter is the age after which a copy is certainly unused, because the server that made it was killed.
const staleAfter = 24 * time.Hour

// backups returns the function with which the API copies the log, or nil if the log is not a local file.
func (r *run) backups(opened eventlog.Backend) func(context.Context) (*api.Copy, error) {
	copier, can := opened.(Copier)
	file, isFile := LogFile(addressOf(r.config.Log, r.config.Data))
	if !can || !isFile {
		return nil
	}
	return func(ctx context.Context) (*api.Copy, error) { return copyOf(ctx, copier, filepath.Dir(file)) }
}

// copyOf copies the log to a new folder beside it, on the disk that is meant for logs. Closing the copy deletes it.
func copyOf(ctx context.Context, log Copier, folder string) (c *api.Copy, err error) {
	removeStale(folder)
	temporary, err := os.MkdirTemp(folder, backupName) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	path := filepath.Join(temporary, "drover.db")
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
	return &api.Copy{Reader: file, Size: info.Size(), Close: func() error {
		return errors.Join(file.Close(),
			os.RemoveAll(temporary))
	}}, nil
}

// removeStale deletes copies that a server left behind when it was killed.
func removeStale(folder string) {
	entries, _ := os.ReadDir(folder) // the next copy tries again if this fails
	for _, entry := range entries {
		info, err := entry.Info()
		if strings.HasPrefix(entry.Name(), backupName) && err == nil && time.Since(info.ModTime()) >= staleAfter {
			_ = os.RemoveAll(filepath.Join(folder, entry.Name()))
		}
	}
}
