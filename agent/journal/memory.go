package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/droverhq/drover/api/client"
)

// storedMemory is the part of memory.json that each version of drover has written.
type storedMemory struct {
	Format   int    `json:"format"`
	Checksum string `json:"checksum,omitempty"` // see sealed; earlier versions of drover wrote none
	client.Memory
	// Runs are the results of the last runs, oldest first.
	Runs []finishedRun `json:"runs,omitempty"`
}

// memoryFile is the content of memory.json.
type memoryFile struct {
	storedMemory
	// Proven is the record of successes; earlier versions of drover wrote none.
	Proven *successes `json:"proven,omitempty"`
}

// finishedRun is the result of a part of a project.
type finishedRun struct {
	client.End
	Project string `json:"project"`
}

// maxRuns is how many runs are retained. A restored log offers only those parts again that were open at the time of the
// backup.
const maxRuns = 64

// loadMemory reads memory.json. It quarantines a damaged file and continues with an empty memory: the memory protects
// only this machine, and a wrong memory could make the servers believe that the log has lost events.
func (j *Journal) loadMemory() error {
	path := filepath.Join(j.data, "memory.json")
	content, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	stored, err := decodeMemory(content)
	if err != nil {
		return j.quarantine(path, err)
	}
	if stored.Proven == nil {
		proven := successesFrom(stored.Memory, stored.Runs)
		stored.Proven = &proven
	}
	j.memory, j.runs, j.proven = &stored.Memory, stored.Runs, *stored.Proven
	if stored.Checksum == "" {
		_ = j.store(j.memory, j.runs, j.proven) // if this fails, the next change adds the checksum
	}
	return nil
}

// decodeMemory returns the content of memory.json, or an error if it is damaged or of an unsupported format.
func decodeMemory(content []byte) (stored memoryFile, err error) {
	if err := json.Unmarshal(content, &stored); err != nil {
		return stored, err
	}
	if stored.Format != format {
		return stored, fmt.Errorf("unsupported format %d: this version of drover supports only format %d",
			stored.Format, format)
	}
	if stored.Checksum != "" {
		return stored, checkSeal(content, stored.Checksum)
	}
	// Versions that wrote no checksum wrote no other field either. An unknown field is a damaged name of a field.
	strict := json.NewDecoder(bytes.NewReader(content))
	strict.DisallowUnknownFields()
	return stored, strict.Decode(&memoryFile{})
}

// Memory returns what the agent knows about the log, or nil before its first welcome.
func (j *Journal) Memory() *client.Memory {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.memory == nil {
		return nil
	}
	memory := *j.memory
	memory.Successes, memory.Deployments = maps.Clone(j.memory.Successes), maps.Clone(j.memory.Deployments)
	memory.Earlier, memory.EarlierDeployments = maps.Clone(j.memory.Earlier), maps.Clone(j.memory.EarlierDeployments)
	return &memory
}

// RecordLog stores the identity of the log that the welcome names. It discards the memory of any other log, except the
// successes that a second restore of the same backup would lose too. It keeps the memory if the log has lost events: the
// servers need the memory once a person has accepted that. It also discards the runs and the successes of another
// machine: the data folder may come from an image of that machine's disk, and this machine has not run those parts.
func (j *Journal) RecordLog(welcome client.Welcome, machine string) error {
	j.mu.Lock()
	memory, runs, proven := client.Memory{Revision: -1}, j.runs, j.proven
	if j.memory != nil {
		memory = *j.memory
	}
	j.mu.Unlock()
	fresh := client.Memory{Log: welcome.Log, Made: welcome.Made, LogProof: welcome.LogProof, Machine: machine, Revision: -1}
	sameOrigin := memory.Made == "" || welcome.Made == "" || memory.Made == welcome.Made
	switch {
	case memory.Log == "":
	case memory.Machine != machine:
		runs, proven = nil, successes{}
	case memory.Log == welcome.Log && memory.LogProof == "" && welcome.LogProof != "": // an older version wrote the memory
		memory.LogProof = welcome.LogProof
		return j.store(&memory, runs, proven)
	case memory.Log == welcome.Log, welcome.LostEvents && sameOrigin:
		return nil
	case !sameOrigin:
		proven = successes{} // the other cluster may have installed something else since
	default: // a restore was accepted
		fresh.Earlier = merged(memory.Earlier, memory.Successes)
		fresh.EarlierDeployments = merged(memory.EarlierDeployments, memory.Deployments)
	}
	return j.store(&fresh, runs, proven)
}

// merged returns a new map with the entries of both; those of newer take precedence.
func merged(older, newer map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, older)
	maps.Copy(all, newer)
	return all
}

// RecordEvent stores the newest event of the machine's stream. An older event changes nothing.
func (j *Journal) RecordEvent(event client.NewestEvent) error {
	return j.update(func(m *client.Memory) bool {
		if event.Log != m.Log || event.Revision <= m.Revision {
			return false
		}
		m.Revision, m.Event = event.Revision, event.Event
		return true
	})
}

// RecordSuccess stores the event that recorded the success of a project on this machine.
func (j *Journal) RecordSuccess(project string, end client.Ended) error {
	return j.update(func(m *client.Memory) bool {
		if m.Successes[project] == end.Event {
			return false
		}
		if m.Successes == nil {
			m.Successes = map[string]string{}
		}
		if m.Deployments == nil {
			m.Deployments = map[string]string{}
		}
		m.Successes[project], m.Deployments[project] = end.Event, end.Deployment
		delete(m.Earlier, project)
		delete(m.EarlierDeployments, project)
		return true
	})
}

// RecordRun stores the result of a part on this machine, independently of the log.
func (j *Journal) RecordRun(project string, end client.End) error {
	j.mu.Lock()
	runs, proven := append(slices.Clone(j.runs), finishedRun{end, project}), j.proven
	j.mu.Unlock()
	runs = runs[max(0, len(runs)-maxRuns):]
	return j.store(j.Memory(), runs, proven)
}

// PreviousRun returns the result of a part that already ran on this machine. older reports whether another part of its
// project has run since. A log that was restored from a backup may offer that part again.
func (j *Journal) PreviousRun(deployment string) (end client.End, older, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.IndexFunc(j.runs, func(r finishedRun) bool { return r.Deployment == deployment })
	if i < 0 {
		return end, false, false
	}
	older = slices.ContainsFunc(j.runs[i+1:], func(r finishedRun) bool { return r.Project == j.runs[i].Project })
	return j.runs[i].End, older, true
}

// update applies change to a copy of the memory and stores the copy if change returns true. If the write fails, the
// memory in use is unchanged, so that the next attempt writes it again.
func (j *Journal) update(change func(*client.Memory) bool) error {
	next := client.Memory{Revision: -1}
	if memory := j.Memory(); memory != nil {
		next = *memory
	}
	if !change(&next) {
		return nil
	}
	j.mu.Lock()
	runs, proven := j.runs, j.proven
	j.mu.Unlock()
	return j.store(&next, runs, proven)
}

// store replaces the memory, the runs and the record of successes, on disk first.
func (j *Journal) store(memory *client.Memory, runs []finishedRun, proven successes) error {
	if memory == nil {
		memory = &client.Memory{Revision: -1}
	}
	content, err := sealed(memoryFile{storedMemory{format, noChecksum, *memory, runs}, &proven})
	if err == nil {
		err = writeFile(filepath.Join(j.data, "memory.json"), content)
	}
	if err != nil {
		return fmt.Errorf("write the agent's memory: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.memory, j.runs, j.proven = memory, runs, proven
	return nil
}
