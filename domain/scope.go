package domain

import "slices"

// InScope reports whether a deployment of a project to an environment includes a machine. Commands and the engine both
// use it. A machine needs one of the project's roles and one of the trigger's roles; an empty list of roles matches
// every machine.
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
