package rollout

import (
	"cmp"
	"slices"

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

// Killed returns the claimed parts that a person asked to stop and whose end the machine's agent has not reported, in
// the order of their claims. Parts that were declared lost are included, because the agent may still run them when it
// returns. An exception is a lost part of a deleted project: the view no longer assigns it to the machine.
func Killed(v *projections.View, machine string) []*projections.Part {
	m := v.Machines[machine]
	if m == nil {
		return nil
	}
	parts := slices.Clone(v.OpenPartsOn(machine)) // also those of deleted projects
	for _, i := range m.Installed {               // a part that has started is the last one of its project
		if i.Last != nil && !slices.Contains(parts, i.Last) {
			parts = append(parts, i.Last)
		}
	}
	parts = slices.DeleteFunc(parts, func(part *projections.Part) bool {
		return part.Kill == nil || part.Reported || part.Instance != m.Instance
	})
	slices.SortFunc(parts, func(a, b *projections.Part) int { return cmp.Compare(a.Claimed, b.Claimed) })
	return parts
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
