package domain

import (
	"fmt"
	"slices"
)

// Project is the state of a project, folded from its streams, without the parts of its deployments.
type Project struct {
	Name string
	// Incarnation is the id of the ProjectDefined event that created the project. A re-created project has another one.
	Incarnation ID
	Settings    ProjectSettings
	Disabled    bool
	Triggers    map[string]*Trigger
	Releases    map[string]*Release
	// Versions lists the releases in the order of their creation.
	Versions []string
	// Retired contains the releases that cannot be deployed, by version.
	Retired map[string]ReleaseRetired
	// Environments maps environments to the project's state there.
	Environments map[string]*EnvironmentState
}

// Release is an immutable version of a project.
type Release struct {
	Version   string
	Steps     []Step
	Variables map[string]string
	Secrets   []string
	// Environments and Roles override variables and secrets.
	Environments map[string]Values
	Roles        map[string]Values
	// Overridden are the variables that a person set for this release alone. They override everything else.
	Overridden map[string]string
	// Notes, Commit and URL describe the release to people.
	Notes, Commit, URL string
	// Origin is who created the release.
	Origin Origin
}

// Trigger is a rule that makes machines candidates for automatic deployments of a project.
type Trigger struct {
	Name     string
	Settings TriggerSettings
	Disabled bool
	// Opens lists the categories that open a candidate, with groups expanded.
	Opens []Category
	// Sweeps means that the trigger has all categories of MachineAvailable, so that the sweep considers it.
	Sweeps bool
}

// EnvironmentState is the state of a project in one environment: its pin and its environment-wide deployments.
type EnvironmentState struct {
	Pin *PinSet
	// History lists the environment-wide deployments in the order of queueing.
	History []WideDeployment
}

// WideDeployment is one environment-wide deployment.
type WideDeployment struct {
	Deployment ID
	Release    string
	State      DeploymentState // queued until the deployment has ended
	// Accepted means that a person accepted the deployment although it did not succeed.
	Accepted bool
}

// good reports whether the deployment makes its release the wanted one.
func (d WideDeployment) good() bool { return d.State == DeploymentSucceeded || d.Accepted }

// Release returns the environment's release: the release of the last-queued environment-wide deployment that succeeded or
// that a person accepted. When the deployments ended does not matter (law 10). The release is empty before the first success.
func (s *EnvironmentState) Release() string {
	if i := s.succeeded(); i >= 0 {
		return s.History[i].Release
	}
	return ""
}

// Origin returns the deployment that Release comes from, or the zero id.
func (s *EnvironmentState) Origin() ID {
	if i := s.succeeded(); i >= 0 {
		return s.History[i].Deployment
	}
	return ID{}
}

func (s *EnvironmentState) succeeded() int {
	for i := len(s.History) - 1; i >= 0; i-- {
		if s.History[i].good() {
			return i
		}
	}
	return -1
}

// RollbackTo returns the release that a rollback of an environment deploys, or an empty string. While the environment's
// release is not the last one that was deployed, a rollback returns to it. Otherwise it returns to the release before it
// that is not retired.
func (p *Project) RollbackTo(environment string) string {
	return p.Environments[environment].rollbackTo(p.Retired)
}

func (s *EnvironmentState) rollbackTo(retired map[string]ReleaseRetired) string {
	if s == nil {
		return ""
	}
	good := s.succeeded()
	if good < 0 {
		return ""
	}
	release := s.History[good].Release
	if s.attemptedOther(good) {
		return release
	}
	for i := good - 1; i >= 0; i-- {
		w := s.History[i]
		if _, skip := retired[w.Release]; !skip && w.good() && w.Release != release {
			return w.Release
		}
	}
	return ""
}

// attemptedOther reports whether another release was tried after the successful deployment at index good. When the
// deployments ended does not matter (law 10). An open or cancelled deployment of the same release is a rollback in
// progress or one that was replaced: a further rollback repeats it, and does not go back further.
func (s *EnvironmentState) attemptedOther(good int) bool {
	release := s.History[good].Release
	for _, w := range slices.Backward(s.History[good+1:]) {
		if w.Release != release {
			return true
		}
		if w.State == DeploymentFailed {
			return false
		}
	}
	return false
}

// index returns the index of a deployment in History, or -1. The deployments to an environment of the same name that was
// deleted are not in it.
func (s *EnvironmentState) index(id ID) int {
	return slices.IndexFunc(s.History, func(w WideDeployment) bool { return w.Deployment == id })
}

// Accepted reports whether a person accepted the deployment.
func (s *EnvironmentState) Accepted(id ID) bool {
	i := s.index(id)
	return i >= 0 && s.History[i].Accepted
}

// accept records that a person accepted an ended deployment.
func (s *EnvironmentState) accept(id ID) {
	if i := s.index(id); i >= 0 && s.History[i].State != DeploymentQueuedState {
		s.History[i].Accepted = true
	}
}

