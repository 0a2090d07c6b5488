package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/serverkey"
)

// WriteNamed is the input of a write to one item.
type WriteNamed struct {
	Key
	Name string `path:"name"`
}

// WriteInProject is the input of a write to one item of a project.
type WriteInProject struct {
	Key
	Project string `path:"project"`
	Name    string `path:"name"`
}

// MachineBody contains the settings of a machine, or the join of an agent that uses plain HTTP.
type MachineBody struct {
	Name        string   `json:"name"`
	Environment string   `json:"environment"`
	Roles       []string `json:"roles,omitempty"`
	Policy      string   `json:"policy,omitempty"`
	Disabled    bool     `json:"disabled,omitempty"`
	Ephemeral   bool     `json:"ephemeral,omitempty" doc:"The agent of the machine may delete it."`
	// Instance is the joining agent's own UUID. Secret authenticates the agent after it has joined.
	Instance string `json:"instance,omitempty" doc:"For a joining agent: its own UUID."`
	Secret   string `json:"secret,omitempty" doc:"For a joining agent: its own secret, at least 32 characters."`
}

// writeItem registers a write whose only input is a name.
func writeItem(a *API, method, path, summary string, verb domain.Verb,
	newCommand func(name string, by domain.Origin) domain.Command) {
	write(a, route(method, path, summary, verb), func(in *WriteNamed) string { return in.Key.Key },
		func(_ context.Context, in *WriteNamed, by domain.Origin) (domain.Command, error) {
			return newCommand(in.Name, by), nil
		})
}

// writeProjectItem registers a write whose only input is a project and a name.
func writeProjectItem(a *API, method, path, summary string, verb domain.Verb,
	newCommand func(project, name string, by domain.Origin) domain.Command) {
	write(a, route(method, path, summary, verb), func(in *WriteInProject) string { return in.Key.Key },
		func(_ context.Context, in *WriteInProject, by domain.Origin) (domain.Command, error) {
			return newCommand(in.Project, in.Name, by), nil
		})
}

func (a *API) routeCommands() {
	a.routeDeletes()
	a.routeEnable()
	a.routeReimage()
	a.routeTokens()
	register(a, route(http.MethodPost, "/server-key/rotate", "Replace the server key; clients and agents must accept the new one",
		domain.LogVerb), a.postServerKey)
	write(a, route(http.MethodPost, "/log/clear", "Clear a stream that was set aside", domain.LogVerb),
		func(in *clearInput) string { return in.Key.Key },
		func(_ context.Context, in *clearInput, by domain.Origin) (domain.Command, error) {
			return domain.ClearStream{Name: in.Body.Stream, Origin: by}, nil
		})
	write(a, route(http.MethodPost, "/log/accept-restore", "Accept a restored log that has lost its newest events",
		domain.LogVerb),
		func(in *acceptInput) string { return in.Key.Key },
		func(_ context.Context, in *acceptInput, by domain.Origin) (domain.Command, error) {
			what := in.what()
			switch {
			case what.Machine != "" && len(what.Except) > 0:
				return nil, problem.Invalid("machine and except are set: use one of them").
					WithHint("except accepts the restore for all machines but these")
			case what.Machine != "":
				return domain.AcceptMemory{Name: what.Machine, Origin: by}, nil
			}
			return domain.AcceptRestore{Was: domain.ID(a.cfg.Engine.LogID()), At: a.cfg.Clock.Now(), Except: what.Except,
				Origin: by}, nil
		})
}

type acceptInput struct {
	Key
	Body *acceptBody
}

type acceptBody struct {
	Machine string   `json:"machine,omitempty" doc:"accept only that the log does not have what this machine's agent remembers"`
	Except  []string `json:"except,omitempty" doc:"machines that stay doubted" maxItems:"1000"`
}

// what returns the body, which may be left out.
func (in *acceptInput) what() acceptBody {
	if in.Body == nil {
		return acceptBody{}
	}
	return *in.Body
}

type clearInput struct {
	Key
	Body struct {
		Stream string `json:"stream"`
	}
}

