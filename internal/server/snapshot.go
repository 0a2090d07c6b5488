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

// snapshotName is the file of the view's snapshot in the data folder. It can be deleted at any time.
const snapshotName = "snapshot"

// snapshotFile implements engine.Snapshots with a file.
type snapshotFile struct{ path string }

// Load returns the content of the file, or nil if the file does not exist.
func (s snapshotFile) Load() ([]byte, error) {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // reading a pipe would block
		return nil, fmt.Errorf("%s is not a regular file; delete it", s.path)
	}
	return os.ReadFile(s.path)
}

// Store writes a temporary file and renames it once its content is on the disk.
func (s snapshotFile) Store(data []byte) (err error) {
	beside := s.path + ".new" // a fixed name, so that a file left by a killed server is overwritten
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
		return errors.Join(fmt.Errorf("write a snapshot: %w; delete %s if it is not a regular file", err, s.path),
			os.Remove(beside))
	}
	return nil
}

// snapshots returns the snapshot store of this server and the checksum of its program, because a snapshot is valid only
// for the program that wrote it. There is no store without a data folder or if the executable could not be read.
func (r *run) snapshots() (engine.Snapshots, string) {
	if r.config.Data == "" {
		return nil, ""
	}
	program, err := programSum()
	if err != nil {
		r.logger.Warn("snapshots disabled: could not read this program's executable", zap.Error(err))
		return nil, ""
	}
	return snapshotFile{filepath.Join(r.config.Data, snapshotName)}, program
}

// programSum returns the checksum of the running executable. It changes with anything that could change the fold, even
// the compiler.
var programSum = sync.OnceValues(func() (string, error) {
	file, err := os.Open("/proc/self/exe") // the running program, even if its file has been replaced
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
