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
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
)

// completionTimeout bounds how long shell completion waits for names from a server. Without an answer it completes
// nothing.
const completionTimeout = 800 * time.Millisecond

// completer returns the possible values of the word that is being completed.
type completer func(q *completion) []string

// completion is one request of a shell to complete a word.
type completion struct {
	ctx     context.Context
	app     *app
	cmd     *cobra.Command
	args    []string // the arguments before the word
	partial string
}

// argumentNames maps the path of a command to the completers of its arguments, in order. If a command takes any number
// of arguments, the last completer repeats. Commands that are not listed complete file names.
var argumentNames = map[string][]completer{
	"get":                     {kindNames, ofFirst},
	"describe":                {kindNames, ofFirst},
	"delete":                  {deletableNames, ofFirst},
	"machine enable":          {ofKind(&machineKind)},
	"machine disable":         {ofKind(&machineKind)},
	"machine reimage":         {ofKind(&machineKind)},
	"project enable":          {ofKind(&projectKind)},
	"project disable":         {ofKind(&projectKind)},
	"trigger enable":          {ofKind(&triggerKind)},
	"trigger disable":         {ofKind(&triggerKind)},
	"release create":          {ofKind(&projectKind)},
	"release show":            {ofKind(&projectKind), releasesOf},
	"release retire":          {ofKind(&projectKind), deployableOf},
	"release restore":         {ofKind(&projectKind), retiredOf},
	"deploy":                  {ofKind(&projectKind), deployableOf},
	"rollback":                {ofKind(&projectKind)},
	"accept":                  {failedDeployments},
	"cancel":                  {openDeployments},
	"retry":                   {machinesOrDeployments},
	"logs":                    {ofKind(&deploymentKind), machinesOf},
	"pin":                     {ofKind(&projectKind), deployableOf},
	"unpin":                   {ofKind(&projectKind)},
	"hold":                    {ofKind(&machineKind)},
	"unhold":                  {ofKind(&machineKind)},
	"why":                     {ofKind(&machineKind)},
	"login":                   {},
	"status":                  {},
	"context list":            {},
	"context use":             {contextNames},
	"context show":            {contextNames},
	"context rename":          {contextNames},
	"context delete":          {contextNames},
	"variables":               {ofKind(&projectKind)},
	"token revoke":            {ofKind(&tokenKind)},
	"person erase":            {ofKind(&personKind)},
	"completion":              {fixed(shells...)},
	"help":                    {commandsOf},
	"man":                     {commandsOf},
	"server":                  {},
	"agent":                   {},
	"apply":                   {},
	"diff":                    {},
	"events":                  {},
	"version":                 {},
	"token create":            {},
	"token list":              {},
	"server-key show":         {},
	"server-key rotate":       {},
	"person add":              {},
	"person list":             {},
	"access who":              {},
	"access why-not":          {ofKind(&tokenKind)},
	"eventlog verify":         {},
	"eventlog clear":          {},
	"eventlog accept-restore": {},
}