func (a *API) routeDeletes() {
	writeItem(a, http.MethodDelete, "/environments/{name}", "Delete an environment that nothing refers to",
		domain.EnvironmentsVerb,
		func(name string, by domain.Origin) domain.Command {
			return domain.DeleteEnvironment{Name: name, Origin: by}
		})
	writeItem(a, http.MethodDelete, "/policies/{name}", "Delete a machine policy that no machine uses",
		domain.PoliciesVerb,
		func(name string, by domain.Origin) domain.Command { return domain.DeletePolicy{Name: name, Origin: by} })
	writeItem(a, http.MethodDelete, "/projects/{name}", "Delete a project with its triggers, releases and deployments",
		domain.SettingsVerb,
		func(name string, by domain.Origin) domain.Command {
			return domain.DeleteProject{Name: name, Origin: by}
		})
	writeItem(a, http.MethodDelete, "/access/{name}", "Delete an access", domain.AccessVerb,
		func(name string, by domain.Origin) domain.Command {
			return domain.DeleteAccess{Name: name, Origin: by}
		})
	writeItem(a, http.MethodDelete, "/machines/{name}", "Delete a machine", domain.MachinesVerb,
		func(name string, by domain.Origin) domain.Command {
			return domain.DeleteMachine{Name: name, Origin: by}
		})
	writeItem(a, http.MethodDelete, "/tokens/{name}",
		"Revoke a token, by its id or name, and disconnect the agents that joined with it", domain.TokensVerb,
		func(name string, by domain.Origin) domain.Command { return domain.RevokeToken{ID: name, Origin: by} })
	writeProjectItem(a, http.MethodDelete, "/triggers/{project}/{name}", "Delete a trigger", domain.SettingsVerb,
		func(project, name string, by domain.Origin) domain.Command {
			return domain.DeleteTrigger{Project: project, Name: name, Origin: by}
		})
}

func (a *API) routeEnable() {
	for word, enabled := range map[string]bool{"enable": true, "disable": false} {
		verb := "Enable "
		if !enabled {
			verb = "Disable "
		}
		writeItem(a, http.MethodPost, "/machines/{name}/"+word, verb+"a machine", domain.EnableVerb,
			func(name string, by domain.Origin) domain.Command {
				return domain.SetMachineEnabled{Name: name, Enabled: enabled, Origin: by}
			})
		writeItem(a, http.MethodPost, "/projects/{name}/"+word, verb+"a project", domain.EnableVerb,
			func(name string, by domain.Origin) domain.Command {
				return domain.SetProjectEnabled{Name: name, Enabled: enabled, Origin: by}
			})
		writeProjectItem(a, http.MethodPost, "/triggers/{project}/{name}/"+word, verb+"a trigger", domain.EnableVerb,
			func(project, name string, by domain.Origin) domain.Command {
				return domain.SetTriggerEnabled{Project: project, Name: name, Enabled: enabled, Origin: by}
			})
	}
}

type reimageInput struct {
	WriteNamed
	Body struct {
		Until *time.Time `json:"until,omitempty" doc:"When the permission ends. Default: in 1 h."`
	}
}

// routeReimage registers the permission that another instance takes the name of a machine.
func (a *API) routeReimage() {
	write(a, route(http.MethodPost, "/machines/{name}/reimage", "Let another instance take the name of a machine",
		domain.MachinesVerb),
		func(in *reimageInput) string { return in.Key.Key },
		func(_ context.Context, in *reimageInput, by domain.Origin) (domain.Command, error) {
			now, _ := a.cfg.Engine.CredibleTime() // by which the permission ends
			if in.Body.Until == nil {
				until := now.Add(domain.DefaultReimageFor).UTC().Truncate(time.Second)
				in.Body.Until = &until
			}
			return domain.ReimageMachine{Name: in.Name, Until: *in.Body.Until, Origin: by},
				problem.CheckDeadline(now, in.Body.Until)
		})
}

type tokenInput struct {
	Key
	Body struct {
		Name         string            `json:"name,omitempty" doc:"A name that no other valid token has. Default: the kind and the beginning of the id."`
		Join         bool              `json:"join,omitempty"`
		Scope        domain.Scope      `json:"scope,omitempty" doc:"admin, deploy or read; empty for a join token, and with a permission."`
		Permission   domain.Permission `json:"permission,omitempty" doc:"viewer, operator, releaser, deployer, approver, owner or admin; none: only what Access resources grant."`
		Projects     []string          `json:"projects,omitempty" doc:"Limit the permission to these projects. Default: all."`
		Groups       []string          `json:"groups,omitempty" doc:"The groups of the token's owner, which Access resources can name."`
		Owner        string            `json:"owner,omitempty" doc:"The id or the name of the token's owner, as listed by GET /people."`
		Person       string            `json:"person,omitempty" doc:"The id of the token's owner, as listed by GET /people; instead of owner."`
		Uses         *int              `json:"uses,omitempty" doc:"How often a join token can be used; 0: no limit. Default: 1."`
		MaxMachines  *int              `json:"maxMachines,omitempty" doc:"How many machines that joined with a join token can exist at the same time; 0: no limit. Default: 1000 if uses is 0, else no limit."`
		Until        *time.Time        `json:"until,omitempty" doc:"When the token expires. Default: in 1 h for a join token, else never."`
		For          *domain.Duration  `json:"for,omitempty" doc:"How long the token is valid by the clock of the server; instead of until."`
		Environments []string          `json:"environments,omitempty" doc:"Limit the permission, or the machines that can join, to these environments. Default: all; for a join token the only environment, and required if there are several."`
		Roles        []string          `json:"roles,omitempty"`

		AnyEnvironment bool `json:"anyEnvironment,omitempty" doc:"A join token that is valid in all environments."`

		Machine string `json:"machine,omitempty" doc:"The only machine that can join. Its name can be taken from an offline instance."`
		Policy  string `json:"policy,omitempty" doc:"The machine policy of each new machine that joins with a join token."`
	}
}

