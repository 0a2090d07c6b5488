package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/domain"
)

// header contains the keys that documents of all kinds share.
type header struct {
	APIVersion string   `yaml:"apiVersion" required:"write apiVersion: drover.dev/v1"`
	Kind       Kind     `yaml:"kind" required:"use one of Environment, MachinePolicy, Project, Trigger, Machine, Access"`
	Metadata   metadata `yaml:"metadata" required:"write metadata: {name: NAME}"`

	Spec *strictyaml.Value `yaml:"spec"`
}

type metadata struct {
	Name string `yaml:"name" required:"write name: NAME"`
}

// kindSpec is the spec of one kind: a pointer to a struct whose fields are the keys in the order of the reference.
// Reading, writing and comparing follow its fields.
type kindSpec interface {
	command(name string, origin domain.Origin) domain.Command
	// check returns why the spec is invalid.
	check() *domain.Rejection
}

// row describes a kind.
type row struct {
	kind   Kind
	noun   string // in messages
	plural string // as in `drover get PLURAL`
	// empty returns a new spec without keys.
	empty func() kindSpec
	// example returns a new valid spec that has the required keys and one item in each list of structs.
	example func() kindSpec
}

// rows are the kinds in the order in which they are applied. A kind refers only to kinds above it.
var rows = []row{
	{Environment, "environment", "environments", empty[environmentSpec], empty[environmentSpec]},
	{MachinePolicy, "policy", "policies", empty[policySpec], func() kindSpec {
		return &policySpec{HealthCheck: &healthCheck{Script: "true"}, CleanUp: &cleanUp{After: domain.MaxAnyDuration}}
	}},
	{Project, "project", "projects", empty[projectSpec], func() kindSpec {
		return &projectSpec{Steps: []step{{Name: "step", Run: "true"}}}
	}},
	{Trigger, "trigger", "triggers", empty[triggerSpec], func() kindSpec {
		return &triggerSpec{"project", []domain.Category{domain.AvailableGroup}, []string{"*"}, nil, false, false}
	}},
	{
		Machine,
		"machine",
		"machines",
		empty[machineSpec],
		func() kindSpec { return &machineSpec{Environment: "environment"} },
	},
	{Access, "access", "access", empty[accessSpec], func() kindSpec {
		return &accessSpec{accessWho{Groups: []string{"group"}}, domain.Viewer, []string{domain.All}, []string{domain.All}}
	}},
}

// empty returns a new zero spec.
func empty[T any, P interface {
	*T
	kindSpec
}]() kindSpec {
	return P(new(T))
}

// row returns the row of a kind, or nil for an unknown kind.
func (k Kind) row() *row {
	for i := range rows {
		if rows[i].kind == k {
			return &rows[i]
		}
	}
	return nil
}

// withDefaults returns the row's example with the default values of its optional keys.
func (r *row) withDefaults() kindSpec { return of(r.example().command("name", domain.Origin{})).spec }

// of returns the document of a command in its normal form: with defaults, and with sorted sets.
func of(command domain.Command) Document {
	switch c := command.(type) {
	case domain.ApplyPolicy:
		return Document{Kind: MachinePolicy, Name: c.Name, spec: policyOf(c.Settings.WithDefaults())}
	case domain.ApplyProject:
		return Document{Kind: Project, Name: c.Name, spec: projectOf(c.Settings.WithDefaults(), c.Disabled)}
	case domain.ApplyTrigger:
		s := c.Settings
		return Document{Kind: Trigger, Name: c.Name, spec: &triggerSpec{c.Project, slices.Compact(slices.Sorted(slices.Values(s.Events))),
			domain.SortedUnique(s.Environments), domain.SortedUnique(s.Roles), s.Redeploy, c.Disabled}}
	case domain.ApplyMachine:
		policy := cmp.Or(c.Policy, domain.DefaultPolicy)
		return Document{Kind: Machine, Name: c.Name,
			spec: &machineSpec{c.Environment, domain.SortedUnique(c.Roles), policy, c.Disabled, c.Ephemeral}}
	case domain.ApplyAccess:
		return Document{Kind: Access, Name: c.Name, spec: accessOf(c.Settings)}
	case domain.ApplyEnvironment:
		return Document{Kind: Environment, Name: c.Name, spec: &environmentSpec{}}
	}
	return Document{}
}

type environmentSpec struct{}

func (*environmentSpec) check() *domain.Rejection { return nil }

func (*environmentSpec) command(name string, origin domain.Origin) domain.Command {
	return domain.ApplyEnvironment{Name: name, Origin: origin}
}

// policySpec and its parts have the fields of the domain's settings.
type policySpec struct {
	OfflineAfter domain.Duration `yaml:"offlineAfter"`
	LostAfter    domain.Duration `yaml:"lostAfter"`
	HealthCheck  *healthCheck    `yaml:"healthCheck"`
	CleanUp      *cleanUp        `yaml:"cleanUp"`
}

