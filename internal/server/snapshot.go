package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/droverhq/drover/engine"
)

// snapshotName is the snapshot of the view in the data folder. It may be deleted at any time.
const snapshotName = "snapshot"

// snapshotFile is engine.Snapshots in a file.
type snapshotFile struct{ path string }

// Load reads the file; one that is not there is none.
func (s snapshotFile) Load() ([]byte, error) {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // a pipe would be waited for
		return nil, fmt.Errorf("%s is not a file; delete it", s.path)
	}
	return os.ReadFile(s.path)
}

// Store writes a file beside it and puts that in its place once it is on the disk.
func (s snapshotFile) Store(data []byte) (err error) {
	beside := s.path + ".new" // one name: what a server that was killed has left of it is written over
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write a snapshot: %w", err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(beside, s.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write a snapshot: %w; delete %s if it is not a file", err, s.path), os.Remove(beside))
	}
	return nil
}

// snapshots are where a server keeps its snapshot, and the name of the program that may read it. A server without a data
// folder, or that cannot read its own program, has none.
func (r *run) snapshots() (engine.Snapshots, string) {
	if r.config.Data == "" {
		return nil, ""
	}
	program, err := programSum()
	if err != nil {
		r.logger.Warn("no snapshots are kept: this program cannot be read", zap.Error(err))
		return nil, ""
	}
	return snapshotFile{filepath.Join(r.config.Data, snapshotName)}, program
}

// programSum is the checksum of the program that runs: whatever changes the fold, if only by a compiler, changes it.
var programSum = sync.OnceValues(func() (string, error) {
	file, err := os.Open("/proc/self/exe") // what runs, whatever has its name by now
	if err != nil {
		path, failure := os.Executable()
		if failure != nil {
			return "", failure
		}
		if file, err = os.Open(path); err != nil {
			return "", err
		}
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
})
