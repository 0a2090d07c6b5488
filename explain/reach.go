package explain

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Reach is which machines a person's deployment would go to now, and whether they can take it.
type Reach struct {
	Machines int `json:"machines"`
	// Ready are enabled and online; the others are disabled, or else offline.
	Ready    int `json:"ready"`
	Offline  int `json:"offline"`
	Disabled int `json:"disabled"`
	// Unavailable is what becomes of those that are not ready: skip or fail.
	Unavailable string `json:"unavailable"`
}

// ReachOf counts the machines of a deployment that was found to be allowed.
func ReachOf(v *projections.View, d domain.Deploy) Reach {
	p := v.Projects[d.Project]
	if p == nil {
		return Reach{}
	}
	reach := Reach{Unavailable: string(p.Settings.Unavailable)}
	asked, left := domain.Names(d.Machines), domain.Names(d.Exclude)
	for name, m := range v.Machines {
		switch {
		case len(asked) > 0 && !among(asked, name), among(left, name),
			!domain.InScope(&m.Machine, d.Environment, p.Settings.Roles, nil):
			continue
		case m.Disabled:
			reach.Disabled++
		case !m.Online:
			reach.Offline++
		default:
			reach.Ready++
		}
		reach.Machines++
	}
	return reach
}

func among(sorted []string, name string) bool {
	_, found := slices.BinarySearch(sorted, name)
	return found
}
