package resource

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
)

// document reads one document; ok only if nothing was wrong with it.
func (s *source) document(v *value, found *findings) (doc Document, ok bool) {
	d := &decoder{src: s, found: found, places: map[string]place{"": v.at, "spec": v.at}}
	var version, name string
	var kind Kind
	spec := &value{shape: mapping, at: v.at}
	if f := v.get("kind"); f != nil {
		d.kind = knownKind(f.value.text)
	}
	object(
		slot{"apiVersion", words(&version).and(func() *domain.Rejection { return checkAPIVersion(version) }), "write apiVersion: " + APIVersion},
		slot{"kind", words(&kind).and(func() *domain.Rejection { return checkKind(kind) }), "write one of " + strings.Join(kindNames(), ", ")},
		slot{"metadata", object(slot{"name", words(&name).and(func() *domain.Rejection { return d.checkName(name) }), "give it a name"}), "write metadata: {name: NAME}"},
		slot{"spec", func(_ *decoder, v *value, _ string) bool { spec = v; return true }, ""},
	)(d, v, "")
	if d.kind == "" {
		return Document{}, false
	}
	doc = of(d.spec(name, spec))
	doc.File, doc.Line, doc.src, doc.places = s.name, v.at.line, s, d.places
	return doc, !d.wrong
}

func knownKind(name string) Kind {
	if checkKind(Kind(name)) == nil {
		return Kind(name)
	}
	return ""
}

func checkAPIVersion(version string) *domain.Rejection {
	if version == APIVersion {
		return nil
	}
	return &domain.Rejection{Kind: domain.Invalid, Reason: fmt.Sprintf("unsupported apiVersion %.80q", version), Hint: "write " + APIVersion}
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return names
}

func checkKind(kind Kind) *domain.Rejection {
	if slices.Contains(Kinds(), kind) {
		return nil
	}
	return &domain.Rejection{Kind: domain.Invalid, Reason: fmt.Sprintf("unknown kind %.80q", kind), Hint: didYouMean(string(kind), kindNames())}
}

// checkName asks the domain with the word that its own commands use.
func (d *decoder) checkName(name string) *domain.Rejection {
	what := map[Kind]string{Environment: "environment", MachinePolicy: "policy", Project: "project", Trigger: "trigger", Machine: "machine"}[d.kind]
	if what == "" {
		what = "metadata.name"
	}
	return domain.CheckName(what, name)
}

func (d *decoder) spec(name string, v *value) domain.Command {
	switch d.kind {
	case Environment:
		object()(d, v, "spec")
		return domain.ApplyEnvironment{Name: name}
	case MachinePolicy:
		return domain.ApplyPolicy{Name: name, Settings: d.policy(v)}
	case Project:
		c := domain.ApplyProject{Name: name}
		c.Settings = d.project(v, &c.Disabled)
		return c
	case Trigger:
		return d.trigger(name, v)
	}
	return d.machine(name, v)
}

func checkRole(role string) *domain.Rejection { return domain.CheckName("role", role) }

func checkSecret(name string) *domain.Rejection {
	return domain.ProjectSettings{Secrets: []string{name}}.Check()
}

func checkEnvironment(name string) *domain.Rejection {
	if name == "*" {
		return nil
	}
	return domain.CheckName("environment", name)
}

const (
	rolesExample    = "write [web]"
	triggersExample = `write [NAME], or ["*"] for all`
)

func (d *decoder) policy(v *value) domain.PolicySettings {
	var s domain.PolicySettings
	object(
		slot{"offlineAfter", span(&s.OfflineAfter).and(policyWith(func(p *domain.PolicySettings) { p.OfflineAfter = s.OfflineAfter })), ""},
		slot{"lostAfter", span(&s.LostAfter).and(lostAfter(&s.LostAfter)).and(policyWith(func(p *domain.PolicySettings) { p.LostAfter = s.LostAfter })), ""},
		slot{"healthCheck", healthCheck(&s.HealthCheck), ""},
		slot{"cleanUp", cleanUp(&s.CleanUp), ""},
	)(d, v, "spec")
	d.settled(s.WithDefaults().Check)
	return s
}

