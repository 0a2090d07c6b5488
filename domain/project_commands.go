package domain

import (
	"reflect"
	"slices"
)

// TriggerSettings are the settings of a trigger.
type TriggerSettings struct {
	Events       []Category `json:"events"`
	Environments []string   `json:"environments"`    // "*": all
	Roles        []string   `json:"roles,omitempty"` // only machines that also have one of these roles
	Redeploy     bool       `json:"redeploy,omitempty"`
}

// Check rejects invalid settings, such as those of a trigger that could never open a candidate.
func (s TriggerSettings) Check() *Rejection {
	members, unknown := Expand(s.Events)
	switch {
	case len(s.Events) == 0:
		return invalid("the trigger has no events").hint("set events, for example to [MachineAvailable]")
	case unknown != "":
		return invalid("unknown event %.80q", unknown).hint("use one of %v", Categories())
	case !slices.ContainsFunc(members, Category.Opens):
		return invalid("the trigger has only events that make a machine unavailable").
			hint("add at least one of %v", groups[AvailableGroup])
	case len(s.Environments) == 0:
		return invalid("the trigger has no environments").hint(`set environments to [NAME], or to ["*"] for all`)
	}
	for _, environment := range s.Environments {
		if environment != "*" {
			if r := CheckName("environment", environment); r != nil {
				return r
			}
		}
	}
	if len(s.Environments) > MaxEnvironments {
		return invalid("too many environments: %d", len(s.Environments)).
			hint("use at most %d, or [\"*\"] for all", MaxEnvironments)
	}
	return checkRoles(s.Roles)
}

func (s TriggerSettings) normal() TriggerSettings {
	s.Events = slices.Compact(slices.Sorted(slices.Values(s.Events)))
	s.Environments, s.Roles = SortedUnique(s.Environments), SortedUnique(s.Roles)
	return s
}

// Commands for projects, triggers and releases.
type (
	// ApplyProject creates a project or changes its settings.
	ApplyProject struct {
		Name     string          `json:"name"`
		Settings ProjectSettings `json:"settings"`
		Disabled bool            `json:"disabled"`
		Origin
	}
	// SetProjectEnabled enables or disables a project.
	SetProjectEnabled struct {
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
		Origin
	}
	// DeleteProject deletes a project with its triggers and releases, and cancels its deployments.
	DeleteProject struct {
		Name string `json:"name"`
		Origin
	}
	// ApplyTrigger creates a trigger or changes its settings.
	ApplyTrigger struct {
		Project  string          `json:"project"`
		Name     string          `json:"name"`
		Settings TriggerSettings `json:"settings"`
		Disabled bool            `json:"disabled"`
		Origin
	}
	// SetTriggerEnabled enables or disables a trigger.
	SetTriggerEnabled struct {
		Project string `json:"project"`
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
		Origin
	}
	// DeleteTrigger deletes a trigger.
	DeleteTrigger struct {
		Project string `json:"project"`
		Name    string `json:"name"`
		Origin
	}
	// CreateRelease creates a release with a copy of the project's steps, variables and secrets, and adds the details.
	CreateRelease struct {
		Project string         `json:"project"`
		Version string         `json:"version"`
		Details ReleaseDetails `json:"details,omitzero"`
		Origin
	}
)

// Stream returns the stream of the project.
func (c ApplyProject) Stream(World) string { return ProjectStream(c.Name) }

// Stream returns the stream of the project.
func (c SetProjectEnabled) Stream(World) string { return ProjectStream(c.Name) }

// Stream returns the stream of the project.
func (c DeleteProject) Stream(World) string { return ProjectStream(c.Name) }

// Stream returns the stream of the project.
func (c ApplyTrigger) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c SetTriggerEnabled) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the project.
func (c DeleteTrigger) Stream(World) string { return ProjectStream(c.Project) }

// Stream returns the stream of the release, so that the creation does not compete with decisions about the project.
func (c CreateRelease) Stream(w World) string {
	if p := w.Project(c.Project); p != nil {
		return ReleaseStream(c.Project, p.Incarnation, c.Version)
	}
	return ProjectStream(c.Project)
}

// DependsOn returns the stream of the project, whose steps, variables and secrets the release copies.
func (c CreateRelease) DependsOn(World) []string { return []string{ProjectStream(c.Project)} }

// Decide creates the project, or writes the settings that differ.
func (c ApplyProject) Decide(w World) ([]Event, *Rejection) {
	settings := c.Settings.WithDefaults()
	if r := CheckName("project", c.Name); r != nil {
		return nil, r
	}
	if r := settings.Check(); r != nil {
		return nil, r
	}
	if r := settings.Overrides.checkExist(w); r != nil {
		return nil, r
	}
	var events []Event
	p := w.Project(c.Name)
	if p == nil {
		p = NewProject(c.Name)
		events = append(events, ProjectDefined{Settings: settings, Origin: c.Origin})
	} else if !reflect.DeepEqual(p.Settings, settings) {
		events = append(events, ProjectDefined{Settings: settings, Origin: c.Origin})
	}
	if p.Disabled != c.Disabled {
		events = append(events, projectSwitched(!c.Disabled, c.Origin))
	}
	return events, nil
}

