package domain

import (
	"fmt"
	"maps"
	"slices"
)

// Project is what a project's own stream tells, less its deployments' parts.
type Project struct {
	Name string
	// Incarnation is the id of the ProjectDefined that created the project; a project created again has another.
	Incarnation ID
	Settings    ProjectSettings
	Disabled    bool
	Triggers    map[string]*Trigger
	Releases    map[string]*Release
	// Versions are the releases in the order they were created.
	Versions []string
	// Environments holds what the project's deployments made of each environment.
	Environments map[string]*Standing
}

// Release is an immutable version of a project.
type Release struct {
	Version   string
	Steps     []Step
	Variables map[string]string
	Secrets   []string
}

// Trigger is a project's rule.
type Trigger struct {
	Name     string
	Settings TriggerSettings
	Disabled bool
	// Opens are the categories that open a candidate, groups expanded.
	Opens []Category
	// Sweeps says that the trigger names all of MachineAvailable, so the sweep serves it.
	Sweeps bool
}

// Standing is where a project stands in one environment: its pin and its environment-wide deployments.
type Standing struct {
	Pin *PinSet
	// History are the environment-wide deployments in the order they were queued.
	History []Wide
	// LastEnded is the index in History of the one that ended last; -1 for none.
	LastEnded int
}

// Wide is one environment-wide deployment.
type Wide struct {
	Deployment ID
	Release    string
	State      DeploymentState // queued until it has ended
}

// Release is the environment's release: that of the environment-wide deployment which was queued last
// among those that succeeded. *Last* is by when it was queued, never by when it ended (law 10).
func (s *Standing) Release() string {
	if i := s.succeeded(); i >= 0 {
		return s.History[i].Release
	}
	return ""
}

// Origin is the deployment that Release comes from; the zero id if there is none.
func (s *Standing) Origin() ID {
	if i := s.succeeded(); i >= 0 {
		return s.History[i].Deployment
	}
	return ID{}
}

func (s *Standing) succeeded() int {
	for i := len(s.History) - 1; i >= 0; i-- {
		if s.History[i].State == DeploymentSucceeded {
			return i
		}
	}
	return -1
}

// RollbackTo is the release that a rollback deploys, empty if there is none.
func (s *Standing) RollbackTo() string {
	good := s.succeeded()
	if good < 0 {
		return ""
	}
	release := s.History[good].Release
	if s.stray(release) {
		return release
	}
	for i := good - 1; i >= 0; i-- {
		if w := s.History[i]; w.State == DeploymentSucceeded && w.Release != release {
			return w.Release
		}
	}
	return ""
}

// stray says that a deployment of another release is open, or was the last to end and did not succeed.
func (s *Standing) stray(release string) bool {
	for _, w := range s.History {
		if w.State == DeploymentQueuedState && w.Release != release {
			return true
		}
	}
	if s.LastEnded < 0 {
		return false
	}
	last := s.History[s.LastEnded]
	return last.State != DeploymentSucceeded && last.Release != release
}

// NewProject is a project without facts.
func NewProject(name string) *Project {
	return &Project{Name: name, Triggers: map[string]*Trigger{}, Releases: map[string]*Release{},
		Environments: map[string]*Standing{}}
}

// Standing finds or begins the project's standing in an environment.
func (p *Project) Standing(environment string) *Standing {
	s := p.Environments[environment]
	if s == nil {
		s = &Standing{LastEnded: -1}
		p.Environments[environment] = s
	}
	return s
}

// ReleaseIn is the environment's release, less any pin.
func (p *Project) ReleaseIn(environment string) string {
	if s := p.Environments[environment]; s != nil {
		return s.Release()
	}
	return ""
}

// PinIn is the pin of an environment, nil for none.
func (p *Project) PinIn(environment string) *PinSet {
	if s := p.Environments[environment]; s != nil {
		return s.Pin
	}
	return nil
}

// WantedIn is what a machine of the environment without a hold should have.
func (p *Project) WantedIn(environment string) string {
	if pin := p.PinIn(environment); pin != nil {
		return pin.Release
	}
	return p.ReleaseIn(environment)
}

