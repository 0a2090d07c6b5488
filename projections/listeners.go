package projections

import (
	"maps"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
)

// listenerIndex finds the triggers and projects that may concern a machine without a scan of all of them. It is rebuilt
// after a project or trigger changes. It may return too many, never too few: callers still check each one.
type listenerIndex struct {
	valid    bool
	triggers map[listenerKey][]listener
	projects map[string][]*Project // by each of their roles; "" for projects without roles
}

// listenerKey is what a trigger listens for: a category, in an environment or "*", on machines with a role or "" for
// any.
type listenerKey struct {
	category          domain.Category
	environment, role string
}

type listener struct {
	project *Project
	trigger *domain.Trigger
}

// listeners returns the triggers that may open a candidate for an event of this category, possibly with duplicates.
func (v *View) listeners(m *Machine, category domain.Category) []listener {
	v.indexListeners()
	var found []listener
	for _, environment := range []string{m.Environment, "*"} {
		found = append(found, v.listenerIndex.triggers[listenerKey{category, environment, ""}]...)
		for _, role := range m.Roles {
			found = append(found, v.listenerIndex.triggers[listenerKey{category, environment, role}]...)
		}
	}
	return found
}

// projectsFor returns the projects that may have a machine with these roles in scope, possibly with duplicates.
func (v *View) projectsFor(roles []string) []*Project {
	v.indexListeners()
	found := slices.Clone(v.listenerIndex.projects[""])
	for _, role := range roles {
		found = append(found, v.listenerIndex.projects[role]...)
	}
	return found
}

// ProjectsFor returns the projects that may have the machine in scope, by name. Without a valid index it returns all.
func (v *View) ProjectsFor(m *Machine) []*Project {
	if !v.listenerIndex.valid { // callers only read, so the index must not be built here
		return slices.SortedFunc(maps.Values(v.Projects), byName)
	}
	found := v.projectsFor(m.Roles)
	slices.SortFunc(found, byName)
	return slices.Compact(found)
}

func byName(a, b *Project) int { return strings.Compare(a.Name, b.Name) }

func (v *View) indexListeners() {
	if v.listenerIndex.valid {
		return
	}
	a := listenerIndex{valid: true, triggers: map[listenerKey][]listener{}, projects: map[string][]*Project{}}
	for _, project := range sortedKeys(v.Projects) { // equal logs give equal views
		p := v.Projects[project]
		for _, role := range rolesOrAny(p.Settings.Roles) {
			a.projects[role] = append(a.projects[role], p)
		}
		for _, name := range sortedKeys(p.Triggers) {
			a.listen(p, p.Triggers[name])
		}
	}
	v.listenerIndex = a
}

func (a *listenerIndex) listen(p *Project, t *domain.Trigger) {
	roles := rolesOrAny(p.Settings.Roles)
	if len(t.Settings.Roles) > 0 {
		roles = t.Settings.Roles
	}
	for _, category := range t.Opens {
		for _, environment := range t.Settings.Environments {
			for _, role := range roles {
				at := listenerKey{category, environment, role}
				a.triggers[at] = append(a.triggers[at], listener{p, t})
			}
		}
	}
}

// rolesOrAny returns roles, or "" in place of an empty list, which means any machine.
func rolesOrAny(roles []string) []string {
	if len(roles) == 0 {
		return []string{""}
	}
	return roles
}
