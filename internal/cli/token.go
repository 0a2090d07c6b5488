package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/server"
)

func tokenVerb(a *app) *cobra.Command {
	return parent("token", "Create, list and revoke tokens",
		"People and programs need a token with a scope (admin, deploy or read) or a permission to use a\n"+
			"server. Agents need a join token to join.", tokenCreateVerb(a), tokenListVerb(a), tokenRevokeVerb(a))
}

// tokenRequest is the body of POST /tokens.
type tokenRequest struct {
	Name         string           `json:"name,omitempty"`
	Join         bool             `json:"join"`
	Scope        string           `json:"scope,omitempty"`
	Owner        string           `json:"owner,omitempty"`  // id or name of a person
	Person       string           `json:"person,omitempty"` // id of the owner, instead of Owner
	Uses         *int             `json:"uses,omitempty"`   // of a join token
	MaxMachines  *int             `json:"maxMachines,omitempty"`
	For          *domain.Duration `json:"for,omitempty"`
	Environments []string         `json:"environments,omitempty"`
	Roles        []string         `json:"roles,omitempty"`
	Permission   string           `json:"permission,omitempty"`
	Projects     []string         `json:"projects,omitempty"`
	Groups       []string         `json:"groups,omitempty"`
	Machine      string           `json:"machine,omitempty"`
	Policy       string           `json:"policy,omitempty"`

	AnyEnvironment bool `json:"anyEnvironment,omitempty"`
}

// tokenFlags are the flags of `token create` that are no fields of the request.
type tokenFlags struct {
	lasts lifetime
	uses  int
	max   int
	log   string
}

func tokenCreateVerb(a *app) *cobra.Command {
	request, f := tokenRequest{}, tokenFlags{}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the owner does not exist or is erased, or the policy does not exist",
			exitConflict: "another valid token has the name"}),
		use: "create", short: "Create a token and print it",
		long: "Create a token for a person or a program (--scope or --permission), or a join token for agents\n" +
			"(--join), and print only the token. It cannot be shown again, because only its hash is stored.\n\n" +
			"The name identifies the token in lists, in events and in `drover token revoke`. Events name the\n" +
			"owner as the person who acted.\n\n" +
			"A permission can be limited to projects and environments. Access resources can grant more to the\n" +
			"token, to its owner or to a group. --permission none grants only that.\n\n" +
			"With --log, the event log is opened directly, without a server. Use it if no valid token is\n" +
			"left, while the server is stopped.",
		example: "drover token create --name ci --scope deploy --for 30d\n" +
			"drover token create --permission deployer --project shop --environment production\n" +
			"drover agent --join \"$(drover token create --join)\" --name web-01 --environment production\n" +
			"drover token create --log sqlite:/var/lib/drover/drover.db",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := request.complete(cmd, f); err != nil {
			return err
		}
		if f.log != "" {
			return a.tokenInLog(cmd.Context(), f.log, request)
		}
		var made madeToken
		if err := a.post(cmd.Context(), client.Path("tokens"), request, &made); err != nil {
			return err
		}
		made.tell(a)
		if request.Join {
			a.showJoin(cmd.Context(), made.Token)
		}
		return a.print(made.Token + "\n")
	}
	request.flags(cmd, &f)
	a.logFlags(cmd, &f.log, "open the event log at `URL` instead of asking a server")
	return cmd
}

