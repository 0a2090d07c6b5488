package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/agent/run"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/ownership"
)

// State is the progress of a part.
type State string

// The states of an entry; see the diagram in the package documentation.
const (
	Claiming State = "claiming"
	Running  State = "running"
	Ended    State = "ended"
)

// Entry is the record of one part.
type Entry struct {
	Deployment string `json:"deployment"`
	Project    string `json:"project"`
	Release    string `json:"release,omitempty"`
	State      State  `json:"state"`
	// Number is the order of the entries; the wall clock may have been set in between.
	Number int64     `json:"number,omitempty"`
	Since  time.Time `json:"since"` // informational
	// Step and Group identify the last step that was started; running only.
	Step  string     `json:"step,omitempty"`
	Group *run.Group `json:"group,omitempty"`
	// Ran reports whether the first step may have been started; ended only.
	Ran bool `json:"ran,omitempty"`
	// End is the result; ended only.
	End *client.End `json:"end,omitempty"`
}

// InUse is the error for a data folder that another agent uses.
type InUse struct {
	Data    string
	Process string // the other agent's process id, if known
}

func (e *InUse) Error() string {
	return fmt.Sprintf("another agent (process %s) already uses %s; give each agent its own data folder", e.Process,
		e.Data)
}

// Journal is an open data folder. At most one agent can have it open.
type Journal struct {
	data     string
	lock     *os.File
	identity Identity

	quarantined *Quarantined // nil: none
	orphans     error        // see Orphans

	writing sync.Mutex // guards entries, and is held while one is written
	entries map[string]heldEntry

	mu     sync.Mutex // guards the fields below
	trust  Trust
	memory *client.Memory
	runs   []finishedRun // also in memory.json
	proven successes     // also in memory.json
}

// heldEntry is an entry in memory. Check writes it again if its file is outdated or was deleted.
type heldEntry struct {
	Entry
	written bool
}

// ownEntries are what this package writes or deletes in the data folder. Operators write secrets.env, which may be a link.
var ownEntries = []string{"agent.lock", "identity.json", "memory.json", "server.json", "journal", "parts", "health"}

// Open locks and reads the data folder, and creates missing files. It returns the entries that an earlier run of the
// agent left. Its errors are written for operators. If another agent uses the folder, the error is *InUse. A damaged
// memory is not an error; see Quarantined.
func Open(data string) (*Journal, []Entry, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, nil, fmt.Errorf("create the data folder: %w", err)
	}
	if err := ownership.Check(data, ownEntries...); err != nil {
		return nil, nil, err
	}
	for _, folder := range []string{filepath.Join(data, "journal"), filepath.Join(data, "parts")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, nil, fmt.Errorf("create the data folder: %w", err)
		}
	}
	lock, err := lockFolder(data)
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{data: data, lock: lock, entries: map[string]heldEntry{}}
	entries, err := j.read()
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return j, entries, nil
}

// lockTimeout is how long Open waits for the lock of an agent that was killed. A step that the agent was about to
// start holds the lock until its program begins.
const lockTimeout = time.Second

