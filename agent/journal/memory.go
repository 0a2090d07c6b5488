package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/droverhq/drover/api/client"
)

// storedMemory is the form of memory.json.
type storedMemory struct {
	Format int `json:"format"`
	client.Memory
	// Runs are the ends of the parts that were run last, oldest first.
	Runs []ranPart `json:"runs,omitempty"`
}

// ranPart is how a part of a project ended.
type ranPart struct {
	client.End
	Project string `json:"project"`
}

// runsKept is how many runs are remembered. A log that is restored offers again at most what was open then.
const runsKept = 64

func (j *Journal) loadMemory() error {
	var stored storedMemory
	err := readJSON(filepath.Join(j.data, "memory.json"), "remove it, and the agent begins to remember anew", &stored)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	j.memory, j.runs = &stored.Memory, stored.Runs
	return err
}

// Memory returns what the agent remembers of the log; nil before its first welcome.
func (j *Journal) Memory() *client.Memory {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.memory == nil {
		return nil
	}
	memory := *j.memory
	memory.Successes, memory.Deployments = maps.Clone(j.memory.Successes), maps.Clone(j.memory.Deployments)
	return &memory
}

// RememberLog notes the log of a server that welcomed the agent as a machine. What was remembered of another log is no
// knowledge about this one and is dropped; so is all that was remembered as another machine, as the data folder may come
// from the image of that one's disk, and what that one has run was not run here.
func (j *Journal) RememberLog(welcome client.Welcome, machine string) error {
	anew := client.Memory{Log: welcome.Log, Made: welcome.Made, Machine: machine, Revision: -1}
	if m := j.Memory(); m != nil && m.Log != "" && m.Machine != machine {
		return j.store(&anew, nil)
	}
	return j.remember(func(m *client.Memory) bool {
		if m.Log == welcome.Log {
			return false
		}
		*m = anew
		return true
	})
}

// RememberEvent notes the newest event of the machine's stream; an older one changes nothing.
func (j *Journal) RememberEvent(told client.Told) error {
	return j.remember(func(m *client.Memory) bool {
		if told.Log != m.Log || told.Revision <= m.Revision {
			return false
		}
		m.Revision, m.Event = told.Revision, told.Event
		return true
	})
}

// RememberSuccess notes the event by which a success of a project on this machine was recorded.
func (j *Journal) RememberSuccess(project string, end client.Ended) error {
	return j.remember(func(m *client.Memory) bool {
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
		return true
	})
}

// RememberRun notes how a part ended that was run here, whatever becomes of the log.
func (j *Journal) RememberRun(project string, end client.End) error {
	j.mu.Lock()
	runs := append(slices.Clone(j.runs), ranPart{end, project})
	j.mu.Unlock()
	runs = runs[max(0, len(runs)-runsKept):]
	return j.store(j.Memory(), runs)
}

// Run finds how a part ended that was run here before, and whether another part of its project was run since. A log that
// was restored from a backup may offer it once more.
func (j *Journal) Run(deployment string) (end client.End, older, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.IndexFunc(j.runs, func(r ranPart) bool { return r.Deployment == deployment })
	if i < 0 {
		return end, false, false
	}
	older = slices.ContainsFunc(j.runs[i+1:], func(r ranPart) bool { return r.Project == j.runs[i].Project })
	return j.runs[i].End, older, true
}

// remember writes the memory down if change changed it; what cannot be written is not
// remembered either, so that it is tried again.
func (j *Journal) remember(change func(*client.Memory) bool) error {
	next := client.Memory{Revision: -1}
	if memory := j.Memory(); memory != nil {
		next = *memory
	}
	if !change(&next) {
		return nil
	}
	j.mu.Lock()
	runs := j.runs
	j.mu.Unlock()
	return j.store(&next, runs)
}

// store replaces what is remembered, on disk first.
func (j *Journal) store(memory *client.Memory, runs []ranPart) error {
	if memory == nil {
		memory = &client.Memory{Revision: -1}
	}
	if err := writeJSON(filepath.Join(j.data, "memory.json"), storedMemory{format, *memory, runs}); err != nil {
		return fmt.Errorf("remember the log: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.memory, j.runs = memory, runs
	return nil
}