func (w *tokenRequest) flags(cmd *cobra.Command, f *tokenFlags) {
	flags := cmd.Flags()
	flags.StringVar(&w.Name, "name", "",
		"`NAME` that no other valid token has; default: the kind and the beginning of the id")
	flags.BoolVar(&w.Join, "join", false, "create a join token for agents")
	flags.StringVar(&w.Scope, "scope", "admin", "`SCOPE` of the token: admin, deploy or read")
	flags.StringVar(&w.Owner, "owner", "", "`PERSON` who owns the token: a name or an id of drover person list")
	flags.StringVar(&w.Person, "person", "", "`ID` of the person who owns the token")
	_ = flags.MarkHidden("person") // --owner replaces it; the flag exists
	flags.IntVar(&f.uses, "uses", 1, "maximum number `N` of agents that can join with the token; 0: no limit")
	flags.IntVar(&f.max, "max-machines", domain.DefaultMaxMachines, "maximum number `N` of machines that joined with\n"+
		"the token and exist at the same time; 0: no limit; the default applies only with --uses 0")
	flags.Var(&f.lasts, "for",
		"expire after this `DURATION`, such as 30d or 720h; default: 1h for a join token, otherwise never")
	flags.StringVar(&w.Permission, "permission", "",
		"`PERMISSION` of the token instead of a scope: viewer, operator, releaser, deployer, approver, owner, admin or\n"+
			"none")
	flags.StringSliceVarP(&w.Projects, "project", "p", nil,
		"limit the permission to this `PROJECT`; repeatable; default: all projects")
	flags.StringSliceVar(&w.Groups, "group", nil, "`NAME` of a group of the token's owner; repeatable")
	flags.StringSliceVarP(&w.Environments, "environment", "e", nil,
		"limit the permission, or the agents that join, to this `ENVIRONMENT`; repeatable; default: all\nenvironments; for a join token the only one that exists")
	flags.StringSliceVar(&w.Roles, "role", nil, "let agents join only with this `ROLE`; repeatable")
	flags.BoolVar(&w.AnyEnvironment, "any-environment", false, "let agents join any environment")
	flags.StringVarP(&w.Machine, "machine", "m", "",
		"let only machine `NAME` join; another instance can then take its name while it is offline")
	flags.StringVar(&w.Policy, "policy", "",
		"machine policy `NAME` of each new machine that joins, whatever its agent asks for")
}

// madeToken is the answer to a request to create a token.
type madeToken struct {
	Name     string     `json:"name"`
	Token    string     `json:"token"`
	Until    *time.Time `json:"until"`
	Warnings []string   `json:"warnings"`
}

// tell prints what the text of the token does not show.
func (t madeToken) tell(a *app) {
	expiry := "does not expire"
	if t.Until != nil {
		expiry = "expires at " + t.Until.UTC().Format(time.RFC3339)
	}
	a.info("token %s is created and %s", t.Name, expiry)
	for _, warning := range t.Warnings {
		a.info("warning: %s", warning)
	}
}

// complete sets defaults and rejects flags that exclude each other.
func (w *tokenRequest) complete(cmd *cobra.Command, f tokenFlags) error {
	given := cmd.Flags().Changed
	for flag, value := range map[string]string{"name": w.Name, "owner": w.Owner, "person": w.Person,
		"permission": w.Permission} {
		if given(flag) && value == "" {
			return usage("--%s is empty; is a shell variable unset?", flag)
		}
	}
	switch {
	case w.Join && given("scope"):
		return usage("--scope cannot be combined with --join")
	case w.Join && (given("permission") || given("project") || given("group")):
		return usage("--permission, --project and --group cannot be combined with --join")
	case given("permission") && given("scope"):
		return usage("--permission and --scope exclude each other")
	case given("project") && w.Permission == "":
		return usage("--project requires --permission")
	case given("person") && given("owner"):
		return usage("--person cannot be combined with --owner, which replaces it")
	case given("log") && (given("person") || given("owner")):
		return usage("--owner cannot be combined with --log: only a server can check that the person exists")
	case !w.Join && (given("uses") || given("role")):
		return usage("--uses and --role require --join")
	case !w.Join && given("max-machines"):
		return usage("--max-machines requires --join")
	case !w.Join && w.Permission == "" && given("environment"):
		return usage("--environment requires --permission or --join")
	case !w.Join && (given("machine") || given("any-environment")):
		return usage("--machine and --any-environment require --join")
	case !w.Join && given("policy"):
		return usage("--policy requires --join")
	case w.AnyEnvironment && given("environment"):
		return usage("--environment and --any-environment cannot be combined")
	case given("policy") && w.Policy == "":
		return usage("--policy is empty; is a shell variable unset?")
	case given("machine") && w.Machine == "":
		return usage("--machine is empty; is a shell variable unset?")
	case !slices.Contains([]string{"admin", "deploy", "read"}, w.Scope):
		return usage("unknown scope %s: use admin, deploy or read", quoted(w.Scope))
	case given("for") && f.lasts <= 0:
		return usage("invalid --for %s: use a positive duration, such as 2h", time.Duration(f.lasts))
	}
	if w.Permission != "" {
		w.Scope = ""
	}
	if w.Join {
		w.Scope, w.Uses = "", &f.uses
	}
	if given("max-machines") {
		w.MaxMachines = &f.max
	}
	if given("for") {
		lasts := domain.Duration(f.lasts)
		w.For = &lasts
	}
	return nil
}