// policyWith asks about a policy that is else all defaults, so that the answer is about the one key.
func policyWith(set func(*domain.PolicySettings)) func() *domain.Rejection {
	return func() *domain.Rejection {
		s := domain.PolicySettings{}.WithDefaults()
		set(&s)
		return s.Check()
	}
}

func healthCheck(to **domain.HealthCheck) into {
	var held domain.HealthCheck
	with := func(set func(*domain.HealthCheck)) func() *domain.Rejection {
		return policyWith(func(s *domain.PolicySettings) {
			s.HealthCheck = &domain.HealthCheck{Every: domain.DefaultHealthEvery, Timeout: domain.DefaultHealthTimeout, Script: "true"}
			set(s.HealthCheck)
		})
	}
	return present(to, &held, object(
		slot{"every", span(&held.Every).and(with(func(c *domain.HealthCheck) { c.Every = held.Every })), ""},
		slot{"timeout", span(&held.Timeout).and(with(func(c *domain.HealthCheck) { c.Timeout = held.Timeout })), ""},
		slot{"script", words(&held.Script).and(with(func(c *domain.HealthCheck) { c.Script = held.Script })),
			"a shell script whose exit code 0 is healthy, 1 a warning"},
	))
}

func cleanUp(to **domain.CleanUp) into {
	var held domain.CleanUp
	with := func(set func(*domain.CleanUp)) func() *domain.Rejection {
		return policyWith(func(s *domain.PolicySettings) {
			s.CleanUp = &domain.CleanUp{After: domain.MaxAnyDuration, MaxShare: domain.DefaultMaxShare}
			set(s.CleanUp)
		})
	}
	return present(to, &held, object(
		slot{"after", span(&held.After).and(with(func(c *domain.CleanUp) { c.After = held.After })), "write after: 24h"},
		slot{"maxShare", percent(&held.MaxShare).and(with(func(c *domain.CleanUp) { c.MaxShare = held.MaxShare })), ""},
	))
}

// present keeps what was read only if its key is there.
func present[T any](to **T, held *T, read into) into {
	return func(d *decoder, v *value, path string) bool {
		*to = held
		return read(d, v, path)
	}
}

// settled asks about the settings as a whole, once each key alone is good.
func (d *decoder) settled(check func() *domain.Rejection) {
	if !d.wrong {
		at := d.places["spec"]
		if steps, ok := d.places["spec.steps"]; ok {
			at = steps
		}
		d.reject(at, check())
	}
}

func (d *decoder) project(v *value, disabled *bool) domain.ProjectSettings {
	var s domain.ProjectSettings
	automatic := object(
		slot{"attempts", whole(&s.Attempts).and(notZero("automatic.attempts", &s.Attempts, "use 1 or more; a disabled trigger deploys nothing by itself")).
			and(func() *domain.Rejection { return domain.ProjectSettings{Attempts: s.Attempts}.Check() }), ""},
		slot{"backoff", span(&s.Backoff).and(notZero("automatic.backoff", &s.Backoff, "use more than 0s, at most "+domain.MaxBackoff.String())).
			and(func() *domain.Rejection { return domain.ProjectSettings{Backoff: s.Backoff}.Check() }), ""},
	)
	object(
		slot{"roles", names(&s.Roles, rolesExample, checkRole), ""},
		slot{"maxParallel", whole(&s.MaxParallel).and(func() *domain.Rejection { return domain.ProjectSettings{MaxParallel: s.MaxParallel}.Check() }), ""},
		slot{"stopAfterFailures", whole(&s.StopAfterFailures).and(func() *domain.Rejection {
			return domain.ProjectSettings{StopAfterFailures: s.StopAfterFailures}.Check()
		}), ""},
		slot{"unavailableMachines", words(&s.Unavailable).and(func() *domain.Rejection { return checkUnavailable(s.Unavailable) }), ""},
		slot{"automatic", automatic, ""},
		slot{"variables", texts(&s.Variables, func(name, text string) *domain.Rejection {
			return domain.ProjectSettings{Variables: map[string]string{name: text}}.Check()
		}), ""},
		slot{"secrets", names(&s.Secrets, "write [NAME]", checkSecret), ""},
		slot{"disabled", truth(disabled), ""},
		slot{"steps", each("write - {name: NAME, run: SCRIPT}", func(i int) into {
			s.Steps = append(s.Steps, domain.Step{})
			return step(&s.Steps[i])
		}), ""},
	)(d, v, "spec")
	d.settled(s.WithDefaults().Check)
	return s
}

