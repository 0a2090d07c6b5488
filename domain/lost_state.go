package domain

import (
	"slices"
	"strings"
)

// ReportLostState reports that the agent of a machine does not remember these successes.
type ReportLostState struct {
	Name    string        `json:"name"`
	Session ID            `json:"session"`
	Lost    []LostSuccess `json:"lost"`
}

// Stream returns the stream of the machine.
func (c ReportLostState) Stream(World) string { return MachineStream(c.Name) }

// Decide records the successes that the log still counts as the last ones of their projects. Only the newest session
// can report them: an earlier one may have been another state of the disk.
func (c ReportLostState) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	if m == nil {
		return nil, machineNotFound(c.Name)
	}
	if c.Session != m.Session {
		return nil, olderSession(c.Name)
	}
	lost := slices.Clone(c.Lost)
	lost = slices.DeleteFunc(lost, func(s LostSuccess) bool {
		return s.Deployment.IsZero() || w.ActualFrom(s.Project, c.Name) != s.Deployment
	})
	if len(lost) == 0 {
		return nil, nil
	}
	slices.SortFunc(lost, func(a, b LostSuccess) int { return strings.Compare(a.Project, b.Project) })
	lost = slices.CompactFunc(lost, func(a, b LostSuccess) bool { return a.Project == b.Project })
	for i := range lost {
		lost[i].Release = w.Actual(lost[i].Project, c.Name)
		lost[i].Proven = truncate(lost[i].Proven, MaxNameLength)
	}
	return []Event{MachineLostState{Session: c.Session, Lost: lost}}, nil
}
