package cli

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

func getVerb(a *app) *cobra.Command {
	var project, environment, role, state string
	var at past
	var limit int
	var watch bool
	cmd := verb{
		exits: readExits(exits{exitOK: "success; the list may be empty",
			exitMissing: "the resource does not exist, or the project, environment or role of a filter does not exist"}),
		use: "get KIND [NAME]", short: "List resources of a kind, or show one",
		long: "List the resources of a kind as a table, or show one resource.\n\n" +
			"Kinds: machines, environments, policies, projects, triggers, releases, deployments, servers,\n" +
			"candidates, access, tokens. Flags such as --project and --state filter a list.\n\n" +
			"With NAME and -o yaml, an environment, policy, project, trigger, machine or access is printed as\n" +
			"a file for `drover apply`. With --at, show the resource as it was at a past position or time. So\n" +
			"`drover get project P -o yaml --at T | drover apply -f -` undoes later changes of its settings.",
		example: "drover get machines --environment production --state behind\n" +
			"drover get project shop -o yaml\n" +
			"drover get project shop -o yaml --at 2026-03-01T09:00:30Z | drover apply -f -\n" +
			"drover get deployments --project shop --limit 5 -o json\n" +
			"drover get machines -w",
		run: func(ctx context.Context, args []string) error {
			k, args, err := findNamed(args)
			if err != nil {
				return err
			}
			if len(args) == 2 && limit != 0 {
				return usage("--limit cannot be combined with a name: it limits a list")
			}
			if len(args) == 2 {
				return a.getOne(ctx, k, args[1], project, at, watch)
			}
			if at != "" {
				return usage("--at requires a name: it shows one resource as it was")
			}
			if limit < 0 {
				return usage("invalid --limit %d: use 1 or more, or 0 for all", limit)
			}
			if err := k.accepts(map[string]string{"project": project, "environment": environment, "role": role,
				"state": state}); err != nil {
				return err
			}
			q := query("project", project, "environment", environment, "role", role, "state", state)
			if !watch {
				if err := a.checkFilters(ctx, k, q); err != nil {
					return err
				}
				return k.list(ctx, a, q, limit)
			}
			return a.watch(ctx, func(ctx context.Context, after string) (content, error) {
				q.Set("after", after)
				return k.fetchList(ctx, a, q, limit)
			})
		},
	}.command()
	cmd.Flags().StringVarP(&project, "project", "p", "", "list only resources of this `PROJECT`")
	cmd.Flags().StringVarP(&environment, "environment", "e", "", "list only resources of this `ENVIRONMENT`")
	cmd.Flags().StringVar(&role, "role", "", "list only machines with this `ROLE`")
	cmd.Flags().StringVar(&state, "state", "",
		"list only resources in this `STATE`, such as online, behind or held for machines, running or failed for "+
			"deployments")
	cmd.Flags().IntVar(&limit, "limit", 0, "maximum number `N` of resources to list; 0: all")
	cmd.Flags().Var(&at, "at", "show the resource as it was at this `POSITION`, at a time such as 2026-03-01T09:00:30Z, or 10m\n"+
		"for ten minutes ago; default: now")
	watchFlag(cmd, &watch)
	return cmd
}

// checkFilters returns an error if a filter names a project, an environment or a role that does not exist, and nothing
// matches it. A deleted project can still have deployments. A role exists if a machine has it.
func (a *app) checkFilters(ctx context.Context, k kind, q url.Values) error {
	err := a.checkNames(ctx, q, []string{"project", "environment"}, func(string) bool {
		matching, err := k.fetchList(ctx, a, maps.Clone(q), 1)
		return err == nil && len(matching.items) > 0
	})
	if err != nil {
		return err
	}
	if role := q.Get("role"); role != "" {
		return a.checkRole(ctx, role)
	}
	return nil
}

// checkNames returns an error if one of the filters names a resource that does not exist, unless known reports that there is
// something about it anyway.
func (a *app) checkNames(ctx context.Context, q url.Values, filters []string, known func(filter string) bool) error {
	for _, filter := range filters {
		name := q.Get(filter)
		if name == "" {
			continue
		}
		var found json.RawMessage
		missing := a.read(ctx, client.Path(filter+"s", name), nil, &found)
		if missing != nil && asFailure(missing).code == exitMissing && !known(filter) {
			return missing
		}
	}
	return nil
}

// checkRole returns an error if no machine has the role.
func (a *app) checkRole(ctx context.Context, role string) error {
	machines, err := machineKind.fetchList(ctx, a, query("role", role), 1)
	if err != nil || len(machines.items) > 0 {
		return nil // the list itself reports the error
	}
	return &failure{code: exitMissing, kind: client.NotFound, text: "no machine has role " + quoted(role),
		hint: "`drover get machines` shows the roles"}
}

func (a *app) getOne(ctx context.Context, k kind, name, project string, at past, watch bool) error {
	path, err := k.path(name, project)
	switch {
	case err != nil:
		return err
	case at != "" && watch:
		return usage("--watch cannot be combined with --at: the past does not change")
	case at != "" && !k.past:
		return usage("--at does not apply to %s", k.plural)
	case at != "":
		path = client.Path("past", string(at)) + path
	}
	if watch {
		return a.watch(ctx, func(ctx context.Context, after string) (content,
			error) {
			return k.fetchOne(ctx, a, path, after)
		})
	}
	if k.file && a.output == formatYAML {
		return a.getFile(ctx, k, name, project, at)
	}
	return k.one(ctx, a, path)
}

// getFile prints a resource as a file for `drover apply`, as it is now or was at a position or time.
func (a *app) getFile(ctx context.Context, k kind, name, project string, at past) error {
	if before, after, found := strings.Cut(name, "/"); found && k.inProject && project == "" {
		project, name = before, after
	}
	singular := k.name
	if singular == "policy" {
		singular = "machinepolicy"
	}
	var text string
	path := client.Path("resources", singular, name)
	if at != "" {
		path = client.Path("past", string(at)) + path
	}
	if err := a.read(ctx, path, query("project", project), &text); err != nil {
		return err
	}
	return a.print(text)
}

// accepts returns an error if a filter flag is given that this kind does not support.
func (k kind) accepts(given map[string]string) error {
	for _, flag := range slices.Sorted(maps.Keys(given)) {
		if given[flag] == "" || slices.Contains(k.filters, flag) {
			continue
		}
		var others []string
		for _, other := range kinds() {
			if slices.Contains(other.filters, flag) {
				others = append(others, other.plural)
			}
		}
		return usage("--%s does not filter %s, only %s", flag, k.plural, domain.Enumerate(others, "and"))
	}
	return nil
}
