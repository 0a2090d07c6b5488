package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/ownership"
)

// probeBytes is how much Check writes. A part needs less for its entries and scripts, so an agent that has just written
// this much does not claim a part that it cannot record.
const probeBytes = 64 << 10

// Missing is the error for a data folder that was deleted or replaced while the agent used it, and was not made again.
type Missing struct {
	Data string
	Err  error
}

func (e *Missing) Error() string { return fmt.Sprintf("%s was deleted or replaced: %v", e.Data, e.Err) }

// Unwrap returns the reason.
func (e *Missing) Unwrap() error { return e.Err }

// IsFull reports whether an error means that a disk, or the user's quota, is full.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Check returns why the journal cannot be written now, or nil. It makes missing folders again, with the files that the agent
// knows, and writes entries that could not be written before. made reports whether a folder was made again.
func (j *Journal) Check() (made bool, err error) {
	present, err := j.present()
	if err == nil && !present {
		err = j.makeAgain()
		made = err == nil
	}
	if err != nil {
		return made, &Missing{Data: j.data, Err: err}
	}
	for _, name := range []string{"journal", "parts"} {
		err := os.Mkdir(filepath.Join(j.data, name), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return made, err
		}
		made = made || err == nil
	}
	if err := j.probe(); err != nil {
		return made, err
	}
	return made, j.writeEntries(made)
}

// writeEntries writes the entries that are not on disk: all of them, or those whose last write failed.
func (j *Journal) writeEntries(all bool) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	for _, entry := range j.entries {
		if all || !entry.written {
			if err := j.put(entry.Entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// Present reports whether the data folder and its folders are the ones that the agent uses. It is cheap.
func (j *Journal) Present() bool {
	if present, err := j.present(); err != nil || !present {
		return false
	}
	for _, name := range []string{"journal", "parts"} {
		if info, err := os.Stat(filepath.Join(j.data, name)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// present reports whether the data folder still is the one that this agent has locked.
func (j *Journal) present() (bool, error) {
	own, err := j.lock.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(filepath.Join(j.data, "agent.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(own, now), err
}

// makeAgain makes a data folder that was deleted, with what this agent remembers. It refuses a folder on another file
// system, because the right one may only be unmounted, and a folder that another agent has used.
func (j *Journal) makeAgain() error {
	if moved, err := j.moved(); err != nil || moved { // checked before anything is created
		return errors.Join(err, errors.New("its file system is not mounted, or another one is mounted there now"))
	}
	if err := os.MkdirAll(j.data, 0o700); err != nil {
		return err
	}
	if err := ownership.Check(j.data, ownEntries...); err != nil {
		return err
	}
	var found storedIdentity
	err := readJSON(filepath.Join(j.data, "identity.json"), identityHint, &found)
	if err == nil && found.Identity != j.identity {
		return errors.New("it belongs to another agent now")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lock, err := lockFolder(j.data)
	if err != nil {
		return err
	}
	_ = j.lock.Close()
	j.lock = lock
	return j.writeAgain()
}

// moved reports whether the data folder, or the nearest parent of it that exists, is on another file system than before.
func (j *Journal) moved() (bool, error) {
	own, err := j.lock.Stat()
	if err != nil {
		return false, err
	}
	now, err := nearest(j.data)
	if err != nil {
		return false, err
	}
	before, known := own.Sys().(*syscall.Stat_t)
	after, alsoKnown := now.Sys().(*syscall.Stat_t)
	return known && alsoKnown && before.Dev != after.Dev, nil
}

// nearest returns the folder, or else the nearest parent of it that exists.
func nearest(folder string) (fs.FileInfo, error) {
	info, err := os.Stat(folder)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(folder) != folder {
		folder = filepath.Dir(folder)
		info, err = os.Stat(folder)
	}
	return info, err
}

// writeAgain writes the files that this agent knows, except for the journal.
func (j *Journal) writeAgain() error {
	j.mu.Lock()
	memory, runs, proven, trust := j.memory, j.runs, j.proven, j.trust
	j.mu.Unlock()
	err := writeIdentity(j.data, j.identity)
	if err == nil && memory != nil {
		err = j.store(memory, runs, proven)
	}
	if err == nil && trust != (Trust{}) {
		err = j.writeTrust(trust)
	}
	return err
}

// probe writes a file to the journal and removes it.
func (j *Journal) probe() error {
	path := filepath.Join(j.data, "journal", temporaryPrefix+"probe")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		err = writeAndClose(file, make([]byte, probeBytes))
		_ = os.Remove(path)
	}
	return err
}
