package domain

import (
	"slices"
	"strings"
)

// ConditionKind is a problem of a machine that its agent reports. The list is closed.
type ConditionKind string

// The kinds of conditions.
const (
	JournalNotWritable ConditionKind = "journal-not-writable"
	DiskFull           ConditionKind = "disk-full"
	DataFolderMissing  ConditionKind = "data-folder-missing"
	Leftovers          ConditionKind = "leftovers"
)

// conditionKinds lists the kinds in the order in which they are shown. A kind that blocks keeps the agent from starting
// parts. The text follows "its agent reports that".
var conditionKinds = []struct {
	kind   ConditionKind
	blocks bool
	text   string
}{
	{DataFolderMissing, true, "its data folder is missing"},
	{DiskFull, true, "the disk of its data folder is full"},
	{JournalNotWritable, true, "it cannot write its journal"},
	{Leftovers, false, "it could not remove files of ended parts"},
}

// ConditionKinds lists the kinds in the order in which they are shown.
func ConditionKinds() []ConditionKind {
	all := make([]ConditionKind, len(conditionKinds))
	for i, row := range conditionKinds {
		all[i] = row.kind
	}
	return all
}

// Known reports whether this version of drover knows the kind.
func (k ConditionKind) Known() bool { return slices.Contains(ConditionKinds(), k) }

// Blocks reports whether an agent that reports the kind starts no parts.
func (k ConditionKind) Blocks() bool {
	for _, row := range conditionKinds {
		if row.kind == k {
			return row.blocks
		}
	}
	return false
}

// Condition is a problem of a machine that its agent reports. It is the state of the machine, and no result of a release.
type Condition struct {
	Kind ConditionKind `json:"kind"`
	// Detail says what failed, in the words of the agent; one line, may be empty.
	Detail string `json:"detail,omitempty"`
}

// Text returns a clause that follows "its agent reports that".
func (c Condition) Text() string {
	for _, row := range conditionKinds {
		if row.kind == c.Kind {
			return row.text + InParentheses(c.Detail)
		}
	}
	return OneLine(string(c.Kind)) + InParentheses(c.Detail)
}

// cleanConditions returns the conditions of known kinds, one of each kind, in the order in which they are shown. Their
// details are bounded lines. A kind that only a newer agent knows is left out.
func cleanConditions(reported []Condition) (clean []Condition) {
	for _, kind := range ConditionKinds() {
		i := slices.IndexFunc(reported, func(c Condition) bool { return c.Kind == kind })
		if i >= 0 {
			clean = append(clean, Condition{Kind: kind, Detail: strings.TrimSpace(OneLine(reported[i].Detail))})
		}
	}
	return clean
}

// Blocked returns the first condition that keeps the machine's agent from starting parts, and false without one.
func (m *Machine) Blocked() (Condition, bool) {
	i := slices.IndexFunc(m.Conditions, func(c Condition) bool { return c.Kind.Blocks() })
	if i < 0 {
		return Condition{}, false
	}
	return m.Conditions[i], true
}

// ReportConditions reports all conditions of a machine; none if nothing is wrong any more.
type ReportConditions struct {
	Name       string      `json:"name"`
	Session    ID          `json:"session"`
	Conditions []Condition `json:"conditions"`
}

// Stream returns the stream of the machine.
func (c ReportConditions) Stream(World) string { return MachineStream(c.Name) }

// Decide writes a change of the conditions that the newest session reports.
func (c ReportConditions) Decide(w World) ([]Event, *Rejection) {
	m := w.Machine(c.Name)
	switch {
	case m == nil:
		return nil, machineNotFound(c.Name)
	case c.Session != m.Session || !m.Online:
		return nil, olderSession(c.Name)
	}
	conditions := cleanConditions(c.Conditions)
	if slices.Equal(conditions, m.Conditions) {
		return nil, nil
	}
	return []Event{MachineConditionsChanged{Conditions: conditions, Session: c.Session}}, nil
}