// arguments sets up the completion of a command's arguments.
func (a *app) arguments(cmd *cobra.Command) {
	places, known := argumentNames[strings.TrimPrefix(cmd.CommandPath(), "drover ")]
	if !known || cmd.HasSubCommands() {
		return
	}
	many := strings.Contains(cmd.Use, "…")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, partial string) ([]string,
		cobra.ShellCompDirective) {
		at := len(args)
		if many {
			at = min(at, len(places)-1)
		}
		if at >= len(places) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := a.ask(cmd, args, partial, places[at])
		if many {
			found = slices.DeleteFunc(found, func(name string) bool { return slices.Contains(args, name) })
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// flagNames maps the name of a flag to the completer of its values, the same for every command.
var flagNames = map[string]completer{
	"output":      fixed(formats...),
	"environment": ofKind(&environmentKind),
	"to":          ofKind(&environmentKind),
	"in":          ofKind(&environmentKind),
	"project":     ofKind(&projectKind),
	"machine":     ofKind(&machineKind),
	"exclude":     ofKind(&machineKind),
	"person":      ofKind(&personKind),
	"owner":       ofKind(&personKind),
	"scope":       fixed("admin", "deploy", "read"),
	"permission":  fixed("viewer", "operator", "releaser", "deployer", "approver", "owner", "admin", "none"),
	"can":         verbsOf,
	"state":       statesOf,
	"role":        rolesSeen,
	"server":      addresses,
}

// flagFiles lists the flags whose values are files or folders. Flags in neither list complete nothing.
var flagFiles = []string{"ca", "config", "filename", "tls-cert", "tls-key", "data", "dir"}

// complete sets up the completion of arguments and flags for a command and its subcommands.
func (a *app) complete(cmd *cobra.Command) {
	a.arguments(cmd)
	complete := func(flag *pflag.Flag) {
		find, known := flagNames[flag.Name]
		if slices.Contains(flagFiles, flag.Name) || flag.NoOptDefVal != "" {
			return
		}
		// It fails only if the flag has a completion function already.
		_ = cmd.RegisterFlagCompletionFunc(flag.Name, func(cmd *cobra.Command, args []string,
			partial string) ([]string, cobra.ShellCompDirective) {
			if !known {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.ask(cmd, args, partial, find), cobra.ShellCompDirectiveNoFileComp
		})
	}
	cmd.LocalNonPersistentFlags().VisitAll(complete)
	cmd.PersistentFlags().VisitAll(complete)
	for _, child := range cmd.Commands() {
		a.complete(child)
	}
}

// ask returns the words of find that start with partial. It ignores errors, because a shell cannot show them.
func (a *app) ask(cmd *cobra.Command, args []string, partial string, find completer) []string {
	if a.fill(cmd, config.ClientFlags) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	var fitting []string
	for _, name := range find(&completion{ctx, a, cmd, args, partial}) {
		word, _, _ := strings.Cut(name, "\t")
		if strings.HasPrefix(word, partial) {
			fitting = append(fitting, explain.Text(name))
		}
	}
	return fitting
}

// fixed returns a completer for a fixed list of words.
func fixed(words ...string) completer { return func(*completion) []string { return words } }

func verbsOf(*completion) (all []string) {
	for _, verb := range domain.Verbs() {
		all = append(all, string(verb))
	}
	return all
}

func contextNames(*completion) (names []string) {
	all, err := contexts()
	if err != nil {
		return nil
	}
	for i := range all.List {
		names = append(names, all.NameOf(&all.List[i]))
	}
	return names
}

func kindNames(*completion) []string {
	var all []string
	for _, k := range kinds() {
		all = append(all, k.plural)
	}
	return all
}

func deletableNames(*completion) []string {
	var all []string
	for _, k := range kinds() {
		if k.deletable {
			all = append(all, k.plural)
		}
	}
	return all
}

func statesOf(q *completion) []string {
	k, err := findKind(slices.Concat(q.args, []string{"machines"})[0], anyKind)
	switch {
	case err != nil:
		return nil
	case k.name == "deployment" && len(q.args) > 1: // describe deployment ID
		return partStates
	case k.name == "deployment":
		return explain.DeploymentStates
	case k.name == "server":
		return explain.ServerStates
	case k.name == "candidate":
		return explain.CandidateStates
	case k.name == "token":
		return explain.TokenStates
	}
	return explain.MachineStates
}

// ofKind completes the names of a kind. It takes a pointer because the kinds are initialized after these tables.
func ofKind(k *kind) completer { return func(q *completion) []string { return q.named(k) } }

// ofFirst completes the names of the kind that the first argument names.
func ofFirst(q *completion) []string {
	k, err := findKind(q.args[0], anyKind)
	if err != nil {
		return nil
	}
	return q.named(&k)
}

// releasesOf completes the versions of the project that the first argument names, newest first.
func releasesOf(q *completion) []string {
	return q.releases(func(explain.Release) bool { return true })
}

// deployableOf completes those of them that are not retired, and retiredOf the retired ones.
func deployableOf(q *completion) []string {
	return q.releases(func(r explain.Release) bool { return r.Retired == nil })
}

func retiredOf(q *completion) []string {
	return q.releases(func(r explain.Release) bool { return r.Retired != nil })
}

func (q *completion) releases(complete func(explain.Release) bool) []string {
	var list explain.List[explain.Release]
	if !q.get(client.Path("releases"), query("project", q.args[0], "limit", "5000"), &list) {
		return nil
	}
	var versions []string
	for _, r := range slices.Backward(list.Items) {
		if complete(r) {
			versions = append(versions, r.Version)
		}
	}
	return versions
}

// machinesOf completes the machines of the deployment that the first argument names.
func machinesOf(q *completion) []string {
	var d explain.Deployment
	if !q.get(client.Path("deployments", strings.TrimPrefix(q.args[0], "deployment/")), nil, &d) {
		return nil
	}
	var all []string
	for _, m := range d.Machines {
		all = append(all, m.Name+"\t"+m.State)
	}
	return all
}

// rolesSeen completes the roles of all machines and projects.
func rolesSeen(q *completion) []string {
	var machines explain.List[explain.Machine]
	var projects explain.List[explain.Project]
	if !q.get(client.Path("machines"), query("limit", "1000"), &machines) ||
		!q.get(client.Path("projects"), query("limit", "1000"), &projects) {
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

// named requests the names of a kind. A list of machines starts shortly before the typed text, because there may be
// many.
func (q *completion) named(k *kind) []string {
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

// before returns a text that sorts directly before all names that start with text.
func before(text string) string {
	last := len(text) - 1
	return text[:last] + string(rune(text[last]-1)) + "~"
}

// get reads once from the servers of the context and reports whether one answered.
func (q *completion) get(path string, parameters url.Values, into any) bool {
	q.app.completing = true
	c, err := q.app.connect(q.ctx)
	if err != nil {
		return false
	}
	_, err = c.Get(q.ctx, path, parameters, into)
	return err == nil
}

// addresses completes the servers of the user's contexts.
func addresses(*completion) (all []string) {
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

// openDeployments completes the deployments that can be cancelled.
func openDeployments(q *completion) []string {
	return append(deploymentKind.names(q, query("state", "running")),
		deploymentKind.names(q, query("state", "queued"))...)
}

// failedDeployments completes the deployments that can be accepted.
func failedDeployments(q *completion) []string {
	return append(deploymentKind.names(q, query("state", "failed")),
		deploymentKind.names(q, query("state", "cancelled"))...)
}

// shells lists the shells with a completion script.
var shells = []string{"bash", "zsh", "fish", "powershell"}

// commandsOf completes the subcommands of the command that the arguments name.
func commandsOf(q *completion) (all []string) {
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

// machinesOrDeployments completes what retry takes: a deployment after --failed or --skipped, otherwise a machine.
func machinesOrDeployments(q *completion) []string {
	if q.cmd.Flags().Changed("failed") || q.cmd.Flags().Changed("skipped") {
		return q.named(&deploymentKind)
	}
	return q.named(&machineKind)
}
