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

	"github.com/droverhq/drover/engine"
)

// snapshotName is the snapshot of the view in the data folder. It may be deleted at any time.
const snapshotName = "snapshot"

// snapshotFile is engine.Snapshots in a file.
type snapshotFile struct{ path string }

// Load reads the file; one that is not there is none.
func (s snapshotFile) Load() ([]byte, error) {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Store writes a file beside it and puts that in its place once it is on the disk.
func (s snapshotFile) Store(data []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(s.path), snapshotName+"-") // for its owner alone
	if err != nil {
		return fmt.Errorf("write a snapshot: %w", err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), s.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write a snapshot: %w", err), os.Remove(file.Name()))
	}
	return nil
}

// snapshots are where a server keeps its snapshot, and the name of the program that may read it. A server without a data
// folder, or that cannot read its own program, has none.
func snapshots(data string) (engine.Snapshots, string) {
	program, err := programSum()
	if data == "" || err != nil {
		return nil, ""
	}
	return snapshotFile{filepath.Join(data, snapshotName)}, program
}

// programSum is the checksum of the program that runs: whatever changes the fold, if only by a compiler, changes it.
var programSum = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
})
