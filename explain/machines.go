package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Machines returns the machines, sorted by name.
func Machines(v *projections.View, f Filter) List[Machine] {
	projects := slices.DeleteFunc(projectsOf(v), func(p *projections.Project) bool { return !f.Sees.may(p.Name, "") })
	return page(v, f, namesAfter(v.Machines, f.After), func(name string) (Machine, bool) {
		m := v.Machines[name]
		if !machineMatches(v, projects, m, f) {
			return Machine{}, false
		}
		return machine(v, projects, m), true
	}, nil)
}

// MachineOf returns the machine of that name, and false if it does not exist.
func MachineOf(v *projections.View, name string) (Machine, bool) {
	m := v.Machines[name]
	if m == nil {
		return Machine{}, false
	}
	return machine(v, projectsOf(v), m), true
}

func machineMatches(v *projections.View, projects []*projections.Project, m *projections.Machine, f Filter) bool {
	switch {
	case f.Machine != "" && m.Name != f.Machine:
		return false
	case f.Environment != "" && m.Environment != f.Environment:
		return false
	case f.Role != "" && !slices.Contains(m.Roles, f.Role):
		return false
	}
	if f.Project != "" {
		p := v.Projects[f.Project]
		if p == nil || !f.Sees.may(p.Name, m.Environment) || !inScope(p, m) && m.Installed[f.Project] == nil {
			return false
		}
		projects = []*projections.Project{p}
	}
	if f.State != "" && !f.Sees.all() {
		projects = slices.DeleteFunc(slices.Clone(projects),
			func(p *projections.Project) bool { return !f.Sees.may(p.Name, m.Environment) })
	}
	return f.State == "" || inState(v, projects, m, f.State)
}

// inState reports whether a machine is in a state. The states behind and held refer to the given projects. During a
// rollout, a machine is behind if it does not have what it should have after the rollout.
func inState(v *projections.View, projects []*projections.Project, m *projections.Machine, state string) bool {
	switch state {
	case "behind":
		return slices.ContainsFunc(projects, func(p *projections.Project) bool {
			return inScope(p, m) && v.BehindExpected(p, m)
		})
	case "held":
		return slices.ContainsFunc(projects, func(p *projections.Project) bool { return m.Hold(p.Name) != nil })
	case "deployable":
		return deployable(v, m)
	case "disabled":
		return m.Disabled
	}
	return m.Presence() == state
}

func machine(v *projections.View, projects []*projections.Project, m *projections.Machine) Machine {
	shown := Machine{Name: m.Name, Environment: m.Environment, Roles: orEmpty(m.Roles), Enabled: !m.Disabled,
		Presence: m.Presence(), Health: string(m.Health), HealthDetail: healthDetail(m),
		Deployable: deployable(v, m), Doubted: v.DoubtOf(m) != nil,
		Conditions: conditionsOf(m), Policy: m.Policy, PolicyFrom: string(m.PolicyFrom), PolicyToken: policyToken(v, m), Ephemeral: m.Ephemeral,
		Installed: []Installed{}, Wanted: []Wanted{}, Note: note(v, m)}
	if !m.Instance.IsZero() {
		shown.Instance = m.Instance.String()
	}
	for _, p := range projects {
		if rolling := rollingOf(v, p, m); rolling != nil {
			shown.Rolling = append(shown.Rolling, *rolling)
		}
		if i := m.Installed[p.Name]; i != nil && v.Actual(p, m) != "" {
			shown.Installed = append(shown.Installed, Installed{Project: p.Name, Release: i.Release,
				Since: i.SuccessTime.UTC(), Dirty: v.Dirty(p, m)})
		} else if v.Dirty(p, m) { // a first installation started and did not succeed
			shown.Installed = append(shown.Installed, Installed{Project: p.Name, Since: i.Last.StartedTime.UTC(), Dirty: true})
		}
		held := m.Hold(p.Name) != nil
		if wanted := v.Wanted(p, m); inScope(p, m) && (wanted != "" || held) {
			expected := v.Expected(p, m)
			shown.Wanted = append(shown.Wanted, withHolds(Wanted{Project: p.Name, Release: wanted,
				Expected: choose(expected == wanted, "", expected),
				Pinned:   p.PinIn(m.Environment) != nil && !held, Held: held}, m))
		}
	}
	return shown
}