// lostAfter refuses at its place what the domain would refuse of the policy as a whole.
func lostAfter(to *domain.Duration) func() *domain.Rejection {
	return func() *domain.Rejection {
		if *to <= 0 || *to >= domain.MinLostAfter {
			return nil
		}
		return &domain.Rejection{Kind: domain.Invalid, Reason: fmt.Sprintf("invalid lostAfter %s: no agent claims a part that fast", *to),
			Hint: fmt.Sprintf("use %s to %s", domain.MinLostAfter, domain.MaxAnyDuration)}
	}
}

// checkUnavailable refuses written emptiness too, which the domain takes for left out.
func checkUnavailable(u domain.Unavailable) *domain.Rejection {
	if u == "" {
		u = "\"\""
	}
	return domain.ProjectSettings{Unavailable: u}.Check()
}

func step(to *domain.Step) into {
	return func(d *decoder, v *value, path string) bool {
		// the domain names the step in its answers, wherever among the keys its name stands
		name := "?"
		if f := v.get("name"); f != nil {
			name = f.value.text
		}
		with := func(set func(*domain.Step)) func() *domain.Rejection {
			return func() *domain.Rejection {
				s := domain.Step{Name: name, Run: "true"}
				if set(&s); domain.CheckName("step name", name) != nil {
					return nil // told at the name
				}
				return domain.ProjectSettings{Steps: []domain.Step{s}}.Check()
			}
		}
		return object(
			slot{"name", words(&to.Name).and(func() *domain.Rejection { return domain.CheckName("step name", to.Name) }), "give each step a name"},
			slot{"run", words(&to.Run).and(with(func(s *domain.Step) { s.Run = to.Run })), "give it run: a shell script"},
			slot{"folder", words(&to.Folder).and(with(func(s *domain.Step) { s.Folder = to.Folder })), ""},
			slot{"timeout", span(&to.Timeout).and(notZero("timeout", &to.Timeout, "use more than 0s, at most "+domain.MaxAnyDuration.String())).and(with(func(s *domain.Step) { s.Timeout = to.Timeout })), ""},
			slot{"retries", whole(&to.Retries).and(with(func(s *domain.Step) { s.Retries = to.Retries })), ""},
		)(d, v, path)
	}
}

func (d *decoder) trigger(name string, v *value) domain.Command {
	c := domain.ApplyTrigger{Name: name}
	s := &c.Settings
	object(
		slot{"project", words(&c.Project).and(func() *domain.Rejection { return domain.CheckName("project", c.Project) }), "name the project it belongs to"},
		slot{"events", names(&s.Events, "write [MachineAvailable]", checkCategory), "write [MachineAvailable]"},
		slot{"environments", names(&s.Environments, triggersExample, checkEnvironment), triggersExample},
		slot{"roles", names(&s.Roles, rolesExample, checkRole), ""},
		slot{"redeploy", truth(&s.Redeploy), ""},
		slot{"disabled", truth(&c.Disabled), ""},
	)(d, v, "spec")
	d.settled(s.Check)
	return c
}

func checkCategory(name string) *domain.Rejection {
	_, unknown := domain.Expand([]domain.Category{domain.Category(name)})
	if unknown == "" {
		return nil
	}
	known := make([]string, 0, 14)
	for _, c := range domain.Categories() {
		known = append(known, string(c))
	}
	return &domain.Rejection{Kind: domain.Invalid, Reason: fmt.Sprintf("unknown event %.80q", name), Hint: didYouMean(name, known)}
}

func (d *decoder) machine(name string, v *value) domain.Command {
	c := domain.ApplyMachine{Name: name}
	object(
		slot{"environment", words(&c.Environment).and(func() *domain.Rejection { return domain.CheckName("environment", c.Environment) }), "name the environment it stands in"},
		slot{"roles", names(&c.Roles, rolesExample, checkRole), ""},
		slot{"policy", words(&c.Policy).and(func() *domain.Rejection { return domain.CheckName("policy", c.Policy) }), ""},
		slot{"disabled", truth(&c.Disabled), ""},
	)(d, v, "spec")
	return c
}