// tokenInLog creates a token directly in a log, without a server.
func (a *app) tokenInLog(ctx context.Context, log string, request tokenRequest) error {
	opened, err := a.openLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	made, err := server.CreateTokenInLog(ctx, opened, access.TokenRequest{Name: request.Name, Join: request.Join,
		Scope: domain.Scope(request.Scope), Uses: request.Uses, MaxMachines: request.MaxMachines, For: request.For, Environments: request.Environments,
		Roles: request.Roles, Permission: domain.Permission(request.Permission), Projects: request.Projects,
		Groups: request.Groups, Machine: request.Machine, AnyEnvironment: request.AnyEnvironment, Policy: request.Policy}, "command line")
	if err != nil {
		return err
	}
	madeToken{Name: made.Settings.Name, Until: made.Settings.Until}.tell(a)
	return a.print(made.Text + "\n")
}

func tokenListVerb(a *app) *cobra.Command {
	all := false
	cmd := verb{
		exits: readExits(nil),
		use:   "list", short: "List valid tokens without their secrets",
		long: "List the valid tokens with their ids, names, kinds, owners, uses and expiry times, and with --all\n" +
			"also the expired and revoked ones. Their secrets are not stored. LAST-USED can be up to an hour old\n" +
			"if other servers run.",
		example: "drover token list\ndrover token list --all",
		run: func(ctx context.Context, _ []string) error {
			return tokenKind.list(ctx, a, query("state", pick(all, "all", "")), 0)
		},
	}.command()
	cmd.Flags().BoolVar(&all, "all", false, "also list expired and revoked tokens")
	return cmd
}

// printRefused says how many machines a revoked join token concerns. The token is revoked, so an error of reading it changes
// nothing.
func (a *app) printRefused(ctx context.Context, id string) {
	var t explain.Token
	if err := a.read(ctx, client.Path("tokens", id), nil, &t); err == nil && t.Machines > 0 {
		a.info("%s joined with it: their agents are refused from now on, until they are started with another join token",
			plural(t.Machines, "machine"))
	}
}

func tokenRevokeVerb(a *app) *cobra.Command {
	return verb{
		exits: writeExits(exits{exitMissing: "a token does not exist", exitConflict: "two tokens have the name"}),
		use:   "revoke TOKEN…", short: "Revoke tokens",
		long: "Revoke tokens, by the names or ids that `drover token list` shows. Agents that joined with a revoked\n" +
			"join token are permanently refused.",
		example: "drover token revoke ci\ndrover token revoke 4f1c09a2b3d4",
		run: func(ctx context.Context, args []string) error {
			return each(args, func(id string) error {
				written, err := a.remove(ctx, client.Path("tokens", id))
				if err != nil {
					return err
				}
				if err := a.wrote(written, "token "+id+" is revoked"); err != nil || a.structured() {
					return err
				}
				a.printRefused(ctx, id)
				return nil
			})
		},
	}.command()
}
