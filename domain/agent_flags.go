package domain

import (
	"slices"
	"strings"
)

// IsZero reports whether there are no flags.
func (f AgentFlags) IsZero() bool {
	return f.Environment == "" && len(f.Roles) == 0 && !f.Ephemeral && f.Policy == ""
}

// String returns the flags as on the command line.
func (f AgentFlags) String() string {
	var words []string
	if f.Environment != "" {
		words = append(words, "--environment "+f.Environment)
	}
	for _, role := range f.Roles {
		words = append(words, "--role "+role)
	}
	if f.Ephemeral {
		words = append(words, "--ephemeral")
	}
	if f.Policy != "" {
		words = append(words, "--policy "+f.Policy)
	}
	return strings.Join(words, " ")
}

// ignoredBy returns the flags that differ from a machine. It leaves out invalid names, which no machine could have.
func (f AgentFlags) ignoredBy(m *Machine) (ignored AgentFlags) {
	if f.Environment != m.Environment && CheckName("environment", f.Environment) == nil {
		ignored.Environment = f.Environment
	}
	if roles := SortedUnique(f.Roles); !slices.Equal(roles, m.Roles) && checkRoles(roles) == nil {
		ignored.Roles = roles
	}
	if f.Policy != m.Policy && CheckName("policy", f.Policy) == nil {
		ignored.Policy = f.Policy
	}
	ignored.Ephemeral = f.Ephemeral && !m.Ephemeral
	return ignored
}

// IgnoredFlags returns the flags of the agent that still differ from the machine.
func (m *Machine) IgnoredFlags() AgentFlags { return m.Ignored.ignoredBy(m) }