// Evolve folds one fact of the project's stream, whose event id is id. An error means content that cannot be folded.
func (p *Project) Evolve(id ID, e Event) error {
	switch e := e.(type) {
	case ProjectDefined:
		if p.Incarnation.IsZero() {
			p.Incarnation = id
		}
		p.Settings = e.Settings.WithDefaults()
	case ProjectEnabled:
		p.Disabled = false
	case ProjectDisabled:
		p.Disabled = true
	case TriggerDefined:
		return p.defineTrigger(e)
	case TriggerEnabled:
		p.switchTrigger(e.Trigger, false)
	case TriggerDisabled:
		p.switchTrigger(e.Trigger, true)
	case TriggerDeleted:
		delete(p.Triggers, e.Trigger)
	case ReleaseCreated:
		p.addRelease(e)
	case DeploymentQueued:
		return p.queue(id, e)
	case DeploymentEnded:
		return p.end(e)
	case PinSet:
		pin := e
		p.Standing(e.Environment).Pin = &pin
	case PinLifted:
		p.Standing(e.Environment).Pin = nil
	}
	return nil
}

func (p *Project) defineTrigger(e TriggerDefined) error {
	members, unknown := Expand(e.Settings.Events)
	if unknown != "" {
		return fmt.Errorf("trigger %s names the unknown category %.40q", e.Trigger, unknown)
	}
	t := p.Triggers[e.Trigger]
	if t == nil {
		t = &Trigger{Name: e.Trigger}
		p.Triggers[e.Trigger] = t
	}
	t.Settings = e.Settings
	t.Opens = slices.DeleteFunc(members, func(c Category) bool { return !c.Opens() })
	t.Sweeps = containsAll(t.Opens, groups[AvailableGroup])
	return nil
}

func containsAll(have, wanted []Category) bool {
	for _, c := range wanted {
		if !slices.Contains(have, c) {
			return false
		}
	}
	return true
}

func (p *Project) switchTrigger(name string, disabled bool) {
	if t := p.Triggers[name]; t != nil {
		t.Disabled = disabled
	}
}

func (p *Project) addRelease(e ReleaseCreated) {
	if p.Releases[e.Version] != nil {
		return
	}
	p.Releases[e.Version] = &Release{Version: e.Version, Steps: e.Steps, Variables: e.Variables, Secrets: e.Secrets}
	p.Versions = append(p.Versions, e.Version)
}

func (p *Project) queue(id ID, e DeploymentQueued) error {
	switch e.Kind {
	case EnvironmentWide:
		s := p.Standing(e.Environment)
		s.History = append(s.History, Wide{Deployment: id, Release: e.Release, State: DeploymentQueuedState})
	case Narrowed, Automatic:
	default:
		return fmt.Errorf("unknown deployment kind %.40q", e.Kind)
	}
	return nil
}

func (p *Project) end(e DeploymentEnded) error {
	switch e.State {
	case DeploymentSucceeded, DeploymentFailed, DeploymentCancelledAs:
	default:
		return fmt.Errorf("deployment state %.40q is not a terminal state", e.State)
	}
	for _, s := range p.Environments {
		for i := range s.History {
			if s.History[i].Deployment == e.Deployment {
				s.History[i].State, s.LastEnded = e.State, i
			}
		}
	}
	return nil
}

// Matches says whether the trigger looks at this machine, whatever happened to it.
func (t *Trigger) Matches(m *Machine, projectRoles []string) bool {
	return m != nil && t.covers(m.Environment) && InScope(m, m.Environment, projectRoles, t.Settings.Roles)
}

func (t *Trigger) covers(environment string) bool {
	return slices.Contains(t.Settings.Environments, environment) || slices.Contains(t.Settings.Environments, "*")
}

// equal says whether r is what a project with these settings would release now.
func (r *Release) equal(s ProjectSettings) bool {
	return slices.Equal(r.Steps, s.Steps) && maps.Equal(r.Variables, s.Variables) && slices.Equal(r.Secrets, s.Secrets)
}
