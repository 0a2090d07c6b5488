package resource

import (
	"slices"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
)

// APIVersion is the one that this drover reads and writes.
const APIVersion = "drover.dev/v1"

// Kind is what a document describes.
type Kind string

// The kinds, in the order in which they are applied: each names only what stands before it.
const (
	Environment   Kind = "Environment"
	MachinePolicy Kind = "MachinePolicy"
	Project       Kind = "Project"
	Trigger       Kind = "Trigger"
	Machine       Kind = "Machine"
)

// Kinds lists the kinds in the order in which they are applied.
func Kinds() []Kind { return []Kind{Environment, MachinePolicy, Project, Trigger, Machine} }

// Document is one thing that a file describes. The zero value describes nothing.
type Document struct {
	File string // empty for one that was not read
	Line int    // of its first key
	Kind Kind
	Name string

	command domain.Command // with what was left out filled in, sets in their one form
	src     *source
	places  map[string]place
}

// CommandID derives the id of the document's command from the id of the apply that it belongs to, so that a repeated
// apply repeats each of its commands.
func (d Document) CommandID(apply domain.ID) domain.ID {
	return domain.ID(uuid.NewSHA1(uuid.UUID(apply), []byte(d.String())))
}

// Command brings the thing to what the document says.
func (d Document) Command(origin domain.Origin) domain.Command {
	switch c := d.command.(type) {
	case domain.ApplyEnvironment:
		c.Origin = origin
		return c
	case domain.ApplyPolicy:
		c.Origin = origin
		return c
	case domain.ApplyProject:
		c.Origin = origin
		return c
	case domain.ApplyTrigger:
		c.Origin = origin
		return c
	case domain.ApplyMachine:
		c.Origin = origin
		return c
	}
	return nil
}

// Project is the project that a Trigger belongs to; empty for other kinds.
func (d Document) Project() string {
	if c, ok := d.command.(domain.ApplyTrigger); ok {
		return c.Project
	}
	return ""
}

// String names the thing, as "Machine web-01" or "Trigger shop/new-machines".
func (d Document) String() string {
	if project := d.Project(); project != "" {
		return string(d.Kind) + " " + project + "/" + d.Name
	}
	return string(d.Kind) + " " + d.Name
}

// Ordered returns the documents in the order in which they can be applied; equal kinds stay as they were.
func Ordered(docs []Document) []Document {
	kinds, ordered := Kinds(), slices.Clone(docs)
	slices.SortStableFunc(ordered, func(a, b Document) int {
		return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind)
	})
	return ordered
}

// FromEnvironment describes an environment.
func FromEnvironment(name string) Document { return of(domain.ApplyEnvironment{Name: name}) }

// FromPolicy describes a machine policy.
func FromPolicy(name string, settings domain.PolicySettings) Document {
	return of(domain.ApplyPolicy{Name: name, Settings: settings})
}

// FromProject describes a project without its triggers.
func FromProject(p *domain.Project) Document {
	return of(domain.ApplyProject{Name: p.Name, Settings: p.Settings, Disabled: p.Disabled})
}

// FromTrigger describes a trigger of a project.
func FromTrigger(project string, t *domain.Trigger) Document {
	return of(domain.ApplyTrigger{Project: project, Name: t.Name, Settings: t.Settings, Disabled: t.Disabled})
}

// FromMachine describes a machine.
func FromMachine(m *domain.Machine) Document {
	return of(domain.ApplyMachine{Name: m.Name, Environment: m.Environment, Roles: m.Roles, Policy: m.Policy, Disabled: m.Disabled})
}

// of brings a command into the one form that equal things share.
func of(command domain.Command) Document {
	switch c := command.(type) {
	case domain.ApplyEnvironment:
		return Document{Kind: Environment, Name: c.Name, command: c}
	case domain.ApplyPolicy:
		c.Settings = c.Settings.WithDefaults()
		return Document{Kind: MachinePolicy, Name: c.Name, command: c}
	case domain.ApplyProject:
		c.Settings = c.Settings.WithDefaults()
		return Document{Kind: Project, Name: c.Name, command: c}
	case domain.ApplyTrigger:
		c.Settings.Events = slices.Compact(slices.Sorted(slices.Values(c.Settings.Events)))
		c.Settings.Environments, c.Settings.Roles = domain.Names(c.Settings.Environments), domain.Names(c.Settings.Roles)
		return Document{Kind: Trigger, Name: c.Name, command: c}
	case domain.ApplyMachine:
		c.Roles = domain.Names(c.Roles)
		if c.Policy == "" {
			c.Policy = domain.DefaultPolicy
		}
		return Document{Kind: Machine, Name: c.Name, command: c}
	}
	return Document{}
}