func projectSwitched(enabled bool, origin Origin) Event {
	if enabled {
		return ProjectEnabled{Origin: origin}
	}
	return ProjectDisabled{Origin: origin}
}

// Decide enables or disables the project.
func (c SetProjectEnabled) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Name)
	if p == nil {
		return nil, projectNotFound(c.Name)
	}
	if p.Disabled == !c.Enabled {
		return nil, nil
	}
	return []Event{projectSwitched(c.Enabled, c.Origin)}, nil
}

// Decide deletes the project.
func (c DeleteProject) Decide(w World) ([]Event, *Rejection) {
	if w.Project(c.Name) == nil {
		return nil, projectNotFound(c.Name)
	}
	return []Event{ProjectDeleted{Origin: c.Origin}}, nil
}

// Decide creates the trigger, or writes the settings that differ.
func (c ApplyTrigger) Decide(w World) ([]Event, *Rejection) {
	p, settings := w.Project(c.Project), c.Settings.normal()
	if r := CheckName("trigger", c.Name); r != nil {
		return nil, r
	}
	if p == nil {
		return nil, projectNotFound(c.Project)
	}
	if r := settings.Check(); r != nil {
		return nil, r
	}
	for _, environment := range settings.Environments {
		if environment != "*" && !w.Environment(environment) {
			return nil, notFound("trigger %s: environment %.80q does not exist", c.Name, environment).
				hint("apply the environment first")
		}
	}
	var events []Event
	t := p.Triggers[c.Name]
	if t == nil && len(p.Triggers) >= MaxTriggers {
		return nil, conflict("project %s already has %d triggers", c.Project, len(p.Triggers)).
			hint("combine triggers: each can have several events and environments")
	}
	if t == nil || !reflect.DeepEqual(t.Settings, settings) {
		events = append(events, TriggerDefined{Trigger: c.Name, Settings: settings, Origin: c.Origin})
	}
	if c.Disabled != (t != nil && t.Disabled) {
		events = append(events, triggerSwitched(c.Name, !c.Disabled, c.Origin))
	}
	return events, nil
}

func triggerSwitched(name string, enabled bool, origin Origin) Event {
	if enabled {
		return TriggerEnabled{Trigger: name, Origin: origin}
	}
	return TriggerDisabled{Trigger: name, Origin: origin}
}

// Decide enables or disables the trigger.
func (c SetTriggerEnabled) Decide(w World) ([]Event, *Rejection) {
	t, r := findTrigger(w, c.Project, c.Name)
	if r != nil || t.Disabled == !c.Enabled {
		return nil, r
	}
	return []Event{triggerSwitched(c.Name, c.Enabled, c.Origin)}, nil
}

// Decide deletes the trigger.
func (c DeleteTrigger) Decide(w World) ([]Event, *Rejection) {
	if _, r := findTrigger(w, c.Project, c.Name); r != nil {
		return nil, r
	}
	return []Event{TriggerDeleted{Trigger: c.Name, Origin: c.Origin}}, nil
}

func findTrigger(w World, project, name string) (*Trigger, *Rejection) {
	p := w.Project(project)
	if p == nil {
		return nil, projectNotFound(project)
	}
	t := p.Triggers[name]
	if t == nil {
		return nil, notFound("project %s has no trigger %.80q", project, name).hint("`drover get triggers` lists them")
	}
	return t, nil
}

// Decide creates the release. It rejects an existing version with different content.
func (c CreateRelease) Decide(w World) ([]Event, *Rejection) {
	p := w.Project(c.Project)
	if p == nil {
		return nil, projectNotFound(c.Project)
	}
	if r := CheckVersion(c.Version); r != nil {
		return nil, r
	}
	if r := c.Details.check(); r != nil {
		return nil, r
	}
	created := c.release(p)
	if old := p.Releases[c.Version]; old != nil {
		if other := old.differences(created); len(other) > 0 {
			return nil, conflict("release %s of project %s already exists with other content: %s", c.Version, c.Project, Enumerate(other, "and")).
				hint("releases are immutable: create another version")
		}
		return nil, p.checkNotRetired(c.Version)
	}
	if len(p.Settings.Steps) == 0 {
		return nil, conflict("project %s has no steps to release", c.Project).hint("add steps and apply the project")
	}
	if r := created.checkSize(); r != nil {
		return nil, r
	}
	return []Event{created}, nil
}

// NoEffect rejects a release whose project was deleted between the decision and the append.
func (c CreateRelease) NoEffect(w World) *Rejection {
	switch p := w.Project(c.Project); {
	case p == nil:
		return projectNotFound(c.Project)
	case p.Releases[c.Version] == nil:
		return conflict("project %s was deleted and created again while release %s was being created", c.Project, c.Version).
			hint("create the release again")
	}
	return nil
}

func projectNotFound(name string) *Rejection {
	return notFound("project %.80q does not exist", name).hint("`drover get projects` lists them")
}