// Minted is a new token. Its text is returned only once.
type Minted struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Token    string     `json:"token"`
	Until    *time.Time `json:"until,omitempty"`
	Position string     `json:"position"`
	// Warnings are sentences about the consequences of the settings.
	Warnings []string `json:"warnings"`
}

func (a *API) routeTokens() {
	register(a, route(http.MethodPost, "/tokens", "Create a token; its text is returned only once", domain.TokensVerb),
		a.postToken)
}

func (a *API) postToken(ctx context.Context, in *tokenInput) (*answer[Minted], error) {
	id, err := commandID(in.Key.Key)
	if err != nil {
		return nil, err
	}
	b := in.Body
	owner, err := a.ownerOf(ctx, b.Owner, b.Person)
	if err != nil {
		return nil, err
	}
	request := access.TokenRequest{Name: b.Name, Join: b.Join, Scope: b.Scope, Person: owner, Uses: b.Uses,
		MaxMachines: b.MaxMachines, Until: b.Until,
		For: b.For, Environments: b.Environments, Roles: b.Roles, Permission: b.Permission, Projects: b.Projects,
		Groups: b.Groups, Machine: b.Machine, AnyEnvironment: b.AnyEnvironment, Policy: b.Policy}
	now, _ := a.cfg.Engine.CredibleTime() // by which tokens expire
	token := ids.NewToken()
	settings, err := request.Settings(token.ID, now)
	if err != nil {
		return nil, err
	}
	command := domain.CreateToken{ID: token.ID, Settings: settings, Hash: token.Hash(), Now: now,
		Origin: callerOf(ctx).Origin}
	if settings.Join {
		command.Verifier = token.Verifier()
	}
	result, err := a.handle(ctx, id, command)
	if err != nil {
		return nil, err
	}
	minted := Minted{ID: token.ID, Name: settings.Name, Token: token.Text(), Until: settings.Until,
		Position: result.Position.String(), Warnings: []string{}}
	isAdmin := settings.Scope == domain.AdminScope || settings.Permission == domain.Admin
	if warning := a.cfg.Queries.AdminWarning(); warning != "" && isAdmin {
		minted.Warnings = append(minted.Warnings, warning)
	}
	if settings.CountsEverywhere() {
		minted.Warnings = append(minted.Warnings, fmt.Sprintf("permission %s counts in all projects and environments, "+
			"including later ones; limit it with --project and --environment", settings.Permission))
	}
	return &answer[Minted]{Position: minted.Position, Body: minted}, nil
}

// ownerOf returns the id of the person who owns a new token. A token that another one creates does not inherit its owner,
// because an owner brings the permissions of that person.
func (a *API) ownerOf(ctx context.Context, owner, person string) (string, error) {
	switch {
	case owner != "" && person != "":
		return "", problem.Invalid("owner and person exclude each other").WithHint("leave one of them out")
	case owner != "":
		return a.cfg.People.Find(ctx, owner)
	}
	return person, a.cfg.People.Check(ctx, person)
}

// RotatedKey is the answer to a rotation of the server key.
type RotatedKey struct {
	Key      string `json:"key" doc:"The public half of the new key."`
	Position string `json:"position"`
}

func (a *API) postServerKey(ctx context.Context, in *acceptInput) (*answer[RotatedKey], error) {
	id, err := commandID(in.Key.Key)
	if err != nil {
		return nil, err
	}
	key, err := serverkey.New()
	if err != nil {
		return nil, err
	}
	result, err := a.handle(ctx, id, domain.RotateServerKey{Public: key.Public().String(), Secret: key.Secret(),
		Origin: callerOf(ctx).Origin})
	if err != nil {
		return nil, err
	}
	position := result.Position.String()
	return &answer[RotatedKey]{Position: position, // a repeated request has not used its key
		Body: RotatedKey{Key: a.cfg.Engine.ServerKey().Public().String(), Position: position}}, nil
}

// addMachine returns the command of POST /machines for a caller who is not an agent.
func (b MachineBody) addMachine(by domain.Origin) (domain.Command, error) {
	if b.Instance != "" || b.Secret != "" {
		return nil, problem.Invalid("instance and secret are only valid for a joining agent").
			WithHint("send them with a join token")
	}
	return domain.ApplyMachine{
		Name:        b.Name,
		Environment: b.Environment,
		Roles:       b.Roles,
		Policy:      b.Policy,
		Disabled:    b.Disabled,
		Ephemeral:   b.Ephemeral,
		Origin:      by,
	}, nil
}
