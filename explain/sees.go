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
	m.Rolling = slices.DeleteFunc(m.Rolling, func(r Rolling) bool { return !s.may(r.Project, m.Environment) })
	m.PolicyToken = "" // tokens are listed only for readers who may read everything
	return s.may("", m.Environment)
}

func (e *Environment) limit(s Sees) bool { return s.may("", e.Name) }

func (p *Project) limit(s Sees) bool {
	p.Environments = slices.DeleteFunc(p.Environments,
		func(e EnvironmentStatus) bool { return !s.may(p.Name, e.Environment) })
	p.Triggers = slices.DeleteFunc(p.Triggers,
		func(name string) bool { return !s.seesSomeOf(p.Name, p.environmentsOf[name]) })
	p.Waiting = s.waiting(p.Name, p.waitingIn)
	if settings, ok := p.Spec.(domain.ProjectSettings); ok {
		p.Spec = s.Settings(p.Name, settings)
	}
	return s.may(p.Name, "")
}

// limit leaves out the environments that the reader must not see. The reader sees the trigger if one is left.
func (t *Trigger) limit(s Sees) bool {
	hidden := func(name string) bool { return name != domain.All && !s.may(t.Project, name) }
	t.Environments, t.Missing = slices.DeleteFunc(t.Environments, hidden), slices.DeleteFunc(t.Missing, hidden)
	t.Waiting = s.waiting(t.Project, t.waitingIn)
	return s.may(t.Project, "") && len(t.Environments) > 0
}

// waiting adds up what waits in the environments that the reader may see.
func (s Sees) waiting(project string, in map[string]int) (sum int) {
	for environment, count := range in {
		if s.may(project, environment) {
			sum += count
		}
	}
	return sum
}

// seesSomeOf reports whether a reader may see that a trigger for these environments exists.
func (s Sees) seesSomeOf(project string, environments []string) bool {
	return slices.ContainsFunc(environments, func(name string) bool { return name == domain.All || s.may(project, name) })
}

// SeesTrigger reports whether a reader may see all settings of a trigger.
func (s Sees) SeesTrigger(project string, settings domain.TriggerSettings) bool {
	return s.may(project, "") && !slices.ContainsFunc(settings.Environments,
		func(name string) bool { return name != domain.All && !s.may(project, name) })
}

func (r *Release) limit(s Sees) bool {
	r.Environments = slices.DeleteFunc(r.Environments, func(name string) bool { return !s.may(r.Project, name) })
	if r.Spec != nil {
		r.Spec.Environments = visibleIn(s, r.Project, r.Spec.Environments)
	}
	return s.may(r.Project, "")
}

func (d *Deployment) limit(s Sees) bool {
	for i := range d.Machines {
		d.Machines[i].WaitsFor = d.Machines[i].WaitsFor.visibleTo(s)
	}
	return s.may(d.Project, d.Environment)
}

func (c *Candidate) limit(s Sees) bool { return s.may(c.Project, c.environment) }

// LimitDue returns the deployments that a reader may see.
func LimitDue(s Sees, list []Due) []Due {
	return slices.DeleteFunc(list, func(d Due) bool { return !s.may(d.Project, d.Environment) })
}

// Visible returns the part of an event of the view that a reader may see, and false if the reader must not see that the
// event exists. The events of a machine belong to the environment that it is in now, and those of a trigger to the
// environments that it has now. If the view no longer has the machine, the trigger or the deployment, the reader must
// see all environments. Events that belong to no project and no environment are only for readers who may read
// everything.
func Visible(v *projections.View, s Sees, rec eventlog.Recorded) (eventlog.Recorded, bool) {
	if s.all() {
		return rec, true
	}
	fact, err := domain.Decode(rec.Type, rec.Data)
	if err != nil {
		return rec, false
	}
	if lost, ok := fact.(domain.MachineLostState); ok {
		return s.lostState(v, rec, lost)
	}
	if !s.seesEvent(v, rec, fact) {
		return rec, false
	}
	if part, limited := s.withoutHidden(projectOf(rec.Stream), fact); limited {
		_, rec.Data, err = domain.Encode(part)
	}
	return rec, err == nil
}

// projectOf returns the project of its own stream, or of the stream of one of its releases.
func projectOf(stream string) string {
	kind, name := domain.SplitStream(stream)
	if project, _, _, err := domain.ParseReleaseStream(name); kind == domain.ReleaseStreams && err == nil {
		return project
	}
	return name
}

// VisibleOf returns what Visible returns for each of the events.
func VisibleOf(v *projections.View, s Sees, all []eventlog.Recorded) (seen []eventlog.Recorded) {
	if s.all() {
		return all
	}
	for _, rec := range all {
		if part, ok := Visible(v, s, rec); ok {
			seen = append(seen, part)
		}
	}
	return seen
}

// lostState leaves out the projects that the reader must not see. The event is hidden if none is left.
func (s Sees) lostState(v *projections.View, rec eventlog.Recorded, fact domain.MachineLostState) (eventlog.Recorded,
	bool) {
	_, machine := domain.SplitStream(rec.Stream)
	environment := environmentAt(v, machine, rec.Position)
	fact.Lost = slices.DeleteFunc(fact.Lost, func(l domain.LostSuccess) bool { return !s.may(l.Project, environment) })
	if len(fact.Lost) == 0 {
		return rec, false
	}
	var err error
	_, rec.Data, err = domain.Encode(fact)
	return rec, err == nil
}

func (s Sees) seesEvent(v *projections.View, rec eventlog.Recorded, fact domain.Event) bool {
	about := domain.Describe(fact, domain.Place{Stream: rec.Stream, ID: domain.ID(rec.ID)}).Subject
	switch about.Kind {
	case domain.EnvironmentStreams:
		return s.may("", about.Name)
	case domain.MachineStreams:
		return s.may("", environmentAt(v, about.Name, rec.Position))
	case domain.ReleaseStreams:
		return s.may(about.Project, "")
	case domain.ProjectStreams, domain.PartStreams:
		if defined, ok := fact.(domain.TriggerDefined); ok {
			return s.SeesTrigger(about.Project, defined.Settings)
		}
		return s.seesProjectEvent(v, about, rec.Position)
	}
	return false
}

func (s Sees) seesProjectEvent(v *projections.View, about domain.Subject, position eventlog.Position) bool {
	switch {
	case !about.Deployment.IsZero():
		if facts := v.World().Deployment(about.Deployment); facts != nil {
			about.Project, about.Environment = facts.Project, facts.Environment
		}
		return s.may(cmp.Or(about.Project, domain.All), cmp.Or(about.Environment, domain.All))
	case about.Machine != "":
		return s.may(about.Project, environmentAt(v, about.Machine, position))
	case about.Trigger != "":
		return s.seesTriggerEvent(v, about.Project, about.Trigger)
	}
	return s.may(about.Project, about.Environment)
}

// seesTriggerEvent reports whether a reader may see an event of a trigger that contains nothing but its name.
func (s Sees) seesTriggerEvent(v *projections.View, project, trigger string) bool {
	p := v.Projects[project]
	if p == nil || p.Triggers[trigger] == nil {
		return s.may(project, domain.All)
	}
	return s.may(project, "") && s.seesSomeOf(project, p.Triggers[trigger].Settings.Environments)
}

// environmentAt returns the environment of a machine that had an event at a position. It returns domain.All if the
// machine was deleted since, even if there is another one of its name.
func environmentAt(v *projections.View, machine string, position eventlog.Position) string {
	if m := v.Machines[machine]; m != nil && m.Added <= position {
		return m.Environment
	}
	return domain.All
}
