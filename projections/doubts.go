package projections

import "github.com/droverhq/drover/domain"

// Doubt is what the agent of a machine remembers and the log does not have.
type Doubt struct {
	// Server compared the memory, and Instance is that of the machine at that time.
	Server, Instance domain.ID
	// Missing describes what is missing.
	Missing string
	// Log is the id of the log that the agent remembers, if this log never had it; else zero.
	Log domain.ID
}

// DoubtOf returns the doubt about a machine, or nil. What a server found out counts while it is the server of the
// machine's session: another server compares the memory again.
func (v *View) DoubtOf(m *Machine) *Doubt {
	if d, ok := v.Doubts[m.Name]; ok && d.Instance == m.Instance && d.Server == m.Server {
		return &d
	}
	if m.MemoryExcepted {
		return &Doubt{Server: m.Server, Instance: m.Instance, Missing: "events that were excepted when the restore was accepted"}
	}
	return nil
}
