package explain

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Sees reports whether a reader may read what belongs to a project and an environment. An empty name means that it
// belongs to none in particular. A nil Sees is that of a reader who may read everything.
type Sees func(project, environment string) bool

// all reports whether the reader may read everything.
func (s Sees) all() bool { return s == nil }

// may reports whether the reader may read what belongs to a project and an environment.
func (s Sees) may(project, environment string) bool { return s == nil || s(project, environment) }

// limited is an item of which a reader may see a part. limit removes the other parts, and returns false if the reader
// must not see that the item exists.
type limited interface{ limit(s Sees) bool }

// Limit removes from an item what a reader must not see. It returns false if the reader must not see that the item
// exists. Items that cannot be limited are only for readers who may read everything.
func Limit[T any](s Sees, item *T) bool {
	if s.all() {
		return true
	}
	part, ok := any(item).(limited)
	return ok && part.limit(s)
}

func (m *Machine) limit(s Sees) bool {
	m.Installed = slices.DeleteFunc(m.Installed, func(i Installed) bool { return !s.may(i.Project, m.Environment) })
	m.Wanted = slices.DeleteFunc(m.Wanted, func(w Wanted) bool { return !s.may(w.Project, m.Environment) })
	return s.may("", m.Environment)
}

func (e *Environment) limit(s Sees) bool { return s.may("", e.Name) }

func (p *Project) limit(s Sees) bool {
	p.Environments = slices.DeleteFunc(p.Environments,
		func(e EnvironmentStatus) bool { return !s.may(p.Name, e.Environment) })
	return s.may(p.Name, "")
}

// limit leaves out the environments that the reader must not see. The reader sees the trigger if one is left.
func (t *Trigger) limit(s Sees) bool {
	hidden := func(name string) bool { return name != domain.All && !s.may(t.Project, name) }
	t.Environments, t.Missing = slices.DeleteFunc(t.Environments, hidden), slices.DeleteFunc(t.Missing, hidden)
	return s.may(t.Project, "") && len(t.Environments) > 0
}

// SeesTrigger reports whether a reader may see all settings of a trigger.
func (s Sees) SeesTrigger(project string, settings domain.TriggerSettings) bool {
	return s.may(project, "") && !slices.ContainsFunc(settings.Environments,
		func(name string) bool { return name != domain.All && !s.may(project, name) })
}

func (r *Release) limit(s Sees) bool {
	r.Environments = slices.DeleteFunc(r.Environments, func(name string) bool { return !s.may(r.Project, name) })
	return s.may(r.Project, "")
}

func (d *Deployment) limit(s Sees) bool { return s.may(d.Project, d.Environment) }

func (c *Candidate) limit(s Sees) bool { return s.may(c.Project, c.environment) }

// LimitDue returns the deployments that a reader may see.
func LimitDue(s Sees, list []Due) []Due {
	return slices.DeleteFunc(list, func(d Due) bool { return !s.may(d.Project, d.Environment) })
}

// SeesEvent reports whether a reader may see an event of the view. The events of a machine belong to the environment
// that it is in now. If the view no longer has the machine or the deployment, the reader must see all environments.
// Events that belong to no project and no environment are only for readers who may read everything.
func SeesEvent(v *projections.View, s Sees, rec eventlog.Recorded) bool {
	if s.all() {
		return true
	}
	fact, err := domain.Decode(rec.Type, rec.Data)
	if err != nil {
		return false
	}
	about := domain.Describe(fact, domain.Place{Stream: rec.Stream, ID: domain.ID(rec.ID)}).Subject
	switch about.Kind {
	case domain.EnvironmentStreams:
		return s.may("", about.Name)
	case domain.MachineStreams:
		return s.may("", environmentOf(v, about.Name))
	case domain.ReleaseStreams:
		return s.may(about.Project, "")
	case domain.ProjectStreams, domain.PartStreams:
		if defined, ok := fact.(domain.TriggerDefined); ok {
			return s.SeesTrigger(about.Project, defined.Settings)
		}
		return s.seesProjectEvent(v, about)
	}
	return false
}

func (s Sees) seesProjectEvent(v *projections.View, about domain.Subject) bool {
	if !about.Deployment.IsZero() {
		facts := v.World().Deployment(about.Deployment)
		return facts != nil && s.may(facts.Project, cmp.Or(facts.Environment, domain.All))
	}
	if about.Machine != "" {
		return s.may(about.Project, environmentOf(v, about.Machine))
	}
	return s.may(about.Project, about.Environment)
}

// environmentOf returns the environment of a machine, and domain.All for a machine that does not exist.
func environmentOf(v *projections.View, machine string) string {
	if m := v.Machines[machine]; m != nil {
		return m.Environment
	}
	return domain.All
}
