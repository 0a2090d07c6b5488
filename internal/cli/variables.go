package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func variablesVerb(a *app) *cobra.Command {
	var environment, machine, release string
	var roles []string
	cmd := verb{
		exits: readExits(exits{exitMissing: "the project, release, environment or machine does not exist"}),
		use:   "variables PROJECT", short: "Show the variables of a machine, and where each comes from",
		long: "Show the variables and the names of secrets that a machine gets in an environment, and what sets\n" +
			"each: the project, a role, the environment, or the release itself. Without --release, show what\n" +
			"a release that is created now would contain.\n\n" +
			"A value that two roles of the machine set differently is a disagreement: the machine cannot get\n" +
			"the release.",
		example: "drover variables shop --environment production --role web\n" +
			"drover variables shop --machine web-01 --release 1.4.3",
		run: func(ctx context.Context, args []string) error {
			if environment == "" && machine == "" {
				return usage("--environment or --machine is missing")
			}
			var all explain.Variables
			if err := a.read(ctx, client.Path("variables"), query("project", args[0], "environment", environment,
				"machine", machine, "release", release, "role", strings.Join(roles, ",")), &all); err != nil {
				return err
			}
			if a.structured() {
				return a.value(all)
			}
			return a.printTable(explain.VariablesTable(all))
		},
	}.command()
	cmd.Flags().StringVarP(&environment, "environment", "e", "", "`ENVIRONMENT` of the machine")
	cmd.Flags().StringVarP(&machine, "machine", "m", "", "use the environment and the roles of this `MACHINE`")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "`ROLE` of the machine; repeatable")
	cmd.Flags().StringVar(&release, "release", "", "show the values of this `VERSION`; default: the settings of the project")
	return cmd
}