// healthDetail returns which health check of a machine does not succeed, and the last line of its output; empty if none
// is known.
func healthDetail(m *projections.Machine) string {
	if m.HealthDetail == "" || m.Health != domain.Unhealthy && m.Health != domain.Warning {
		return ""
	}
	return "check of policy " + m.Policy + ": " + m.HealthDetail
}

// rollingOf returns the release that an open part will bring to a machine; nil without one.
func rollingOf(v *projections.View, p *projections.Project, m *projections.Machine) *Rolling {
	part := v.Rolling(p, m)
	if part == nil {
		return nil
	}
	return &Rolling{Project: p.Name, Release: part.Deployment.Release, Deployment: part.Deployment.ID.String(),
		State: string(part.State)}
}

// policyToken returns the name of the join token that gave a machine its policy; empty if none did.
func policyToken(v *projections.View, m *projections.Machine) string {
	if t := v.Tokens[m.PolicyToken]; t != nil {
		return t.Label()
	}
	return m.PolicyToken
}

// actorOf returns the actor of an origin, nil if it is unknown.
func actorOf(o domain.Origin) *domain.Actor {
	if o.Actor == (domain.Actor{}) {
		return nil
	}
	actor := o.Actor
	return &actor
}

// withHolds adds the holds of the project on the machine.
func withHolds(w Wanted, m *projections.Machine) Wanted {
	w.Holds = []Hold{}
	i := m.Installed[w.Project]
	if i == nil || len(i.Holds) == 0 {
		return w
	}
	for _, h := range i.Holds {
		shown := Hold{Kind: string(h.Kind), Release: h.Release, Since: h.Time.UTC(), Until: h.Until, Reason: h.Reason}
		if h.Manual() {
			shown.Actor = actorOf(h.Origin)
		} else {
			shown.Deployment = h.Deployment.String()
		}
		w.Holds = append(w.Holds, shown)
	}
	w.Hold = &w.Holds[0]
	return w
}

// note describes what is unusual about a machine. It is empty if nothing is.
func note(v *projections.View, m *projections.Machine) string {
	var notes []string
	if aside := v.Aside[domain.MachineStream(m.Name)]; aside != nil {
		notes = append(notes, SetAside(aside))
	}
	if doubt := Doubt(v, m); doubt != "" {
		notes = append(notes, doubt)
	}
	if reported := Reported(m, func(domain.Condition) bool { return true }); reported != "" {
		notes = append(notes, reported)
	}
	if v.Environments[m.Environment] == nil {
		notes = append(notes, fmt.Sprintf("environment %s does not exist", m.Environment))
	}
	if m.Policy != domain.DefaultPolicy && v.Policies[m.Policy] == nil {
		notes = append(notes, fmt.Sprintf("policy %s does not exist; the default policy applies", m.Policy))
	}
	if m.Unknown {
		notes = append(notes, "unknown rather than absent: the server that held its session was gone, and no other one has "+
			"watched for its policy's offlineAfter since")
	}
	if m.CleanUpHeld {
		notes = append(notes, "clean-up is on hold because too many machines of its environment are absent at once")
	}
	if flaps := Flaps(v, m); flaps != "" {
		notes = append(notes, flaps)
	}
	if ignored := m.IgnoredFlags(); !ignored.IsZero() {
		notes = append(notes, fmt.Sprintf("its agent asks for %s, which is ignored; apply a Machine to change it", ignored))
	}
	if m.ReimageUntil.After(v.Time) {
		notes = append(notes, fmt.Sprintf("another instance can take its name until %s",
			m.ReimageUntil.UTC().Format(time.RFC3339)))
	}
	return strings.Join(notes, "; ")
}