type healthCheck struct {
	Every   domain.Duration `yaml:"every"`
	Timeout domain.Duration `yaml:"timeout"`
	Script  string          `yaml:"script" required:"set script to a shell script; exit code 0: healthy, 1: warning"`
}

type cleanUp struct {
	After    domain.Duration `yaml:"after" required:"write after: 24h"`
	MaxShare int             `yaml:"maxShare" unit:"%"`
}

func policyOf(s domain.PolicySettings) *policySpec {
	return &policySpec{s.OfflineAfter, s.LostAfter, (*healthCheck)(s.HealthCheck), (*cleanUp)(s.CleanUp)}
}

func (p *policySpec) settings() domain.PolicySettings {
	return domain.PolicySettings{OfflineAfter: p.OfflineAfter, LostAfter: p.LostAfter,
		HealthCheck: (*domain.HealthCheck)(p.HealthCheck), CleanUp: (*domain.CleanUp)(p.CleanUp)}
}

func (p *policySpec) command(name string, origin domain.Origin) domain.Command {
	return domain.ApplyPolicy{Name: name, Settings: p.settings(), Origin: origin}
}

func (p *policySpec) check() *domain.Rejection {
	if p.LostAfter > 0 && p.LostAfter < domain.MinLostAfter {
		return invalid(fmt.Sprintf("use %s to %s", domain.MinLostAfter, domain.MaxAnyDuration),
			"invalid lostAfter %s: no agent claims a part that fast", p.LostAfter)
	}
	return p.settings().Check()
}

type projectSpec struct {
	Roles             []string           `yaml:"roles" hint:"write [web]"`
	MaxParallel       domain.Amount      `yaml:"maxParallel" unset:"no limit"`
	StopAfterFailures int                `yaml:"stopAfterFailures" unset:"never"`
	MaxFailures       *domain.Amount     `yaml:"maxFailures"`
	Unavailable       domain.Unavailable `yaml:"unavailableMachines" zero:"use skip or fail"`
	HealthyFor        domain.Duration    `yaml:"healthyFor"`
	Automatic         automatic          `yaml:"automatic"`
	Variables         map[string]string  `yaml:"variables" hint:"write NAME: text, one per line"`
	Secrets           []string           `yaml:"secrets" hint:"write [NAME]"`
	Overrides         overrides          `yaml:"overrides"`
	Disabled          bool               `yaml:"disabled"`
	Steps             []step             `yaml:"steps" hint:"write - {name: NAME, run: SCRIPT}"`
}

type automatic struct {
	Attempts int             `yaml:"attempts" zero:"use 1 or more; a disabled trigger deploys nothing by itself"`
	Backoff  domain.Duration `yaml:"backoff" zero:"use more than 0s, at most 1h"`
}

// overrides are the settings of a project that differ by environment and by role.
type overrides struct {
	Environments map[string]*override     `yaml:"environments" hint:"write NAME: {variables: {NAME: text}}"`
	Roles        map[string]*roleOverride `yaml:"roles" hint:"write NAME: {variables: {NAME: text}}"`
}

// override has the fields of domain.Override.
type override struct {
	Variables   map[string]string `yaml:"variables" hint:"write NAME: text, one per line"`
	Secrets     []string          `yaml:"secrets" hint:"write [NAME]"`
	MaxParallel *domain.Amount    `yaml:"maxParallel"`
	MaxFailures *domain.Amount    `yaml:"maxFailures"`
	HealthyFor  *domain.Duration  `yaml:"healthyFor"`
}

// roleOverride has the fields of domain.Override that a role can have.
type roleOverride struct {
	Variables   map[string]string `yaml:"variables" hint:"write NAME: text, one per line"`
	Secrets     []string          `yaml:"secrets" hint:"write [NAME]"`
	MaxParallel *domain.Amount    `yaml:"maxParallel"`
}

func overridesOf(o domain.Overrides) overrides {
	return overrides{
		Environments: mapped(o.Environments, func(o domain.Override) *override {
			return &override{o.Variables, o.Secrets, o.MaxParallel, o.MaxFailures, o.HealthyFor}
		}),
		Roles: mapped(o.Roles, func(o domain.Override) *roleOverride {
			return &roleOverride{o.Variables, o.Secrets, o.MaxParallel}
		}),
	}
}

func (o overrides) settings() domain.Overrides {
	return domain.Overrides{
		Environments: mapped(o.Environments, func(o *override) domain.Override {
			return domain.Override{Values: domain.Values{Variables: o.Variables, Secrets: o.Secrets},
				MaxParallel: o.MaxParallel, MaxFailures: o.MaxFailures, HealthyFor: o.HealthyFor}
		}),
		Roles: mapped(o.Roles, func(o *roleOverride) domain.Override {
			return domain.Override{Values: domain.Values{Variables: o.Variables, Secrets: o.Secrets},
				MaxParallel: o.MaxParallel}
		}),
	}
}

