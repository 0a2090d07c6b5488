package cli

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
)

// completeWithin bounds how long a shell waits for names. Without an answer it completes nothing, without a word.
const completeWithin = 800 * time.Millisecond

// names finds what may stand at a place, among what was typed so far.
type names func(q *asking) []string

// asking is one question of a shell.
type asking struct {
	ctx     context.Context
	shell   *shell
	cmd     *cobra.Command
	args    []string // before the word that is completed
	partial string
}

// argumentNames are what the arguments of a command are, one after the other, by the command's path; the last one again
// and again where it takes any number. A command that is not here completes files.
var argumentNames = map[string][]names{
	"get": {kindNames, ofFirst}, "describe": {kindNames, ofFirst}, "delete": {deletableNames, ofFirst},
	"machine enable": {ofKind(&machineKind)}, "machine disable": {ofKind(&machineKind)},
	"project enable": {ofKind(&projectKind)}, "project disable": {ofKind(&projectKind)},
	"trigger enable": {ofKind(&triggerKind)}, "trigger disable": {ofKind(&triggerKind)},
	"release create": {ofKind(&projectKind)}, "deploy": {ofKind(&projectKind), releasesOf}, "rollback": {ofKind(&projectKind)},
	"cancel": {openDeployments}, "retry": {ofKind(&machineKind)}, "logs": {ofKind(&deploymentKind), machinesOf},
	"pin": {ofKind(&projectKind), releasesOf}, "unpin": {ofKind(&projectKind)},
	"hold": {ofKind(&machineKind)}, "unhold": {ofKind(&machineKind)}, "why": {ofKind(&machineKind)},
	"token revoke": {ofKind(&tokenKind)}, "person erase": {ofKind(&personKind)}, "completion": {fixed(shells...)}, "help": {commandsOf}, "man": {commandsOf},
	"server": {}, "agent": {}, "apply": {}, "diff": {}, "events": {}, "version": {}, "token create": {}, "token list": {}, "person add": {}, "person list": {},
	"eventlog verify": {}, "eventlog clear": {}, "eventlog accept-restore": {},
}

