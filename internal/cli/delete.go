package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func deleteVerb(s *shell) *cobra.Command {
	var project string
	cmd := verb{
		exits: writes(exits{exitMissing: "there is nothing of that name", exitConflict: "it is still referenced: it was not deleted"}),
		use:   "delete KIND NAME…", short: "Delete what should not be any more",
		long: "Delete machines, environments, policies, projects or triggers.\n\nWhat is still referenced is refused. A name that is created again starts empty.\n" +
			"A machine whose agent is connected is added again by its agent at once.",
		example: "drover delete machine web-01\ndrover delete trigger shop/shop-joins",
		run: func(ctx context.Context, args []string) error {
			k, err := findKind(args[0])
			if err != nil {
				return err
			}
			if !k.deletable {
				return usage("a %s cannot be deleted; what happened stays in the log", k.name)
			}
			return each(args[1:], func(name string) error { return s.deleteOne(ctx, k, name, project) })
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "`PROJECT` of the trigger")
	return cmd
}

func (s *shell) deleteOne(ctx context.Context, k kind, name, project string) error {
	path, err := k.path(name, project)
	if err != nil {
		return err
	}
	comesBack := false
	if k.name == machineKind.name {
		if comesBack, err = s.isOnline(ctx, path); err != nil {
			return err
		}
	}
	written, err := s.remove(ctx, path)
	if err != nil {
		return err
	}
	if err := s.wrote(written, k.name+" "+name+" is deleted"); err != nil {
		return err
	}
	if comesBack {
		s.say("machine %s was online: its agent adds it again; stop the agent, or revoke the token that it joined with, and delete it then", name)
	}
	return nil
}

// isOnline says whether an agent speaks for a machine. What a server answers but that, it says again to the deletion.
func (s *shell) isOnline(ctx context.Context, path string) (bool, error) {
	var m explain.Machine
	if err := s.read(ctx, path, nil, &m); err != nil && !isAnswer(err) {
		return false, err
	}
	return m.Presence == "online", nil
}

// enableVerbs are `KIND enable NAME` and `KIND disable NAME`.
func enableVerbs(name string) func(*shell) *cobra.Command {
	return func(s *shell) *cobra.Command {
		k, _ := findKind(name)
		return parent(name, "Enable or disable a "+name, switchVerb(s, k, "enable"), switchVerb(s, k, "disable"))
	}
}

func switchVerb(s *shell, k kind, to string) *cobra.Command {
	var project string
	example := map[string]string{"machine": "web-01", "project": "shop", "trigger": "shop/shop-joins"}[k.name]
	long := map[string]string{
		"machine": "A disabled machine gets no releases; it may stay online.",
		"project": "Nothing of a disabled project starts; what a person deployed waits until it is enabled.",
		"trigger": "A disabled trigger opens no candidates and starts nothing. Before and after it is enabled\nyou are told what becomes due.",
	}[k.name]
	cmd := verb{
		exits: writes(exits{exitMissing: "there is no " + k.name + " of that name"}),
		use:   to + " NAME", short: map[string]string{"enable": "Enable a ", "disable": "Disable a "}[to] + k.name,
		long: map[string]string{"enable": "Enable a ", "disable": "Disable a "}[to] + k.name + ".\n\n" + long, example: "drover " + k.name + " " + to + " " + example,
		run: func(ctx context.Context, args []string) error {
			path, err := k.path(args[0], project)
			if err != nil {
				return err
			}
			if k.name == "trigger" && to == "enable" {
				return s.enableTrigger(ctx, path, args[0], project)
			}
			written, err := s.command(ctx, path+"/"+to, nil)
			if err != nil {
				return err
			}
			return s.wrote(written, k.name+" "+args[0]+" is "+to+"d")
		},
	}.command()
	if k.inProject {
		cmd.Flags().StringVar(&project, "project", "", "`PROJECT` of the "+k.name)
	}
	return cmd
}

// due is what the next tick would deploy.
type due struct {
	Project     string   `json:"project"`
	Environment string   `json:"environment"`
	Release     string   `json:"release"`
	Machines    []string `json:"machines"`
}

// enableTrigger says what enabling makes due before it does so, and what is due after it.
func (s *shell) enableTrigger(ctx context.Context, path, name, project string) error {
	owner, own := project, name
	if owner == "" {
		owner, own = splitName(name)
	}
	if err := s.tellDue(ctx, query("project", owner, "trigger", own), "enabling makes due"); err != nil && asFailure(err).code != exitMissing {
		return err
	}
	written, err := s.command(ctx, path+"/enable", nil)
	if err != nil {
		return err
	}
	if err := s.wrote(written, "trigger "+name+" is enabled"); err != nil {
		return err
	}
	return s.tellDue(ctx, query("project", owner, "after", written.Position), "due at the next tick")
}

func (s *shell) tellDue(ctx context.Context, q map[string][]string, when string) error {
	var list struct {
		Items []due `json:"items"`
	}
	if err := s.read(ctx, client.Path("due"), q, &list); err != nil {
		return err
	}
	for _, d := range list.Items {
		s.say("%s: %s will be deployed to: project %s, release %s, environment %s", when, plural(len(d.Machines), "machine"), d.Project, d.Release, d.Environment)
	}
	if len(list.Items) == 0 {
		s.say("%s: nothing", when)
	}
	return nil
}