// mapped converts the values of a map. The result of an empty map is nil.
func mapped[A, B any](from map[string]A, convert func(A) B) map[string]B {
	if len(from) == 0 {
		return nil
	}
	to := make(map[string]B, len(from))
	for name, value := range from {
		to[name] = convert(value)
	}
	return to
}

// step has the fields of domain.Step.
type step struct {
	Name    string          `yaml:"name" required:"give each step a name"`
	Run     string          `yaml:"run" required:"add run: a shell script"`
	Folder  string          `yaml:"folder"`
	Timeout domain.Duration `yaml:"timeout" unset:"30m" zero:"use more than 0s, at most 8784h"`
	Retries int             `yaml:"retries"`
}

func projectOf(s domain.ProjectSettings, disabled bool) *projectSpec {
	var steps []step
	for _, s := range s.Steps {
		steps = append(steps, step(s))
	}
	return &projectSpec{s.Roles, s.MaxParallel, s.StopAfterFailures, s.MaxFailures, s.Unavailable, s.HealthyFor,
		automatic{s.Attempts, s.Backoff}, s.Variables, s.Secrets,
		overridesOf(s.Overrides), disabled, steps}
}

func (p *projectSpec) settings() domain.ProjectSettings {
	var steps []domain.Step
	for _, s := range p.Steps {
		steps = append(steps, domain.Step(s))
	}
	return domain.ProjectSettings{Roles: p.Roles, MaxParallel: p.MaxParallel, StopAfterFailures: p.StopAfterFailures,
		MaxFailures: p.MaxFailures, Unavailable: p.Unavailable, HealthyFor: p.HealthyFor, Attempts: p.Automatic.Attempts,
		Backoff: p.Automatic.Backoff, Variables: p.Variables, Secrets: p.Secrets, Steps: steps,
		Overrides: p.Overrides.settings()}
}

func (p *projectSpec) command(name string, origin domain.Origin) domain.Command {
	return domain.ApplyProject{Name: name, Settings: p.settings(), Disabled: p.Disabled, Origin: origin}
}

func (p *projectSpec) check() *domain.Rejection {
	for _, s := range p.Steps {
		if r := domain.CheckName("step name", s.Name); r != nil {
			return r
		}
	}
	return p.settings().Check()
}

type triggerSpec struct {
	Project      string            `yaml:"project" required:"name the project of the trigger"`
	Events       []domain.Category `yaml:"events" required:"write [MachineAvailable]" hint:"write [MachineAvailable]"`
	Environments []string          `yaml:"environments" required:"write [NAME], or [\"*\"] for all" hint:"write [NAME], or [\"*\"] for all"`
	Roles        []string          `yaml:"roles" hint:"write [web]"`
	Redeploy     bool              `yaml:"redeploy"`
	Disabled     bool              `yaml:"disabled"`
}

func (t *triggerSpec) settings() domain.TriggerSettings {
	return domain.TriggerSettings{Events: t.Events, Environments: t.Environments, Roles: t.Roles, Redeploy: t.Redeploy}
}

func (t *triggerSpec) command(name string, origin domain.Origin) domain.Command {
	return domain.ApplyTrigger{
		Name:     name,
		Project:  t.Project,
		Settings: t.settings(),
		Disabled: t.Disabled,
		Origin:   origin,
	}
}

func (t *triggerSpec) check() *domain.Rejection {
	if _, unknown := domain.Expand(t.Events); unknown != "" {
		known := strings.Fields(strings.Trim(fmt.Sprint(domain.Categories()), "[]"))
		return invalid(strictyaml.DidYouMean(string(unknown), known), "unknown event %.80q", unknown)
	}
	return cmp.Or(domain.CheckName("project", t.Project), t.settings().Check())
}

type machineSpec struct {
	Environment string   `yaml:"environment" required:"name the environment of the machine"`
	Roles       []string `yaml:"roles" hint:"write [web]"`
	Policy      string   `yaml:"policy"`
	Disabled    bool     `yaml:"disabled"`
	Ephemeral   bool     `yaml:"ephemeral"`
}

func (m *machineSpec) command(name string, origin domain.Origin) domain.Command {
	return domain.ApplyMachine{
		Name:        name,
		Environment: m.Environment,
		Roles:       m.Roles,
		Policy:      m.Policy,
		Disabled:    m.Disabled,
		Ephemeral:   m.Ephemeral,
		Origin:      origin,
	}
}

func (m *machineSpec) check() *domain.Rejection {
	return cmp.Or(domain.CheckName("environment", m.Environment), domain.CheckName("policy", m.Policy),
		domain.ProjectSettings{Roles: m.Roles}.Check())
}

func invalid(hint, reason string, args ...any) *domain.Rejection {
	return &domain.Rejection{Kind: domain.Invalid, Reason: fmt.Sprintf(reason, args...), Hint: hint}
}
