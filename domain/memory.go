package domain

import (
	"slices"
	"strings"
	"unicode"
)

// maxAcceptedMemory is how many accepted ids of a machine are kept.
const maxAcceptedMemory = 500

func (m *Machine) clearMemory(accepted []ID) {
	m.MemoryAccepted, m.MemoryExcepted = false, false
	all := slices.Clone(m.AcceptedMemory)
	for _, id := range accepted {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	m.AcceptedMemory = all[max(0, len(all)-maxAcceptedMemory):]
}

// Commands about what the agents of machines remember.
type (
	// AcceptMemory accepts that the log does not have what the agent of one machine remembers.
	AcceptMemory struct {
		Name string `json:"name"`
		Origin
	}
	// ClearMemory reports that the agent of such a machine has connected, and that its missing ids are accepted. It also
	// ends an exception from an accepted restore, once the log has all that the agent remembers.
	ClearMemory struct {
		Name     string `json:"name"`
		Accepted []ID   `json:"accepted"`
	}
)

// Stream returns the stream of the machine.
func (c AcceptMemory) Stream(World) string { return MachineStream(c.Name) }

// Stream returns the stream of the machine.
func (c ClearMemory) Stream(World) string { return MachineStream(c.Name) }

// Decide accepts what the agent remembers.
func (c AcceptMemory) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	switch {
	case m == nil:
		return nil, machineNotFound(c.Name)
	case m.MemoryAccepted:
		return nil, nil
	}
	return []Event{MachineMemoryAccepted{Origin: c.Origin}}, nil
}

// Decide records the accepted ids. It changes nothing without an acceptance or exception.
func (c ClearMemory) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	switch {
	case m == nil:
		return nil, machineNotFound(c.Name)
	case !m.MemoryAccepted && !m.MemoryExcepted:
		return nil, nil
	}
	return []Event{MachineMemoryCleared{Session: m.Session, Accepted: c.Accepted}}, nil
}

// maxLineBytes is the limit of OneLine.
const maxLineBytes = 200

// OneLine returns the printable characters of a text that may come from an agent, at most 200 bytes of them.
func OneLine(text string) string {
	return truncate(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text), maxLineBytes)
}
