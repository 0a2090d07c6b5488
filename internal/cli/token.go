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

func tokenVerb(s *shell) *cobra.Command {
	return parent("token", "Create, list and revoke tokens", tokenCreateVerb(s), tokenListVerb(s), tokenRevokeVerb(s))
}

// tokenWish is the body of POST /tokens.
type tokenWish struct {
	Join         bool       `json:"join"`
	Scope        string     `json:"scope,omitempty"`
	Person       string     `json:"person,omitempty"` // id of the owner; empty: nobody
	Uses         *int       `json:"uses,omitempty"`   // of a join token
	Until        *time.Time `json:"until,omitempty"`
	Environments []string   `json:"environments,omitempty"`
	Roles        []string   `json:"roles,omitempty"`
}

func tokenCreateVerb(s *shell) *cobra.Command {
	wish := tokenWish{}
	var lasts time.Duration
	var uses int
	var log string
	cmd := verb{
		exits: writes(exits{exitMissing: "the person does not exist, or was erased"}),
		use:   "create", short: "Create a token, and print it alone",
		long: "Create a token for people and programs (--scope), or one for agents to join with (--join), and print it\nalone. It is not shown again: only its hash is kept.\n\n" +
			"With --log the log is opened directly, while its server is stopped: the way back when no token is left.",
		example: "drover token create --scope deploy --for 720h\ndrover agent --join \"$(drover token create --join)\" --name web-01 --environment production --role web\n" +
			"drover token create --log sqlite:/var/lib/drover/drover.db",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := wish.complete(cmd, uses, lasts); err != nil {
			return err
		}
		if log != "" {
			return s.tokenInLog(cmd.Context(), log, wish)
		}
		var made struct {
			Token string `json:"token"`
		}
		if err := s.post(cmd.Context(), client.Path("tokens"), wish, &made); err != nil {
			return err
		}
		return s.print(made.Token + "\n")
	}
	flags := cmd.Flags()
	flags.BoolVar(&wish.Join, "join", false, "a token that agents join with")
	flags.StringVar(&wish.Scope, "scope", "admin", "what its bearer may do, a `SCOPE`: admin, deploy or read")
	flags.StringVar(&wish.Person, "person", "", "`ID` of the person whom the token belongs to; see drover person list")
	flags.IntVar(&uses, "uses", 1, "how many agents may join with it, `N`; 0: any number")
	flags.DurationVar(&lasts, "for", 0, "good for this `DURATION`; default: 1h for joining, else it never expires")
	flags.StringSliceVar(&wish.Environments, "environment", nil, "an agent may join only this `ENVIRONMENT`; may be repeated")
	flags.StringSliceVar(&wish.Roles, "role", nil, "an agent may join only with this `ROLE`; may be repeated")
	flags.StringVar(&log, "log", "", "open the log at this `URL` instead of asking a server")
	return cmd
}

// joinFor is how long a join token is good unless it is told otherwise.
const joinFor = time.Hour

// complete fills in what was not said, and refuses flags that do not go together.
func (w *tokenWish) complete(cmd *cobra.Command, uses int, lasts time.Duration) (err error) {
	given := cmd.Flags().Changed
	switch {
	case w.Join && (given("scope") || given("person")):
		return usage("--scope and --person are for people's tokens; a join token has neither")
	case given("person") && w.Person == "":
		return usage("--person is empty; is a variable of the shell not set?")
	case given("log") && given("person"):
		return usage("--person cannot be combined with --log: only a server can check that the person exists")
	case !w.Join && (given("uses") || given("environment") || given("role")):
		return usage("--uses, --environment and --role are for --join")
	case !slices.Contains([]string{"admin", "deploy", "read"}, w.Scope):
		return usage("unknown scope %s: use admin, deploy or read", quoted(w.Scope))
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

// tokenInLog makes a token without a server.
func (s *shell) tokenInLog(ctx context.Context, log string, wish tokenWish) error {
	opened, err := s.openLog(ctx, log)
	if err != nil {
		return err
	}
	defer opened.Close()
	settings := domain.TokenSettings{Join: wish.Join, Scope: domain.Scope(wish.Scope), Until: wish.Until,
		Environments: wish.Environments, Roles: wish.Roles}
	if wish.Uses != nil {
		settings.Uses = *wish.Uses
	}
	text, err := server.MintIn(ctx, opened, settings, "command line")
	if err != nil {
		return err
	}
	return s.print(text + "\n")
}

func tokenListVerb(s *shell) *cobra.Command {
	return verb{
		exits: asks(nil),
		use:   "list", short: "List tokens, never their secrets", long: "List tokens. Their secrets are kept nowhere.", example: "drover token list",
		run: func(ctx context.Context, _ []string) error { return tokenKind.list(ctx, s, query(), 0) },
	}.command()
}

func tokenRevokeVerb(s *shell) *cobra.Command {
	return verb{
		exits: writes(exits{exitMissing: "there is no such token"}),
		use:   "revoke ID…", short: "Revoke tokens",
		long:    "Revoke tokens, by the ID that `drover token list` shows. A revoked join token also ends the agents that joined with it.",
		example: "drover token revoke 4f1c09a2b3d4",
		run: func(ctx context.Context, args []string) error {
			return each(args, func(id string) error {
				written, err := s.remove(ctx, client.Path("tokens", id))
				if err != nil {
					return err
				}
				return s.wrote(written, "token "+id+" is revoked")
			})
		},
	}.command()
}
