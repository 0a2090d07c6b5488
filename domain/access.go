package domain

import (
	"slices"
	"strings"
)

// AccessSettings grant a permission to people, groups and tokens.
type AccessSettings struct {
	Who        AccessWho  `json:"who"`
	Permission Permission `json:"permission"`
	// Projects and Environments limit the permission to these names; ["*"] means every name.
	Projects     []string `json:"projects"`
	Environments []string `json:"environments"`
}

// AccessWho lists whom an Access grants its permission. A person or a group stands for the tokens that belong to it.
type AccessWho struct {
	People []string `json:"people,omitempty"` // ids
	Groups []string `json:"groups,omitempty"`
	Tokens []string `json:"tokens,omitempty"` // ids or names
}

// Access is a named grant, folded from its stream.
type Access struct {
	Name     string
	Settings AccessSettings
}

// Accesses are all Access resources of a log, with an index by the token, person and group that they name.
type Accesses struct {
	byName map[string]*Access
	byWho  map[who][]*Access // sorted by name
}

// who is one entry of AccessWho.
type who struct {
	kind whoKind
	name string
}

type whoKind string

const (
	whoPerson whoKind = "person"
	whoGroup  whoKind = "group"
	whoToken  whoKind = "token"
)

// NewAccesses returns an empty set.
func NewAccesses() *Accesses {
	return &Accesses{byName: map[string]*Access{}, byWho: map[who][]*Access{}}
}

// Get returns an Access by name, or nil.
func (a *Accesses) Get(name string) *Access {
	if a == nil {
		return nil
	}
	return a.byName[name]
}

// Settings returns the settings of all Access resources by name.
func (a *Accesses) Settings() map[string]AccessSettings {
	all := make(map[string]AccessSettings, len(a.byName))
	for name, access := range a.byName {
		all[name] = access.Settings
	}
	return all
}

// Names returns the names of all Access resources, sorted.
func (a *Accesses) Names() []string { return sortedKeys(a.byName) }

// Fold folds an event of the stream of an Access.
func (a *Accesses) Fold(name string, e Event) {
	switch e := e.(type) {
	case AccessDefined:
		a.Set(name, e.Settings)
	case AccessDeleted:
		a.Delete(name)
	}
}

// Set creates or replaces an Access.
func (a *Accesses) Set(name string, settings AccessSettings) {
	a.Delete(name)
	added := &Access{Name: name, Settings: settings}
	a.byName[name] = added
	for _, w := range settings.Who.all() {
		list := append(slices.Clone(a.byWho[w]), added)
		slices.SortFunc(list, func(x, y *Access) int { return strings.Compare(x.Name, y.Name) })
		a.byWho[w] = slices.Compact(list)
	}
}

// Delete removes an Access, if it exists.
func (a *Accesses) Delete(name string) {
	old := a.byName[name]
	if old == nil {
		return
	}
	delete(a.byName, name)
	for _, w := range old.Settings.Who.all() {
		a.byWho[w] = slices.DeleteFunc(slices.Clone(a.byWho[w]), func(x *Access) bool { return x == old })
		if len(a.byWho[w]) == 0 {
			delete(a.byWho, w)
		}
	}
}

func (w AccessWho) all() (all []who) {
	for _, id := range w.People {
		all = append(all, who{whoPerson, id})
	}
	for _, name := range w.Groups {
		all = append(all, who{whoGroup, name})
	}
	for _, id := range w.Tokens {
		all = append(all, who{whoToken, id})
	}
	return all
}

// of returns what Access resources grant to a token. It leaves out an Access for which counts returns false.
func (a *Accesses) of(t *Token, counts func(name string) bool) (grants []Grant) {
	if a == nil || len(a.byName) == 0 {
		return nil
	}
	as := []who{{whoToken, t.ID}}
	if t.Settings.Name != "" {
		as = append(as, who{whoToken, t.Settings.Name})
	}
	if t.Settings.Person != "" {
		as = append(as, who{whoPerson, t.Settings.Person})
	}
	for _, group := range t.Settings.Groups {
		as = append(as, who{whoGroup, group})
	}
	for _, w := range as {
		for _, access := range a.byWho[w] {
			if counts(access.Name) {
				grants = append(grants, access.grant(w))
			}
		}
	}
	return grants
}

// grant returns what the Access grants to an entry of its list.
func (a *Access) grant(to who) Grant {
	s := &a.Settings
	return Grant{Verbs: s.Permission.Verbs(), Projects: s.Projects, Environments: s.Environments,
		Source: Source{Permission: s.Permission, Access: a.Name, Kind: string(to.kind), Name: to.name}}
}

// Normal returns the settings with sorted lists.
func (s AccessSettings) Normal() AccessSettings {
	s.Who.People, s.Who.Groups, s.Who.Tokens = SortedUnique(s.Who.People), SortedUnique(s.Who.Groups),
		SortedUnique(s.Who.Tokens)
	s.Projects, s.Environments = withoutRedundant(s.Projects), withoutRedundant(s.Environments)
	return s
}

// withoutRedundant returns a sorted set of names, which is only All if it contains All.
func withoutRedundant(names []string) []string {
	if slices.Contains(names, All) {
		return []string{All}
	}
	return SortedUnique(names)
}

