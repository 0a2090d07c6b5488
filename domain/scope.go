package domain

import "slices"

// InScope is the one function that says whether a machine belongs to a project's deployment in an
// environment, for people and for the engine. A trigger's roles, if any, only narrow it.
func InScope(m *Machine, environment string, projectRoles, triggerRoles []string) bool {
	return m != nil && m.Environment == environment && anyRole(m, projectRoles) && anyRole(m, triggerRoles)
}

func anyRole(m *Machine, roles []string) bool {
	if len(roles) == 0 {
		return true
	}
	for _, role := range roles {
		if slices.Contains(m.Roles, role) {
			return true
		}
	}
	return false
}
