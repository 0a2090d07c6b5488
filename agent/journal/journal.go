package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
)

// State is how far a part has come.
type State string

// The states of an entry; see the package's drawing.
const (
	Claiming State = "claiming"
	Running  State = "running"
	Ended    State = "ended"
)

// Entry is what is written down about one part.
type Entry struct {
	Deployment string    `json:"deployment"`
	Project    string    `json:"project"`
	Release    string    `json:"release,omitempty"`
	State      State     `json:"state"`
	Since      time.Time `json:"since"` // for people
	// Step and Group are those of the last step that was started; running only.
	Step  string     `json:"step,omitempty"`
	Group *run.Group `json:"group,omitempty"`
	// Ran says that its first step may have been started; ended only.
	Ran bool `json:"ran,omitempty"`
	// End is how it ended; ended only.
	End *client.End `json:"end,omitempty"`
}

// InUse says that another agent uses the data folder.
type InUse struct {
	Data    string
	Process string // its id, if it was told
}

// Error is one sentence with a hint.
func (e *InUse) Error() string {
	return fmt.Sprintf("another agent (process %s) already uses %s; give each agent a data folder of its own", e.Process, e.Data)
}

// Journal is the data folder of the one agent that has it open.
type Journal struct {
	data     string
	lock     *os.File
	identity Identity

	mu     sync.Mutex
	memory *client.Memory
	runs   []ranPart // of memory.json too
}

// Open locks and reads the data folder, and makes what is missing. It returns the entries that
// an earlier run of the agent left. The errors are sentences for a person; *InUse is one.
func Open(data string) (*Journal, []Entry, error) {
	for _, folder := range []string{data, filepath.Join(data, "journal"), filepath.Join(data, "parts")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, nil, fmt.Errorf("make the data folder: %w", err)
		}
	}
	lock, err := lockFolder(data)
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{data: data, lock: lock}
	entries, err := j.read()
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return j, entries, nil
}

// lockWithin is how long the lock of an agent that was killed may still be held: by a step that it was about to start, which
// has the lock until its program begins.
const lockWithin = time.Second

// lockFolder makes this process the only agent in the folder, until it ends in any way.
func lockFolder(data string) (*os.File, error) {
	path := filepath.Join(data, "agent.lock")
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for since := time.Now(); errors.Is(err, syscall.EWOULDBLOCK) && time.Since(since) < lockWithin; {
		time.Sleep(lockWithin / 20)
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		defer lock.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		var process [20]byte
		n, _ := lock.ReadAt(process[:], 0)
		return nil, &InUse{Data: data, Process: strings.TrimSpace(string(process[:n]))}
	}
	_ = lock.Truncate(0)
	_, _ = lock.WriteAt(fmt.Appendln(nil, os.Getpid()), 0) // only for the sentence above
	return lock, nil
}

// read reads everything in the folder.
func (j *Journal) read() (entries []Entry, err error) {
	removeUnfinished(j.data)
	removeUnfinished(filepath.Join(j.data, "journal"))
	if j.identity, err = loadIdentity(j.data); err != nil {
		return nil, err
	}
	if err = j.loadMemory(); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(filepath.Join(j.data, "journal"))
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	for _, file := range files {
		deployment, ok := strings.CutSuffix(file.Name(), ".json")
		if !ok {
			continue
		}
		entry, err := j.readEntry(deployment)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	j.removeForgotten(entries)
	return entries, nil
}

// readEntry reads one entry and refuses what this package cannot have written.
func (j *Journal) readEntry(deployment string) (Entry, error) {
	const hint = "see that nothing of that deployment is running, then remove the file: the server will be told that the part was interrupted"
	path := j.entryPath(deployment)
	var stored struct {
		Format int `json:"format"`
		Entry
	}
	if err := readJSON(path, hint, &stored); err != nil {
		return Entry{}, err
	}
	e := stored.Entry
	known := e.State == Claiming || e.State == Running || e.State == Ended && e.End != nil
	if e.Deployment != deployment || !known || !SafeName(deployment) {
		return Entry{}, fmt.Errorf("%s is no entry of a journal; %s", path, hint)
	}
	return e, nil
}

// removeForgotten removes the folders of parts that have no entry.
func (j *Journal) removeForgotten(entries []Entry) {
	wanted := map[string]bool{}
	for _, entry := range entries {
		wanted[entry.Deployment] = true
	}
	folders, _ := os.ReadDir(filepath.Join(j.data, "parts"))
	for _, folder := range folders {
		if !wanted[folder.Name()] {
			_ = os.RemoveAll(filepath.Join(j.data, "parts", folder.Name()))
		}
	}
}

// Close gives the data folder free.
func (j *Journal) Close() error { return j.lock.Close() }

// Identity is who this agent is.
func (j *Journal) Identity() Identity { return j.identity }

// SecretsFile is where the machine's secrets are.
func (j *Journal) SecretsFile() string { return filepath.Join(j.data, "secrets.env") }

// HealthFolder is where the health check is run.
func (j *Journal) HealthFolder() string { return filepath.Join(j.data, "health") }

// PartFolder is the folder of a part; the deployment's id must be a SafeName.
func (j *Journal) PartFolder(deployment string) string {
	return filepath.Join(j.data, "parts", deployment)
}

// OutputFile is where the output of a part is kept.
func (j *Journal) OutputFile(deployment string) string {
	return filepath.Join(j.PartFolder(deployment), "output")
}

var safeName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// SafeName reports whether a deployment's id can be the name of a file.
func SafeName(deployment string) bool { return safeName.MatchString(deployment) }

func (j *Journal) entryPath(deployment string) string {
	return filepath.Join(j.data, "journal", deployment+".json")
}

// Put writes an entry down; when it returns without an error, the entry survives a crash. It
// makes the part's folder, which goes with the entry.
func (j *Journal) Put(e Entry) error {
	if !SafeName(e.Deployment) {
		return fmt.Errorf("deployment id %.100q cannot be the name of a file", e.Deployment)
	}
	if err := os.MkdirAll(j.PartFolder(e.Deployment), 0o700); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	stored := struct {
		Format int `json:"format"`
		Entry
	}{format, e}
	if err := writeJSON(j.entryPath(e.Deployment), stored); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// Forget removes an entry and the part's folder. One that comes back after a crash does no
// harm: what it asks for is safe to be done twice.
func (j *Journal) Forget(deployment string) error {
	if !SafeName(deployment) {
		return nil
	}
	err := os.Remove(j.entryPath(deployment))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(j.PartFolder(deployment)))
}

// CleanUp removes the scripts and the working folder of a part that has ended, not its output.
func (j *Journal) CleanUp(deployment string) error {
	files, err := os.ReadDir(j.PartFolder(deployment))
	for _, file := range files {
		if file.Name() != "output" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(j.PartFolder(deployment), file.Name())))
		}
	}
	return err
}
