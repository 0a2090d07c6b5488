package domain

import (
	"reflect"
	"slices"
)

// Category is what a trigger names: a machine event's name, with health split by its status.
type Category string

// The categories, and the groups that stand for several of them.
const (
	Added           Category = "MachineAdded"
	Changed         Category = "MachineChanged"
	Enabled         Category = "MachineEnabled"
	Disabled        Category = "MachineDisabled"
	CameOnline      Category = "MachineCameOnline"
	WentOffline     Category = "MachineWentOffline"
	BecameHealthy   Category = "MachineBecameHealthy"
	BecameWarning   Category = "MachineBecameWarning"
	BecameUnhealthy Category = "MachineBecameUnhealthy"
	Deleted         Category = "MachineDeleted"

	AvailableGroup   Category = "MachineAvailable"
	UnavailableGroup Category = "MachineUnavailable"
	HealthGroup      Category = "MachineHealthChanged"
	AllGroup         Category = "Machine"
)

var groups = map[Category][]Category{
	AvailableGroup:   {Added, Enabled, CameOnline, BecameHealthy, BecameWarning, Changed},
	UnavailableGroup: {Disabled, WentOffline, BecameUnhealthy, Deleted},
	HealthGroup:      {BecameHealthy, BecameWarning, BecameUnhealthy},
	AllGroup: {Added, Changed, Enabled, Disabled, CameOnline, WentOffline,
		BecameHealthy, BecameWarning, BecameUnhealthy, Deleted},
}

// Categories lists every category and group, for messages and completion.
func Categories() []Category {
	return append(slices.Clone(groups[AllGroup]), AvailableGroup, UnavailableGroup, HealthGroup, AllGroup)
}

// Expand replaces groups by their members; it reports the first unknown name.
func Expand(named []Category) (members []Category, unknown Category) {
	for _, c := range named {
		switch group, ok := groups[c]; {
		case ok:
			members = append(members, group...)
		case slices.Contains(groups[AllGroup], c):
			members = append(members, c)
		default:
			return nil, c
		}
	}
	slices.Sort(members)
	return slices.Compact(members), ""
}

// category is which category an event of one type belongs to.
type category func(Event) (Category, bool)

func always(c Category) category {
	return func(Event) (Category, bool) { return c, true }
}

func byHealth(e Event) (Category, bool) {
	return healthCategory(e.(MachineHealthChanged).Status) //nolint:forcetypeassert // the row has the type
}

// CategoryOf says which category an event belongs to; none for facts that no trigger can name.
func CategoryOf(e Event) (Category, bool) {
	if of := categoryOf[reflect.TypeOf(e)]; of != nil {
		return of(e)
	}
	return "", false
}

func healthCategory(h Health) (Category, bool) {
	switch h {
	case Healthy:
		return BecameHealthy, true
	case Warning:
		return BecameWarning, true
	case Unhealthy:
		return BecameUnhealthy, true
	}
	return "", false
}

// Sign is +1 for an event that makes a machine more available, -1 for less, 0 for neither.
// The sum per machine is the balance that people are shown; it decides nothing.
func (c Category) Sign() int {
	switch c {
	case Added, Enabled, CameOnline, BecameHealthy, BecameWarning:
		return +1
	case Disabled, WentOffline, BecameUnhealthy, Deleted:
		return -1
	}
	return 0
}

// Opens says whether an event of this category can open a candidate.
func (c Category) Opens() bool { return c.Sign() > 0 || c == Changed }
