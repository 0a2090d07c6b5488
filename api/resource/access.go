package resource

import "github.com/droverhq/drover/domain"

type accessSpec struct {
	Who          accessWho         `yaml:"who" required:"write who: {people: [ID]}, {groups: [NAME]} or {tokens: [NAME]}"`
	Permission   domain.Permission `yaml:"permission" required:"use viewer, operator, releaser, deployer, approver, owner or admin"`
	Projects     []string          `yaml:"projects" required:"write [NAME], or [\"*\"] for all" hint:"write [NAME], or [\"*\"] for all"`
	Environments []string          `yaml:"environments" required:"write [NAME], or [\"*\"] for all" hint:"write [NAME], or [\"*\"] for all"`
}

type accessWho struct {
	People []string `yaml:"people" hint:"write [ID], as listed by drover person list"`
	Groups []string `yaml:"groups" hint:"write [NAME]"`
	Tokens []string `yaml:"tokens" hint:"write [NAME], as listed by drover token list"`
	// Workloads is refused: nothing can prove yet that it is a workload.
	Workloads []string `yaml:"workloads" hint:"leave it out"`
}

func accessOf(s domain.AccessSettings) *accessSpec {
	s = s.Normal()
	return &accessSpec{accessWho{s.Who.People, s.Who.Groups, s.Who.Tokens, nil}, s.Permission, s.Projects, s.Environments}
}

func (a *accessSpec) settings() domain.AccessSettings {
	return domain.AccessSettings{
		Who:        domain.AccessWho{People: a.Who.People, Groups: a.Who.Groups, Tokens: a.Who.Tokens},
		Permission: a.Permission, Projects: a.Projects, Environments: a.Environments}
}

func (a *accessSpec) command(name string, origin domain.Origin) domain.Command {
	return domain.ApplyAccess{Name: name, Settings: a.settings(), Origin: origin}
}

func (a *accessSpec) check() *domain.Rejection {
	if len(a.Who.Workloads) > 0 {
		return invalid("create a token for the workload and name it in who.tokens",
			"workloads are not supported yet, so who.workloads would grant nothing")
	}
	return a.settings().Check()
}
