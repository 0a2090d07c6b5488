package explain

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Accesses returns the Access resources, sorted by name.
func Accesses(v *projections.View, names Names, f Filter) List[Access] {
	settings := v.World().Accesses().Settings()
	return page(v, f, namesAfter(settings, f.After), func(name string) (Access, bool) {
		return access(name, settings[name], names), true
	}, nil)
}

// AccessOf returns the Access of that name, and false if it does not exist.
func AccessOf(v *projections.View, names Names, name string) (Access, bool) {
	a := v.World().Accesses().Get(name)
	if a == nil {
		return Access{}, false
	}
	return access(name, a.Settings, names), true
}

func access(name string, s domain.AccessSettings, names Names) Access {
	shown := Access{Name: name, Who: s.Who, Permission: s.Permission, Projects: s.Projects, Environments: s.Environments}
	for _, id := range s.Who.People {
		if names[id] != "" {
			if shown.PeopleNames == nil {
				shown.PeopleNames = map[string]string{}
			}
			shown.PeopleNames[id] = names[id]
		}
	}
	return shown
}

// AccessTable returns the output of `get access`.
func AccessTable(list []Access) Table {
	return table("NAME PERMISSION PROJECTS ENVIRONMENTS WHO", list, func(a Access) []string {
		var who []string
		for _, id := range a.Who.People {
			who = append(who, cmp.Or(a.PeopleNames[id], id))
		}
		for _, group := range a.Who.Groups {
			who = append(who, "group "+group)
		}
		for _, id := range a.Who.Tokens {
			who = append(who, "token "+id)
		}
		return []string{a.Name, string(a.Permission), joined(a.Projects), joined(a.Environments), joined(who)}
	})
}

// MayTable returns the output of `access who`.
func MayTable(list []May) Table {
	return table("TOKEN PERSON BECAUSE", list, func(m May) []string {
		return []string{cmp.Or(m.Name, m.Token), dash(cmp.Or(m.PersonName, m.Person)), m.Because}
	})
}

// WhoMay returns the tokens that may do what needs n, sorted by id. If who is not empty, it returns instead every token
// with this id or name, or of this person or group, whether or not it may. now is the time for the expiry of tokens.
func WhoMay(v *projections.View, names Names, n domain.Need, who string, now time.Time) []May {
	list := []May{}
	world := v.World()
	for _, t := range world.Tokens() {
		s := t.Settings
		if who != "" && t.ID != who && s.Name != who && s.Person != who && names[s.Person] != who &&
			!slices.Contains(s.Groups, who) {
			continue
		}
		ok, because := domain.May(domain.TokenPrincipal(world, t.ID, now), n)
		if ok || who != "" {
			list = append(list, May{Token: t.ID, Name: s.Name, Person: s.Person, PersonName: names[s.Person], Groups: s.Groups, May: ok,
				Because: because})
		}
	}
	return list
}

// MayNotes returns what else prevents what needs n, or is unusual about it, as sentences without a full stop.
func MayNotes(v *projections.View, n domain.Need) []string {
	notes := []string{}
	if name := n.Project; name != "" && name != domain.All {
		switch p := v.Projects[name]; {
		case p == nil:
			notes = append(notes, "project "+name+" does not exist"+nearest(name, sortedNames(v.Projects)))
		case p.Disabled:
			notes = append(notes, "project "+name+" is disabled, so no part of it starts")
		}
	}
	if name := n.Environment; name != "" && name != domain.All && v.Environments[name] == nil {
		notes = append(notes, "environment "+name+" does not exist"+nearest(name, sortedNames(v.Environments)))
	}
	return notes
}

// nearest returns a question that suggests a known name, or nothing.
func nearest(name string, known []string) string {
	for _, other := range known {
		if strings.HasPrefix(other, name) || strings.HasPrefix(name, other) {
			return "; did you mean " + other + "?"
		}
	}
	return ""
}

func sortedNames[V any](m map[string]V) []string { return namesAfter(m, "") }
