package cli

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func accessVerb(a *app) *cobra.Command {
	return parent("access", "Show who may do what, and why",
		"A token may do what its scope or permission grants. Access resources grant more to it, to its owner\n"+
			"or to the groups of its owner. Apply them with `drover apply`.", accessWhoVerb(a), accessWhyNotVerb(a))
}

// mayFlags are the flags of a question about permissions.
type mayFlags struct {
	can, project, environment string
	at                        past
}

func (f *mayFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.can, "can", "", "`VERB`, such as deploy, hold or settings")
	flags.StringVarP(&f.project, "project", "p", "", "in this `PROJECT`; default: in any")
	flags.StringVarP(&f.environment, "environment", "e", "", "in this `ENVIRONMENT`; default: in any")
	flags.Var(&f.at, "at",
		"answer for this `POSITION`, for a time such as 2026-03-01T09:00:30Z, or 10m for ten minutes ago; default: now")
}

func (f *mayFlags) query(who string) url.Values {
	return query("can", f.can, "project", f.project, "environment", f.environment, "who", who, "at", string(f.at))
}

// mayList is the answer of GET /may.
type mayList struct {
	Items    []explain.May `json:"items"`
	Notes    []string      `json:"notes"`
	Position string        `json:"position"`
}

func accessWhoVerb(a *app) *cobra.Command {
	f := &mayFlags{}
	cmd := verb{
		exits: readExits(exits{exitOK: "success; the list may be empty"}),
		use:   "who --can VERB", short: "List the tokens that may do something, and why",
		long: "List the tokens that may do something in a project and an environment, with the scope, the\n" +
			"permission or the Access that permits it.",
		example: "drover access who --can deploy -p shop -e production\n" +
			"drover access who --can settings -p shop --at 2026-03-01T09:00:30Z",
		run: func(ctx context.Context, _ []string) error {
			return a.may(ctx, f.query(""), func(items []explain.May) error {
				if len(items) == 0 {
					a.info("no token may do that")
				}
				return a.printTable(explain.MayTable(items))
			})
		},
	}.command()
	f.register(cmd)
	return cmd
}

func accessWhyNotVerb(a *app) *cobra.Command {
	f := &mayFlags{}
	cmd := verb{
		exits: readExits(exits{exitMissing: "no token has this name or belongs to this person or group"}),
		use:   "why-not NAME --can VERB", short: "Explain why somebody may or may not do something",
		long: "Explain for each token with the name or id NAME, or of the person or group NAME, why it may or may not\n" +
			"do something in a project and an environment.",
		example: "drover access why-not 4f1c09a2b3d4 --can deploy -p shop -e production\n" +
			"drover access why-not p-4f1c09a2b3d4 --can hold -p shop --at '#120'",
		run: func(ctx context.Context, args []string) error {
			return a.may(ctx, f.query(args[0]), func(items []explain.May) error {
				for _, m := range items {
					if err := a.print(m.Because + "\n"); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}.command()
	f.register(cmd)
	return cmd
}

// may asks a question about permissions and prints the answer. show prints it for people.
func (a *app) may(ctx context.Context, question url.Values, show func([]explain.May) error) error {
	var list mayList
	if err := a.read(ctx, client.Path("may"), question, &list); err != nil {
		return err
	}
	if a.structured() {
		return a.value(list)
	}
	if err := show(list.Items); err != nil {
		return err
	}
	for _, note := range list.Notes {
		a.info("%s", note)
	}
	return nil
}

// printTable prints a table: with aligned columns on a terminal or if a table is asked for, otherwise tab-separated.
func (a *app) printTable(t explain.Table) error {
	if a.output == "" && !isTerminal(a.Out) {
		var b strings.Builder
		t.Header = nil
		_ = t.Write(&b, 0) // a strings.Builder returns no errors
		return a.print(b.String())
	}
	if len(t.Rows) == 0 {
		return nil
	}
	d := tableWriter{style: a.style()}
	return a.printRaw(d.draw(t))
}
