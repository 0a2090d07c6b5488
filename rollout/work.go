package rollout

import (
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Work is the part that a machine should be offered now: the oldest released one that a claim by its
// newest session would get. A machine runs one part at a time. Nil is no work.
func Work(v *projections.View, machine string) *projections.Part {
	m := v.Machines[machine]
	if m == nil {
		return nil
	}
	for _, part := range v.OpenPartsOn(machine) {
		if part.State == domain.PartReleased && v.ClaimCheck(part, m.Session) == "" {
			return part
		}
	}
	return nil
}

// Unfinished are the claimed parts of a machine that have no end, which its agent must answer for when it connects.
func Unfinished(v *projections.View, machine string) []*projections.Part {
	var parts []*projections.Part
	for _, part := range v.OpenPartsOn(machine) {
		if part.State == domain.PartRunning {
			parts = append(parts, part)
		}
	}
	return parts
}