// Equal reports whether two settings grant the same in the same words.
func (s AccessSettings) Equal(other AccessSettings) bool {
	a, b := s.Normal(), other.Normal()
	return a.Permission == b.Permission && slices.Equal(a.Who.all(), b.Who.all()) &&
		slices.Equal(a.Projects, b.Projects) && slices.Equal(a.Environments, b.Environments)
}

// MaxAccessEntries bounds each list of an Access.
const MaxAccessEntries = 500

// Check rejects invalid settings.
func (s AccessSettings) Check() *Rejection {
	if s.Permission.Verbs() == nil {
		return unknownPermission(s.Permission)
	}
	if len(s.Who.all()) == 0 {
		return invalid("who names nobody").hint("write who: {people: [ID]}, {groups: [NAME]} or {tokens: [NAME]}")
	}
	for _, list := range []struct {
		what     string
		names    []string
		all      bool // All is an entry
		required bool
	}{
		{"person", s.Who.People, false, false}, {"group", s.Who.Groups, false, false}, {"token", s.Who.Tokens, false, false},
		{"project", s.Projects, true, true}, {"environment", s.Environments, true, true},
	} {
		if list.required && len(list.names) == 0 {
			return invalid("no %s is named", list.what).hint(`write %ss: [NAME], or ["*"] for all`, list.what)
		}
		if r := checkEntries(list.what, list.names, list.all); r != nil {
			return r
		}
	}
	return nil
}

// checkEntries checks a list of names. all permits All.
func checkEntries(what string, names []string, all bool) *Rejection {
	if len(names) > MaxAccessEntries {
		return invalid("too many %ss: %d", what, len(names)).hint("use at most %d", MaxAccessEntries)
	}
	for _, name := range names {
		if all && name == All {
			continue
		}
		if r := CheckName(what, name); r != nil {
			return r
		}
	}
	return nil
}

func unknownPermission(p Permission) *Rejection {
	return invalid("unknown permission %.40q", p).
		hint("use viewer, operator, releaser, deployer, approver, owner or admin")
}

// Commands for Access resources.
type (
	// ApplyAccess creates an Access or replaces its settings.
	ApplyAccess struct {
		Name     string         `json:"name"`
		Settings AccessSettings `json:"settings"`
		Origin
	}
	// DeleteAccess deletes an Access.
	DeleteAccess struct {
		Name string `json:"name"`
		Origin
	}
)

// Stream returns the stream of the Access.
func (c ApplyAccess) Stream(World) string { return AccessStream(c.Name) }

// Stream returns the stream of the Access.
func (c DeleteAccess) Stream(World) string { return AccessStream(c.Name) }

// Decide creates the Access, or writes settings that differ. It rejects settings that would leave no admin.
func (c ApplyAccess) Decide(w World) ([]Event, *Rejection) {
	settings := c.Settings.Normal()
	if r := CheckName("access", c.Name); r != nil {
		return nil, r
	}
	if r := settings.Check(); r != nil {
		return nil, r
	}
	old := w.Accesses().Get(c.Name)
	for _, id := range settings.Who.Tokens {
		known := old != nil && slices.Contains(old.Settings.Who.Tokens, id)
		if known {
			continue
		}
		switch t, r := FindToken(w, id); {
		case r != nil:
			return nil, r
		case t == nil:
			return nil, notFound("access %s: token %.80q does not exist", c.Name, id).hint("`drover token list` lists them")
		}
	}
	if old != nil && old.Settings.Equal(settings) {
		return nil, nil
	}
	if r := keepsAdmin(w, c.Name, &settings); r != nil {
		return nil, r
	}
	return []Event{AccessDefined{Settings: settings, Origin: c.Origin}}, nil
}

// Decide deletes the Access. It rejects a deletion that would leave no admin.
func (c DeleteAccess) Decide(w World) ([]Event, *Rejection) {
	if w.Accesses().Get(c.Name) == nil {
		return nil, notFound("access %.80q does not exist", c.Name).hint("`drover get access` lists them")
	}
	if r := keepsAdmin(w, c.Name, nil); r != nil {
		return nil, r
	}
	return []Event{AccessDeleted{Origin: c.Origin}}, nil
}

// keepsAdmin rejects a change of an Access after which no token could change Access resources any more, although one
// can now. settings are the new ones; nil means that the Access is deleted. Tokens that expire are not counted: they
// would only postpone the moment.
func keepsAdmin(w World, name string, settings *AccessSettings) *Rejection {
	old := w.Accesses().Get(name)
	if old == nil || old.Settings.Permission != Admin {
		return nil // the change takes nothing from an admin
	}
	after := NewAccesses()
	for _, other := range w.Accesses().Names() {
		after.Set(other, w.Accesses().Get(other).Settings)
	}
	after.Delete(name)
	if settings != nil {
		after.Set(name, *settings)
	}
	if !anyAdmin(w, w.Accesses()) || anyAdmin(w, after) {
		return nil
	}
	return conflict("without access %s no token could change who may do what", name).
		hint("first create a token with `drover token create --permission admin`, or another Access with permission admin")
}

// anyAdmin reports whether a token that does not expire may change Access resources.
func anyAdmin(w World, accesses *Accesses) bool {
	need := AccessVerb.Everywhere()
	return slices.ContainsFunc(w.Tokens(), func(t *Token) bool {
		if t.Revoked || t.Settings.Join || t.Settings.Until != nil {
			return false
		}
		everything := func(string) bool { return true }
		s := Principal{Grants: append(t.Settings.grants(), accesses.of(t, everything)...)}
		return s.Allows(need)
	})
}
