package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"

	"github.com/droverhq/drover/api/client"
)

// storedMemory is the form of memory.json.
type storedMemory struct {
	Format int `json:"format"`
	client.Memory
}

func loadMemory(data string) (*client.Memory, error) {
	var stored storedMemory
	err := readJSON(filepath.Join(data, "memory.json"), "remove it, and the agent begins to remember anew", &stored)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &stored.Memory, err
}

// Memory returns what the agent remembers of the log; nil before its first welcome.
func (j *Journal) Memory() *client.Memory {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.memory == nil {
		return nil
	}
	memory := *j.memory
	memory.Successes = maps.Clone(j.memory.Successes)
	return &memory
}

// RememberLog notes the log of a server that welcomed the agent. What was remembered of
// another log is no knowledge about this one and is dropped.
func (j *Journal) RememberLog(log string) error {
	return j.remember(func(m *client.Memory) bool {
		if m.Log == log {
			return false
		}
		*m = client.Memory{Log: log, Revision: -1}
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
func (j *Journal) RememberSuccess(project, event string) error {
	return j.remember(func(m *client.Memory) bool {
		if m.Successes[project] == event {
			return false
		}
		if m.Successes == nil {
			m.Successes = map[string]string{}
		}
		m.Successes[project] = event
		return true
	})
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
	if err := writeJSON(filepath.Join(j.data, "memory.json"), storedMemory{format, next}); err != nil {
		return fmt.Errorf("remember the log: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.memory = &next
	return nil
}
