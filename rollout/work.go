package rollout

import (
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Work returns the part that a machine should be offered now, or nil: the oldest released part that a claim by its
// current session would get. A machine runs one part at a time.
func Work(v *projections.View, machine string) *projections.Part {
	m := v.Machines[machine]
	if m == nil {
		return nil
	}
	for _, part := range v.OpenPartsOn(machine) {
		if v.ClaimCheck(part, m.Session) == "" {
			return part
		}
	}
	return nil
}

// Unfinished returns the claimed parts of a machine that have not ended. Its agent must report them when it connects.
func Unfinished(v *projections.View, machine string) []*projections.Part {
	var parts []*projections.Part
	for _, part := range v.OpenPartsOn(machine) {
		if part.State == domain.PartRunning {
			parts = append(parts, part)
		}
	}
	return parts
}