// Flaps returns a clause that says how often the health of a machine changed; empty if it does not flap. An agent that
// reports more changes than are recorded reaches a limit of its server.
func Flaps(v *projections.View, m *projections.Machine) string {
	times, last := v.Flaps(m)
	if times == 0 {
		return ""
	}
	return fmt.Sprintf("its health changed %d times within 10m, last at %s; after 20 changes, at most one per 10s is recorded, "+
		"and the last report always is", times, last.UTC().Format(time.TimeOnly))
}

// Doubt returns clauses that say why a machine is doubted, and what ends the doubt; empty if it is not.
func Doubt(v *projections.View, m *projections.Machine) string {
	doubt := v.DoubtOf(m)
	switch {
	case doubt == nil:
		return ""
	case m.MemoryAccepted:
		return fmt.Sprintf("machine %s is doubted until its agent connects again: a person accepted that the log does not have "+
			"what it remembers", m.Name)
	}
	return fmt.Sprintf("machine %s is doubted: its agent remembers %s, but the log does not have it; nothing is deployed to "+
		"this machine until the log has it, or a person runs `drover eventlog accept-restore --machine %[1]s`", m.Name,
		doubt.Missing)
}

// deployable reports whether automation deploys to the machine.
func deployable(v *projections.View, m *projections.Machine) bool {
	ok, _ := v.Deployable(m)
	_, blocked := m.Blocked()
	return ok && !blocked && v.DoubtOf(m) == nil
}

func conditionsOf(m *projections.Machine) (list []Condition) {
	for _, c := range m.Conditions {
		list = append(list, Condition{Kind: string(c.Kind), Blocks: c.Kind.Blocks(), Detail: c.Detail,
			Since: m.ConditionsSince[c.Kind].Time.UTC()})
	}
	return list
}

// Reported returns a clause with the conditions that the machine's agent reports and that of selects; empty without any.
func Reported(m *projections.Machine, of func(domain.Condition) bool) string {
	var texts []string
	for _, c := range m.Conditions {
		if of(c) {
			since := m.ConditionsSince[c.Kind]
			texts = append(texts, fmt.Sprintf("%s, since %s (%s)", c.Text(), since.Time.UTC().Format(time.RFC3339), at(since.Position)))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "its agent reports that " + strings.Join(texts, "; ")
}

// Blocking selects the conditions that keep an agent from starting parts.
func Blocking(c domain.Condition) bool { return c.Kind.Blocks() }

// SetAside returns a clause that names the stream, since when it has been set aside, and why.
func SetAside(aside *projections.Aside) string {
	return fmt.Sprintf("stream %s has been set aside since %s: %s", aside.Stream, at(aside.Position), aside.Reason)
}

// Environments returns the environments, sorted by name.
func Environments(v *projections.View, f Filter) List[Environment] {
	machines, online := map[string]int{}, map[string]int{}
	for _, m := range v.Machines {
		machines[m.Environment]++
		if m.Online {
			online[m.Environment]++
		}
	}
	return page(v, f, namesAfter(v.Environments, f.After), func(name string) (Environment, bool) {
		return Environment{Name: name, Machines: machines[name], Online: online[name]},
			f.Environment == "" || f.Environment == name
	}, nil)
}

// Policies returns the machine policies, sorted by name. The built-in default policy is included.
func Policies(v *projections.View, f Filter) List[Policy] {
	count := map[string]int{}
	for _, m := range v.Machines {
		count[m.Policy]++
	}
	all := map[string]domain.PolicySettings{domain.DefaultPolicy: domain.PolicySettings{}.WithDefaults()}
	for name, p := range v.Policies {
		all[name] = p.Settings
	}
	return page(v, f, namesAfter(all, f.After), func(name string) (Policy, bool) {
		return Policy{Name: name, Machines: count[name], Spec: all[name]}, true
	}, nil)
}

// EnvironmentOf returns the environment of that name, and false if it does not exist.
func EnvironmentOf(v *projections.View, name string) (Environment, bool) {
	return firstOf(Environments(v, Filter{Environment: name}), func(e Environment) bool { return e.Name == name })
}

// PolicyOf returns the machine policy of that name, and false if it does not exist.
func PolicyOf(v *projections.View, name string) (Policy, bool) {
	return firstOf(Policies(v, Filter{}), func(p Policy) bool { return p.Name == name })
}