// lockFolder locks the folder for this process. The lock ends with the process, even after a crash.
func lockFolder(data string) (*os.File, error) {
	path := filepath.Join(data, "agent.lock")
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for since := time.Now(); errors.Is(err, syscall.EWOULDBLOCK) && time.Since(since) < lockTimeout; {
		time.Sleep(lockTimeout / 20)
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
	_, _ = lock.WriteAt(fmt.Appendln(nil, os.Getpid()), 0) // only for the message of InUse
	return lock, nil
}

// read reads all files in the folder.
func (j *Journal) read() (entries []Entry, err error) {
	removeTemporary(j.data)
	removeTemporary(filepath.Join(j.data, "journal"))
	if j.identity, err = loadIdentity(j.data); err != nil {
		return nil, err
	}
	if err = j.loadMemory(); err != nil {
		return nil, err
	}
	if err = j.loadTrust(); err != nil {
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
	for _, entry := range entries {
		j.entries[entry.Deployment] = heldEntry{entry, true}
	}
	j.orphans = j.RemoveOrphans()
	return entries, nil
}

// readEntry reads one entry and rejects content that this package cannot have written.
func (j *Journal) readEntry(deployment string) (Entry, error) {
	const hint = "make sure that no process of that deployment is running, then remove the file; " +
		"the agent will report the part as interrupted"
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
		return Entry{}, fmt.Errorf("%s is not a valid journal entry; %s", path, hint)
	}
	return e, nil
}

// RemoveOrphans removes the folders of all parts without an entry. It leaves files whose names are not those of
// deployments. If something stays, the error is *Left.
func (j *Journal) RemoveOrphans() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	folders, _ := os.ReadDir(filepath.Join(j.data, "parts"))
	var names []string
	for _, folder := range folders {
		if _, needed := j.entries[folder.Name()]; isDeployment(folder.Name()) && !needed {
			names = append(names, folder.Name())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return removeIn(filepath.Join(j.data, "parts"), names...)
}

// isDeployment reports whether a name is the id of a deployment, and so that of a folder that this package has created.
func isDeployment(name string) bool {
	_, err := domain.ParseID(name)
	return err == nil
}

// LeftFolder is the folder of a part that has ended and was not removed.
type LeftFolder struct {
	Path   string
	Mounts []string // mount points in it; only known on Linux
}

// LeftFolders returns the folders in a data folder that belong to ended parts. Another process may use the data folder.
func LeftFolders(data string) (left []LeftFolder) {
	folders, _ := os.ReadDir(filepath.Join(data, "parts"))
	for _, folder := range folders {
		entry := filepath.Join(data, "journal", folder.Name()+".json")
		if _, err := os.Lstat(entry); !isDeployment(folder.Name()) || !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		path := filepath.Join(data, "parts", folder.Name())
		left = append(left, LeftFolder{Path: path, Mounts: mountsIn(path)})
	}
	return left
}

// Orphans returns why folders of ended parts could not be removed by Open, or nil.
func (j *Journal) Orphans() error { return j.orphans }

// Close unlocks the data folder.
func (j *Journal) Close() error { return j.lock.Close() }

// Identity returns the identity of this agent.
func (j *Journal) Identity() Identity { return j.identity }

// SecretsFile returns the path of the machine's secrets file.
func (j *Journal) SecretsFile() string { return filepath.Join(j.data, "secrets.env") }

// HealthFolder returns the folder in which the health check runs.
func (j *Journal) HealthFolder() string { return filepath.Join(j.data, "health") }

// PartFolder returns the folder of a part. The deployment's id must be a SafeName.
func (j *Journal) PartFolder(deployment string) string {
	return filepath.Join(j.data, "parts", deployment)
}

// OutputFile returns the path of a part's output.
func (j *Journal) OutputFile(deployment string) string {
	return filepath.Join(j.PartFolder(deployment), "output")
}

var safeName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// SafeName reports whether a deployment's id can be used as a file name.
func SafeName(deployment string) bool { return safeName.MatchString(deployment) }

func (j *Journal) entryPath(deployment string) string {
	return filepath.Join(j.data, "journal", deployment+".json")
}

// Put stores an entry and creates the part's folder. When it returns without an error, the entry survives a crash. Otherwise
// Check tries again, until the entry is forgotten.
func (j *Journal) Put(e Entry) error {
	if !SafeName(e.Deployment) {
		return fmt.Errorf("deployment id %.100q is not a valid file name", e.Deployment)
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.put(e)
}

// put is Put. The caller holds writing.
func (j *Journal) put(e Entry) error {
	j.entries[e.Deployment] = heldEntry{Entry: e}
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
	j.entries[e.Deployment] = heldEntry{e, true}
	return nil
}

// Forget removes an entry and the part's folder. If the entry reappears after a crash, the agent only reports the same
// end again, which is harmless.
func (j *Journal) Forget(deployment string) error {
	if !SafeName(deployment) {
		return nil
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	delete(j.entries, deployment)
	err := os.Remove(j.entryPath(deployment))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeIn(filepath.Join(j.data, "parts"), deployment))
}

// CleanUp removes the scripts and the working folder of a part that has ended, but not its output. If something stays,
// the error is *Left.
func (j *Journal) CleanUp(deployment string) error {
	if !SafeName(deployment) {
		return nil
	}
	parts, err := os.Open(filepath.Join(j.data, "parts"))
	if err != nil {
		return err
	}
	defer parts.Close()
	folder, err := openInside(parts, deployment) // a step may have replaced it by a link
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clean up %s: %w", j.PartFolder(deployment), err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("clean up %s: %w", j.PartFolder(deployment), err)
	}
	return removeNames(folder, j.PartFolder(deployment), slices.DeleteFunc(names, func(name string) bool {
		return name == "output"
	}))
}
