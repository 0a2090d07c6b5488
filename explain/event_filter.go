package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// EventFilter selects events. An empty field selects all. All fields together select the events that match each of them.
type EventFilter struct {
	// Machine, Project and Environment are names. An event of a machine or a deployment belongs to the environment that
	// the machine is in now, or that the deployment went to.
	Machine, Project, Environment string
	// Type is a name such as MachineCameOnline or the category that triggers name. Case does not matter.
	Type string
	// Actor is the name of a person or a token, or an id.
	Actor string
	// Since and Until are times. They are compared with the time of an event, which the clock of its server gave it.
	Since, Until time.Time
}

// Matches reports whether the filter selects an event of the view.
func (f EventFilter) Matches(v *projections.View, rec eventlog.Recorded, names Names) bool {
	if !f.Since.IsZero() && rec.Time.Before(f.Since) || !f.Until.IsZero() && rec.Time.After(f.Until) {
		return false
	}
	if f.onlyTime() {
		return true
	}
	fact, err := domain.Decode(rec.Type, rec.Data)
	if err != nil { // of a newer drover: only its type is known
		return f == EventFilter{Type: f.Type, Since: f.Since, Until: f.Until} && f.isType(domain.NameOfType(rec.Type), "")
	}
	told := domain.Describe(fact, domain.Place{Stream: rec.Stream, ID: domain.ID(rec.ID)})
	about := told.Subject
	return (f.Machine == "" || f.Machine == about.Machine || about.Machine == "" && concerns(v, about.Deployment, f.Machine)) &&
		(f.Project == "" || f.Project == projectOfEvent(v, about)) &&
		(f.Environment == "" || f.Environment == environmentOfEvent(v, about, rec.Position)) &&
		f.isType(domain.NameOfType(rec.Type), told.Category) && f.isActor(told.Origin, names)
}

// CheckType returns an error if no event can have the type.
func (f EventFilter) CheckType() error {
	known := func(name string) bool { return strings.EqualFold(f.Type, domain.NameOfType(name)) }
	category := func(c domain.Category) bool { return strings.EqualFold(f.Type, string(c)) }
	if f.Type == "" || slices.ContainsFunc(domain.TypeNames(), known) || slices.ContainsFunc(domain.Categories(), category) {
		return nil
	}
	return fmt.Errorf("unknown type of event %.40q", f.Type)
}

// onlyTime reports whether the filter looks at nothing but times.
func (f EventFilter) onlyTime() bool { return f == EventFilter{Since: f.Since, Until: f.Until} }

// isType reports whether the filter names a type, or the category of the event or a group of categories that has it.
func (f EventFilter) isType(name string, category domain.Category) bool {
	if f.Type == "" || strings.EqualFold(f.Type, name) {
		return true
	}
	for _, c := range domain.Categories() {
		if strings.EqualFold(f.Type, string(c)) {
			members, _ := domain.Expand([]domain.Category{c})
			return slices.Contains(members, category)
		}
	}
	return false
}

func (f EventFilter) isActor(o domain.Origin, names Names) bool {
	switch f.Actor {
	case "", o.By, o.Actor.ID, names.Who(o):
		return f.Actor == "" || o.By != ""
	}
	token := o.Actor.TokenName
	person := names[o.Actor.ID]
	return token != "" && f.Actor == token || o.Actor.Kind == domain.PersonActor && person != "" && f.Actor == person
}

// concerns reports whether a deployment has a part on the machine.
func concerns(v *projections.View, deployment domain.ID, machine string) bool {
	d := v.Deployments[deployment]
	return d != nil && d.Parts[machine] != nil
}

// projectOfEvent returns the project that an event is about; empty if it is about none.
func projectOfEvent(v *projections.View, about domain.Subject) string {
	if about.Project != "" {
		return about.Project
	}
	if facts := v.World().Deployment(about.Deployment); facts != nil {
		return facts.Project
	}
	return ""
}

// environmentOfEvent returns the environment that an event is about; empty if that is not known.
func environmentOfEvent(v *projections.View, about domain.Subject, at eventlog.Position) string {
	if about.Environment != "" {
		return about.Environment
	}
	if facts := v.World().Deployment(about.Deployment); facts != nil && facts.Environment != "" {
		return facts.Environment
	}
	if about.Kind == domain.EnvironmentStreams {
		return about.Name
	}
	if m := v.Machines[about.Machine]; m != nil && m.Added <= at {
		return m.Environment
	}
	return ""
}
