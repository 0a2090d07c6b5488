package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

func deleteVerb(a *app) *cobra.Command {
	var project string
	cmd := verb{
		exits: writeExits(exits{exitMissing: "a resource does not exist",
			exitConflict: "a resource is still in use; it was not deleted"}),
		use: "delete KIND NAME…", short: "Delete machines, environments, policies, projects, triggers or access",
		long: "Delete machines, environments, policies, projects, triggers or access, one after the other.\n\n" +
			"A resource that another one refers to is not deleted. If you create a resource with the same\n" +
			"name later, it starts without history. If the agent of a deleted machine is still connected, it\n" +
			"adds the machine again immediately.",
		example: "drover delete machine web-01\n" +
			"drover delete trigger shop/shop-joins",
		run: func(ctx context.Context, args []string) error {
			k, err := findKind(args[0], func(k kind) bool { return k.deletable })
			if err != nil {
				return err
			}
			if !k.deletable {
				return usage("a %s cannot be deleted: it stays in the event log", k.name)
			}
			return each(args[1:], func(name string) error { return a.deleteOne(ctx, k, name, project) })
		},
	}.command()
	cmd.Flags().StringVarP(&project, "project", "p", "", "`PROJECT` of the trigger")
	return cmd
}

func (a *app) deleteOne(ctx context.Context, k kind, name, project string) error {
	path, err := k.path(name, project)
	if err != nil {
		return err
	}
	wasOnline := false
	if k.name == machineKind.name {
		if wasOnline, err = a.isOnline(ctx, path); err != nil {
			return err
		}
	}
	written, err := a.remove(ctx, path)
	if err != nil {
		return err
	}
	if err := a.wrote(written, k.name+" "+name+" is deleted"); err != nil {
		return err
	}
	if wasOnline {
		a.info("machine %s was online, so its agent adds it again; stop the agent or revoke its join token, then "+
			"delete the machine", name)
	}
	return nil
}

// isOnline reports whether the agent of a machine is connected. It ignores problems that a server answers with, because
// the deletion returns them too.
func (a *app) isOnline(ctx context.Context, path string) (bool, error) {
	var m explain.Machine
	if err := a.read(ctx, path, nil, &m); err != nil && !isAnswer(err) {
		return false, err
	}
	return m.Presence == "online", nil
}

// disabledText describes what disabling a resource of a kind does.
var disabledText = map[string]string{
	"machine": "A disabled machine receives no releases. Its agent can stay connected.",
	"project": "No part of a disabled project starts. Deployments that a person queued wait until the project\n" +
		"is enabled.",
	"trigger": "A disabled trigger opens no candidates and starts no deployments.",
}

// enableVerbs builds `KIND enable NAME` and `KIND disable NAME`.
func enableVerbs(name string) func(*app) *cobra.Command {
	return func(a *app) *cobra.Command {
		k, _ := findKind(name, anyKind)
		return parent(name, "Enable or disable a "+name, disabledText[name], toggleVerb(a, k, "enable"),
			toggleVerb(a, k, "disable"))
	}
}

// machineVerb adds the permission to take a machine's name.
func machineVerb(a *app) *cobra.Command {
	return parent("machine", "Enable, disable or re-image a machine", disabledText["machine"],
		toggleVerb(a, machineKind, "enable"), toggleVerb(a, machineKind, "disable"), reimageVerb(a))
}

func reimageVerb(a *app) *cobra.Command {
	lasts := domain.DefaultReimageFor
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the machine does not exist",
			exitConflict: "the machine has not been online yet, so no permission is needed"}),
		use: "reimage NAME", short: "Let another instance take the name of a machine",
		long: "Let another instance take the name of a machine, for example because its disk was replaced or its\n" +
			"operating system was installed again. The new agent joins with a join token. It is accepted once\n" +
			"the present instance is offline, and starts without releases. The machine keeps its environment,\n" +
			"roles, policy and holds, and stays disabled if it is.\n\n" +
			"The first instance that comes online under the name uses the permission up. Otherwise it ends\n" +
			"after --for.",
		example: "drover machine reimage web-01\ndrover machine reimage web-01 --for 24h",
		run: func(ctx context.Context, args []string) error {
			if lasts <= 0 {
				return usage("invalid --for %s: use a positive duration, such as 2h", lasts)
			}
			until, err := deadline(lasts)
			if err != nil {
				return err
			}
			written, err := a.command(ctx, client.Path("machines", args[0], "reimage"), map[string]any{"until": until})
			if err != nil {
				return err
			}
			return a.wrote(written, "another instance can take the name of machine "+args[0]+" until "+
				until.Format(time.RFC3339))
		},
	}.command()
	cmd.Flags().DurationVar(&lasts, "for", lasts, "end the permission after this `DURATION`")
	return cmd
}

func toggleVerb(a *app, k kind, to string) *cobra.Command {
	var project string
	yes, help := &consent{app: a}, disabledText[k.name]
	if to == "enable" {
		help += consentHelp
	}
	example := map[string]string{"machine": "web-01", "project": "shop", "trigger": "shop/shop-joins"}[k.name]
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the " + k.name + " does not exist"}),
		use:   to + " NAME", short: map[string]string{"enable": "Enable a ", "disable": "Disable a "}[to] + k.name,
		long:    map[string]string{"enable": "Enable a ", "disable": "Disable a "}[to] + k.name + ".\n\n" + help,
		example: "drover " + k.name + " " + to + " " + example,
		run: func(ctx context.Context, args []string) error {
			path, err := k.path(args[0], project)
			if err != nil {
				return err
			}
			if to == "enable" {
				if err := yes.before(ctx, path+"/enable", nil); err != nil {
					return err
				}
			}
			written, err := a.command(ctx, path+"/"+to, nil)
			if err != nil {
				return err
			}
			return a.wrote(written, k.name+" "+args[0]+" is "+to+"d")
		},
	}.command()
	if to == "enable" {
		yes.flag(cmd)
	}
	if k.inProject {
		cmd.Flags().StringVarP(&project, "project", "p", "", "`PROJECT` of the "+k.name)
	}
	return cmd
}
