package domain

import (
	"reflect"
	"slices"
)

// Category classifies machine events for triggers. It is the name of the event type, except that health changes have
// one category for each status.
type Category string

// The categories and the groups of categories.
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

// Categories returns every category and group, for messages and completion.
func Categories() []Category {
	return append(slices.Clone(groups[AllGroup]), AvailableGroup, UnavailableGroup, HealthGroup, AllGroup)
}

// Expand replaces groups with their members and returns the sorted categories without duplicates. If a name is unknown,
// it returns the first unknown name and no members.
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

// categorizer returns the category of an event of one type, or false if the event has none.
type categorizer func(Event) (Category, bool)

func always(c Category) categorizer {
	return func(Event) (Category, bool) { return c, true }
}

func byHealth(e Event) (Category, bool) {
	return healthCategory(e.(MachineHealthChanged).Status) //nolint:forcetypeassert // the row has the type
}

// CategoryOf returns the category of an event, or false if triggers cannot react to the event.
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

// Sign returns +1 if events of the category make a machine more available, -1 if they make it less available, and 0
// otherwise. The balance of a machine is the sum of the signs. It is for display only and affects no decision.
func (c Category) Sign() int {
	switch c {
	case Added, Enabled, CameOnline, BecameHealthy, BecameWarning:
		return +1
	case Disabled, WentOffline, BecameUnhealthy, Deleted:
		return -1
	}
	return 0
}

// Opens reports whether an event of this category can open a candidate.
func (c Category) Opens() bool { return c.Sign() > 0 || c == Changed }
