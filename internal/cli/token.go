package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/server"
)

func tokenVerb(a *app) *cobra.Command {
	return parent("token", "Create, list and revoke tokens",
		"People and programs need a token with a scope (admin, deploy or read) or a permission to use a\n"+
			"server. Agents need a join token to join.", tokenCreateVerb(a), tokenListVerb(a), tokenRevokeVerb(a))
}

// tokenRequest is the body of POST /tokens.
type tokenRequest struct {
	Join         bool       `json:"join"`
	Scope        string     `json:"scope,omitempty"`
	Person       string     `json:"person,omitempty"` // id of the owner; empty for none
	Uses         *int       `json:"uses,omitempty"`   // of a join token
	Until        *time.Time `json:"until,omitempty"`
	Environments []string   `json:"environments,omitempty"`
	Roles        []string   `json:"roles,omitempty"`
	Permission   string     `json:"permission,omitempty"`
	Projects     []string   `json:"projects,omitempty"`
	Groups       []string   `json:"groups,omitempty"`
}

func tokenCreateVerb(a *app) *cobra.Command {
	request := tokenRequest{}
	var lasts time.Duration
	var uses int
	var log string
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the person does not exist, or is erased"}),
		use:   "create", short: "Create a token and print it",
		long: "Create a token for a person or a program (--scope or --permission), or a join token for agents\n" +
			"(--join), and print only the token. It cannot be shown again, because only its hash is stored.\n\n" +
			"A permission can be limited to projects and environments. Access resources can grant more to the\n" +
			"token, to its owner or to a group. --permission none grants only that.\n\n" +
			"With --log, the event log is opened directly, without a server. Use it if no valid token is\n" +
			"left, while the server is stopped.",
		example: "drover token create --scope deploy --for 720h\n" +
			"drover token create --permission deployer --project shop --environment production\n" +
			"drover agent --join \"$(drover token create --join)\" --name web-01 --environment production\n" +
			"drover token create --log sqlite:/var/lib/drover/drover.db",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := request.complete(cmd, uses, lasts); err != nil {
			return err
		}
		if log != "" {
			return a.tokenInLog(cmd.Context(), log, request)
		}
		var made struct {
			Token string `json:"token"`
		}
		if err := a.post(cmd.Context(), client.Path("tokens"), request, &made); err != nil {
			return err
		}
		return a.print(made.Token + "\n")
	}
	flags := cmd.Flags()
	flags.BoolVar(&request.Join, "join", false, "create a join token for agents")
	flags.StringVar(&request.Scope, "scope", "admin", "`SCOPE` of the token: admin, deploy or read")
	flags.StringVar(&request.Person, "person", "", "`ID` of the person who owns the token; see drover person list")
	flags.IntVar(&uses, "uses", 1, "maximum number `N` of agents that can join with the token; 0: no limit")
	flags.DurationVar(&lasts, "for", 0,
		"expire after this `DURATION`, such as 720h; default: 1h for a join token, otherwise never")
	flags.StringVar(&request.Permission, "permission", "",
		"`PERMISSION` of the token instead of a scope: viewer, operator, releaser, deployer, approver, owner, admin or\n"+
			"none")
	flags.StringSliceVarP(&request.Projects, "project", "p", nil,
		"limit the permission to this `PROJECT`; repeatable; default: all projects")
	flags.StringSliceVar(&request.Groups, "group", nil, "`NAME` of a group of the token's owner; repeatable")
	flags.StringSliceVarP(&request.Environments, "environment", "e", nil,
		"limit the permission, or the agents that join, to this `ENVIRONMENT`; repeatable; default: all\nenvironments")
	flags.StringSliceVar(&request.Roles, "role", nil, "let agents join only with this `ROLE`; repeatable")
	a.logFlags(cmd, &log, "open the event log at `URL` instead of asking a server")
	return cmd
}

// joinFor is the default lifetime of a join token.
const joinFor = time.Hour

// complete sets defaults and rejects flags that exclude each other.
func (w *tokenRequest) complete(cmd *cobra.Command, uses int, lasts time.Duration) (err error) {
	given := cmd.Flags().Changed
	switch {
	case w.Join && (given("scope") || given("person")):
		return usage("--scope and --person cannot be combined with --join")
	case w.Join && (given("permission") || given("project") || given("group")):
		return usage("--permission, --project and --group cannot be combined with --join")
	case given("permission") && given("scope"):
		return usage("--permission and --scope exclude each other")
	case given("permission") && w.Permission == "":
		return usage("--permission is empty; is a shell variable unset?")
	case given("project") && w.Permission == "":
		return usage("--project requires --permission")
	case given("person") && w.Person == "":
		return usage("--person is empty; is a shell variable unset?")
	case given("log") && given("person"):
		return usage("--person cannot be combined with --log: only a server can check that the person exists")
	case !w.Join && w.Permission == "" && (given("uses") || given("environment") || given("role")):
		return usage("--uses, --environment and --role require --join")
	case !w.Join && (given("uses") || given("role")):
		return usage("--uses and --role require --join")
	case !slices.Contains([]string{"admin", "deploy", "read"}, w.Scope):
		return usage("unknown scope %s: use admin, deploy or read", quoted(w.Scope))
	}
	if w.Permission != "" {
		w.Scope = ""
	}
	if w.Join {
		w.Scope, w.Uses = "", &uses
		if !given("for") {
			lasts = joinFor
		}
	}
	w.Until, err = deadline(lasts)
	return err
}

// tokenInLog creates a token directly in a log, without a server.
func (a *app) tokenInLog(ctx context.Context, log string, request tokenRequest) error {
	opened, err := a.openLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	settings := domain.TokenSettings{Join: request.Join, Scope: domain.Scope(request.Scope), Until: request.Until,
		Environments: request.Environments, Roles: request.Roles, Permission: domain.Permission(request.Permission),
		Projects: request.Projects, Groups: request.Groups}
	if request.Uses != nil {
		settings.Uses = *request.Uses
	}
	text, err := server.CreateTokenInLog(ctx, opened, settings, "command line")
	if err != nil {
		return err
	}
	return a.print(text + "\n")
}

func tokenListVerb(a *app) *cobra.Command {
	return verb{
		exits: readExits(nil),
		use:   "list", short: "List tokens without their secrets",
		long:    "List tokens with their ids, kinds, owners, uses and expiry times. Their secrets are not stored.",
		example: "drover token list",
		run:     func(ctx context.Context, _ []string) error { return tokenKind.list(ctx, a, query(), 0) },
	}.command()
}

func tokenRevokeVerb(a *app) *cobra.Command {
	return verb{
		exits: writeExits(exits{exitMissing: "a token does not exist"}),
		use:   "revoke ID…", short: "Revoke tokens",
		long: "Revoke tokens, by the ids that `drover token list` shows. Agents that joined with a revoked join\n" +
			"token are permanently refused.",
		example: "drover token revoke 4f1c09a2b3d4",
		run: func(ctx context.Context, args []string) error {
			return each(args, func(id string) error {
				written, err := a.remove(ctx, client.Path("tokens", id))
				if err != nil {
					return err
				}
				return a.wrote(written, "token "+id+" is revoked")
			})
		},
	}.command()
}