// arguments completes what comes after the command.
func (s *shell) arguments(cmd *cobra.Command) {
	places, known := argumentNames[strings.TrimPrefix(cmd.CommandPath(), "drover ")]
	if !known || cmd.HasSubCommands() {
		return
	}
	many := strings.Contains(cmd.Use, "…")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, partial string) ([]string, cobra.ShellCompDirective) {
		at := len(args)
		if many {
			at = min(at, len(places)-1)
		}
		if at >= len(places) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := s.ask(cmd, args, partial, places[at])
		if many {
			found = slices.DeleteFunc(found, func(name string) bool { return slices.Contains(args, name) })
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// flagNames are what the values of flags are, by the flag's name; it is the same on every command that has the flag.
var flagNames = map[string]names{
	"output": fixed(formats...), "environment": ofKind(&environmentKind), "to": ofKind(&environmentKind), "in": ofKind(&environmentKind),
	"project": ofKind(&projectKind), "machine": ofKind(&machineKind), "exclude": ofKind(&machineKind),
	"person": ofKind(&personKind), "scope": fixed("admin", "deploy", "read"), "state": statesOf, "role": rolesSeen, "server": addresses,
}

// flagFiles are the flags whose values are files or folders; all others complete nothing that is not in flagNames.
var flagFiles = []string{"ca", "config", "filename", "tls-cert", "tls-key", "data", "dir"}

// complete gives the arguments and flags of a command, and of those below it, their names. A flag without names
// completes nothing, unless its value is a file.
func (s *shell) complete(cmd *cobra.Command) {
	s.arguments(cmd)
	complete := func(flag *pflag.Flag) {
		find, known := flagNames[flag.Name]
		if slices.Contains(flagFiles, flag.Name) || flag.NoOptDefVal != "" {
			return
		}
		// It fails only where a command has said itself how this flag is completed.
		_ = cmd.RegisterFlagCompletionFunc(flag.Name, func(cmd *cobra.Command, args []string, partial string) ([]string, cobra.ShellCompDirective) {
			if !known {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return s.ask(cmd, args, partial, find), cobra.ShellCompDirectiveNoFileComp
		})
	}
	cmd.LocalNonPersistentFlags().VisitAll(complete)
	cmd.PersistentFlags().VisitAll(complete)
	for _, child := range cmd.Commands() {
		s.complete(child)
	}
}

// ask finds names that begin with what was typed. What goes wrong is passed over: a shell cannot show it.
func (s *shell) ask(cmd *cobra.Command, args []string, partial string, find names) []string {
	if s.fill(cmd, config.ClientFlags) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	var fitting []string
	for _, name := range find(&asking{ctx, s, cmd, args, partial}) {
		word, _, _ := strings.Cut(name, "\t")
		if strings.HasPrefix(word, partial) {
			fitting = append(fitting, explain.Text(name))
		}
	}
	return fitting
}

// fixed are words that are always the same.
func fixed(words ...string) names { return func(*asking) []string { return words } }

func kindNames(*asking) []string {
	var all []string
	for _, k := range kinds() {
		all = append(all, k.plural)
	}
	return all
}

func deletableNames(*asking) []string {
	var all []string
	for _, k := range kinds() {
		if k.deletable {
			all = append(all, k.plural)
		}
	}
	return all
}

func statesOf(q *asking) []string {
	k, err := findKind(slices.Concat(q.args, []string{"machines"})[0])
	switch {
	case err != nil:
		return nil
	case k.name == "deployment":
		return explain.DeploymentStates
	case k.name == "server":
		return explain.ServerStates
	case k.name == "candidate":
		return explain.CandidateStates
	}
	return explain.MachineStates
}

// ofKind are the names of all things of a kind. It takes a pointer because a kind is made later than the tables here.
func ofKind(k *kind) names { return func(q *asking) []string { return q.named(k) } }

// ofFirst are the names of the kind that the first argument says.
func ofFirst(q *asking) []string {
	k, err := findKind(q.args[0])
	if err != nil {
		return nil
	}
	return q.named(&k)
}

// releasesOf are the versions of the project that the first argument says, the newest first.
func releasesOf(q *asking) []string {
	var list explain.List[explain.Release]
	if !q.get(client.Path("releases"), query("project", q.args[0], "limit", "5000"), &list) {
		return nil
	}
	var versions []string
	for _, r := range slices.Backward(list.Items) {
		versions = append(versions, r.Version)
	}
	return versions
}

// machinesOf are the machines of the deployment that the first argument says.
func machinesOf(q *asking) []string {
	var d explain.Deployment
	if !q.get(client.Path("deployments", id(q.args[0])), nil, &d) {
		return nil
	}
	var all []string
	for _, m := range d.Machines {
		all = append(all, m.Name+"\t"+m.State)
	}
	return all
}

// rolesSeen are the roles that machines and projects have.
func rolesSeen(q *asking) []string {
	var machines explain.List[explain.Machine]
	var projects explain.List[explain.Project]
	if !q.get(client.Path("machines"), query("limit", "1000"), &machines) || !q.get(client.Path("projects"), query("limit", "1000"), &projects) {
		return nil
	}
	var roles []string
	for _, m := range machines.Items {
		roles = append(roles, m.Roles...)
	}
	for _, p := range projects.Items {
		roles = append(roles, p.Roles...)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// named asks for the names of a kind. Where machines are many, the list begins near what was typed.
func (q *asking) named(k *kind) []string {
	parameters := query("limit", "1000")
	if flag := q.cmd.Flags().Lookup("project"); flag != nil && k.inProject {
		parameters = query("limit", "1000", "project", flag.Value.String())
	}
	if k.name == machineKind.name && q.partial != "" {
		parameters.Set("next", before(q.partial))
	}
	all := k.names(q, parameters)
	if parameters.Get("project") != "" {
		for i := range all {
			_, all[i] = splitName(all[i])
		}
	}
	return all
}

// before stands right before all names that begin with text, and is none itself.
func before(text string) string {
	last := len(text) - 1
	return text[:last] + string(rune(text[last]-1)) + "~"
}

// get reads once from the servers of the context, and says whether one answered.
func (q *asking) get(path string, parameters url.Values, into any) bool {
	q.shell.hasty = true
	c, err := q.shell.connect(q.ctx)
	if err != nil {
		return false
	}
	_, err = c.Get(q.ctx, path, parameters, into)
	return err == nil
}

// addresses are those of the servers that this user has contexts for.
func addresses(*asking) (all []string) {
	path, err := config.ContextsPath()
	if err != nil {
		return nil
	}
	contexts, err := config.ReadContexts(path)
	if err != nil {
		return nil
	}
	for _, c := range contexts.List {
		all = append(all, c.Servers...)
	}
	return all
}

// openDeployments are those that can be cancelled.
func openDeployments(q *asking) []string {
	return append(deploymentKind.names(q, query("state", "running")), deploymentKind.names(q, query("state", "queued"))...)
}

// shells are those that there is a script for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

// commandsOf are the commands below the one that the arguments name.
func commandsOf(q *asking) (all []string) {
	found, rest, err := q.cmd.Root().Find(q.args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	for _, child := range found.Commands() {
		if child.IsAvailableCommand() {
			all = append(all, child.Name()+"\t"+child.Short)
		}
	}
	return all
}
