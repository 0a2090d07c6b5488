package explain

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Reach counts the machines that a person's deployment would target now, and how many of them are ready for it.
type Reach struct {
	Machines int `json:"machines"`
	// Ready counts the machines that are enabled and online. The others are either disabled, or enabled and offline.
	Ready    int `json:"ready"`
	Offline  int `json:"offline"`
	Disabled int `json:"disabled"`
	// Have counts the machines that are left out because they have the release (onlyBehind).
	Have int `json:"have"`
	// Unavailable is what happens to the machines that are not ready: skip or fail.
	Unavailable string `json:"unavailable"`
}

// ReachOf counts the machines of a deployment. The caller has checked that the deployment is allowed.
func ReachOf(v *projections.View, d domain.Deploy) Reach {
	p := v.Projects[d.Project]
	if p == nil {
		return Reach{}
	}
	reach := Reach{Unavailable: string(p.Settings.Unavailable)}
	only, excluded := domain.SortedUnique(d.Machines), domain.SortedUnique(d.Exclude)
	for name, m := range v.Machines {
		switch {
		case len(only) > 0 && !contains(only, name), contains(excluded, name),
			!domain.InScope(&m.Machine, d.Environment, p.Settings.Roles, d.Roles):
			continue
		case d.OnlyBehind && v.HasRelease(p, m, d.Release):
			reach.Have++
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

func contains(sorted []string, name string) bool {
	_, found := slices.BinarySearch(sorted, name)
	return found
}