// openIn returns an environment-wide deployment that has not ended in an environment, or nil.
func (p *Project) openIn(environment string) *WideDeployment {
	if s := p.Environments[environment]; s != nil {
		for i := range s.History {
			if s.History[i].State == DeploymentQueuedState {
				return &s.History[i]
			}
		}
	}
	return nil
}

// NewProject returns an empty project.
func NewProject(name string) *Project {
	return &Project{Name: name, Triggers: map[string]*Trigger{}, Releases: map[string]*Release{},
		Retired:      map[string]ReleaseRetired{},
		Environments: map[string]*EnvironmentState{}}
}

// Environment returns the project's state in an environment, and creates it if needed.
func (p *Project) Environment(environment string) *EnvironmentState {
	s := p.Environments[environment]
	if s == nil {
		s = &EnvironmentState{}
		p.Environments[environment] = s
	}
	return s
}

// ReleaseIn returns the environment's release, without regard to a pin.
func (p *Project) ReleaseIn(environment string) string {
	if s := p.Environments[environment]; s != nil {
		return s.Release()
	}
	return ""
}

// PinIn returns the pin of an environment, or nil.
func (p *Project) PinIn(environment string) *PinSet {
	if s := p.Environments[environment]; s != nil {
		return s.Pin
	}
	return nil
}

// WantedIn returns the wanted release of the environment's machines that have no hold.
func (p *Project) WantedIn(environment string) string {
	if pin := p.PinIn(environment); pin != nil {
		return pin.Release
	}
	return p.ReleaseIn(environment)
}

// Evolve folds one event of the project's streams. id is the id of the event. An error means that the event cannot be
// folded.
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
		p.setTriggerDisabled(e.Trigger, false)
	case TriggerDisabled:
		p.setTriggerDisabled(e.Trigger, true)
	case TriggerDeleted:
		delete(p.Triggers, e.Trigger)
	case ReleaseCreated:
		p.addRelease(e)
	case ReleaseRetired:
		p.Retired[e.Release] = e
	case ReleaseRestored:
		delete(p.Retired, e.Release)
	case DeploymentQueued:
		return p.queue(id, e)
	case DeploymentEnded:
		return p.end(e)
	case DeploymentAccepted:
		for _, s := range p.Environments {
			s.accept(e.Deployment)
		}
	case PinSet:
		pin := e
		p.Environment(e.Environment).Pin = &pin
	case PinLifted:
		p.Environment(e.Environment).Pin = nil
	}
	return nil
}

func (p *Project) defineTrigger(e TriggerDefined) error {
	members, unknown := Expand(e.Settings.Events)
	if unknown != "" {
		return fmt.Errorf("trigger %s has the unknown event %.40q", e.Trigger, unknown)
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

func containsAll(list, wanted []Category) bool {
	for _, c := range wanted {
		if !slices.Contains(list, c) {
			return false
		}
	}
	return true
}

func (p *Project) setTriggerDisabled(name string, disabled bool) {
	if t := p.Triggers[name]; t != nil {
		t.Disabled = disabled
	}
}

func (p *Project) addRelease(e ReleaseCreated) {
	if p.Releases[e.Version] != nil {
		return
	}
	p.Releases[e.Version] = &Release{Version: e.Version, Steps: e.Steps, Variables: e.Variables, Secrets: e.Secrets,
		Environments: e.Environments, Roles: e.Roles, Overridden: e.Overridden, Notes: e.Notes, Commit: e.Commit, URL: e.URL,
		Origin: e.Origin}
	p.Versions = append(p.Versions, e.Version)
}

func (p *Project) queue(id ID, e DeploymentQueued) error {
	switch e.Kind {
	case EnvironmentWide:
		s := p.Environment(e.Environment)
		s.History = append(s.History, WideDeployment{Deployment: id, Release: e.Release, State: DeploymentQueuedState})
	case Narrowed, Automatic:
	default:
		return fmt.Errorf("unknown deployment kind %.40q", e.Kind)
	}
	return nil
}

func (p *Project) end(e DeploymentEnded) error {
	switch e.State {
	case DeploymentSucceeded, DeploymentFailed, DeploymentCancelledState:
	default:
		return fmt.Errorf("deployment state %.40q is not a terminal state", e.State)
	}
	for _, s := range p.Environments {
		for i := range s.History {
			if s.History[i].Deployment == e.Deployment {
				s.History[i].State = e.State
			}
		}
	}
	return nil
}

// Matches reports whether the trigger applies to a machine, by its environment and roles.
func (t *Trigger) Matches(m *Machine, projectRoles []string) bool {
	return m != nil && t.covers(m.Environment) && InScope(m, m.Environment, projectRoles, t.Settings.Roles)
}

func (t *Trigger) covers(environment string) bool {
	return slices.Contains(t.Settings.Environments, environment) || slices.Contains(t.Settings.Environments, "*")
}
