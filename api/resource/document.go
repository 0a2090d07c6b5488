package resource

import (
	"slices"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/domain"
)

// APIVersion is the only supported apiVersion.
const APIVersion = "drover.dev/v1"

// Kind is the kind of resource that a document describes.
type Kind string

// The kinds.
const (
	Environment   Kind = "Environment"
	MachinePolicy Kind = "MachinePolicy"
	Project       Kind = "Project"
	Trigger       Kind = "Trigger"
	Machine       Kind = "Machine"
	Access        Kind = "Access"
)

// Kinds lists the kinds in the order in which they are applied.
func Kinds() []Kind {
	kinds := make([]Kind, len(rows))
	for i, r := range rows {
		kinds[i] = r.kind
	}
	return kinds
}

// Document describes one resource. The zero value is empty.
type Document struct {
	File string // empty if it was not read from a file
	Line int    // of its first key
	Kind Kind
	Name string

	spec      kindSpec // in its normal form; nil in the zero value
	src       *strictyaml.Source
	locations map[string]strictyaml.Location
}

// CommandID derives the id of the document's command from the id of the apply. A repeated apply has the same command
// ids, so no command is executed twice.
func (d Document) CommandID(apply domain.ID) domain.ID {
	return domain.ID(uuid.NewSHA1(uuid.UUID(apply), []byte(d.String())))
}

// Command returns the command that creates or updates the resource, or nil for the zero value.
func (d Document) Command(origin domain.Origin) domain.Command {
	if d.spec == nil {
		return nil
	}
	return d.spec.command(d.Name, origin)
}

// Project returns the project of a Trigger, and "" for other kinds.
func (d Document) Project() string {
	if trigger, ok := d.spec.(*triggerSpec); ok {
		return trigger.Project
	}
	return ""
}

// String returns the kind and the name, such as "Machine web-01" or "Trigger shop/new-machines".
func (d Document) String() string {
	if project := d.Project(); project != "" {
		return string(d.Kind) + " " + project + "/" + d.Name
	}
	return string(d.Kind) + " " + d.Name
}

// Ordered returns the documents in the order in which they can be applied. Documents of one kind keep their order.
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
	return of(
		domain.ApplyMachine{
			Name:        m.Name,
			Environment: m.Environment,
			Roles:       m.Roles,
			Policy:      m.Policy,
			Disabled:    m.Disabled,
			Ephemeral:   m.Ephemeral,
		},
	)
}

// FromAccess describes an Access.
func FromAccess(a *domain.Access) Document {
	return of(domain.ApplyAccess{Name: a.Name, Settings: a.Settings})
}

// Problem is one error in the input, with its location.
type Problem = strictyaml.Problem

// Problems is the error that Read and Load return for invalid input.
type Problems = strictyaml.Problems

// Limits of one input.
const (
	MaxProblems   = strictyaml.MaxProblems
	MaxInputBytes = strictyaml.MaxInputBytes
)
