package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"os/signal"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/internal/config"
)

// Program holds the arguments and standard streams of one run of drover.
type Program struct {
	Args     []string
	In       io.Reader
	Out, Err io.Writer
}

// app is what the commands of one run share: streams, global flags, config file and HTTP clients.
type app struct {
	Program
	servers []string
	token   string
	ca      string
	// acceptServer is the text of the server key that the user accepts.
	acceptServer string
	output       string
	config       string
	// insecure permits a database on another machine without verified TLS.
	insecure bool
	// completing is set during shell completion: requests do not wait for a server, and nothing is printed to stderr.
	completing bool
	// noRetry makes requests return at once when no server is reachable; the caller retries.
	noRetry bool
	// notedExpiry records that the message about a token that expires soon was printed.
	notedExpiry atomic.Bool
	// httpClients holds one HTTP client for each value of --ca, so that connections are reused.
	httpClients map[string]*http.Client
	// files is the config file; fill reads it.
	files config.File
}

// Run executes the command that the arguments name and returns its exit code. The first SIGINT or SIGTERM cancels the
// command, the second ends the process at once.
func Run(ctx context.Context, p Program) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	a := &app{Program: p, httpClients: map[string]*http.Client{}}
	context.AfterFunc(ctx, stop) // restores the default action for the second signal
	root := a.root()
	root.SetArgs(p.Args)
	root.SetIn(p.In)
	help := &errWriter{to: p.Out}
	root.SetOut(help) // cobra ignores errors from writing the help
	root.SetErr(p.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = help.err
	}
	if err == nil {
		return exitOK
	}
	f := asFailure(wrongUse(err))
	f.write(p.Err, a.errorsAsJSON())
	return f.code
}

// errWriter is an io.Writer that remembers the first error.
type errWriter struct {
	to  io.Writer
	err error
}

// Write writes to the underlying writer and records its first error.
func (r *errWriter) Write(p []byte) (int, error) {
	n, err := r.to.Write(p)
	if err != nil && r.err == nil {
		r.err = err
	}
	return n, err
}

// root builds the tree of all commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "drover",
		Short: "Deploy releases to machines and keep every machine up to date",
		Long: "drover deploys releases to machines and keeps every machine at the release that it should run.\n\n" +
			"One program is the server, the agent and the command line. Start a server with `drover server`,\n" +
			"then describe your environments, machines and projects in YAML files and load them with `drover\n" +
			"apply`.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.fill(cmd, config.ClientFlags) },
		Example: indented("drover server &\ndrover apply -f examples/shop\ndrover release create shop 1.0 " +
			"&& drover deploy shop 1.0 --to production\ndrover get machines\ndrover why web-01"),
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	root.Version = Version()
	root.SetVersionTemplate("drover {{.Version}}\n")
	groupExits.annotate(root)
	flags := root.PersistentFlags()
	flags.StringSliceVar(&a.servers, "server", nil,
		"server `URL` (https://HOST:PORT, or unix:///PATH on this machine); separate several with commas;\n"+
			"default: the servers of the client context")
	flags.StringVar(&a.token, "token", "", "API `TOKEN`; default: the token of the client context")
	flags.StringVar(&a.acceptServer, "accept-server", "",
		"accept only a server with this `KEY` (dsk_…), and record it in the client context; default: the key of the\n"+
			"context")
	flags.StringVar(&a.ca, "ca", "",
		"PEM `FILE` with the certificate authorities that the client trusts; default: those of the system")
	flags.StringVarP(&a.output, "output", "o", "",
		"output `FORMAT`: table, wide, json, yaml, name or jsonl; default: table, tab-separated in a pipe")
	flags.StringVar(&a.config, "config", "",
		"config `FILE`; default: config.yaml in the user's drover configuration folder, then in /etc/drover")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(withoutAliases(root.UsageTemplate()))
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false // commandGroups defines the order
	root.SetHelpCommand(helpVerb())
	for _, of := range commandGroups {
		root.AddGroup(&cobra.Group{ID: of.id, Title: of.title})
		for _, build := range of.verbs {
			cmd := build(a)
			cmd.GroupID = of.id
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID("operate")
	acceptBareNames(root)
	root.InitDefaultHelpCmd() // so that complete finds it
	a.complete(root)
	return root
}

// acceptBareNames makes the commands below cmd accept names with their kind.
func acceptBareNames(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		acceptBareNames(child)
		if run := child.RunE; run != nil && !child.HasSubCommands() {
			child.RunE = func(cmd *cobra.Command, args []string) error { return run(cmd, bareNames(cmd, args)) }
		}
	}
}

// commandGroups lists the commands in the order of the help.
var commandGroups = []struct {
	id, title string
	verbs     []func(*app) *cobra.Command
}{
	{"run", "Run:", []func(*app) *cobra.Command{serverVerb, agentVerb, demoVerb}},
	{"configure", "Configure:", []func(*app) *cobra.Command{applyVerb, diffVerb, deleteVerb, machineVerb,
		enableVerbs("project"), enableVerbs("trigger")}},
	{"deploy", "Deploy:", []func(*app) *cobra.Command{releaseVerb, deployVerb, rollbackVerb, cancelVerb, retryVerb,
		acceptVerb, pinVerb, unpinVerb, holdVerb, unholdVerb}},
	{"inspect", "Inspect:", []func(*app) *cobra.Command{statusVerb, getVerb, describeVerb, whyVerb, variablesVerb, logsVerb,
		eventsVerb}},
	{"operate", "Operate:", []func(*app) *cobra.Command{doctorVerb, loginVerb, contextVerb, tokenVerb, personVerb, accessVerb,
		serverKeyVerb, eventlogVerb, testVerb, versionVerb, completionVerb, manVerb}},
}

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}{{with index .Annotations "` + exitsKey + `"}}
Exit codes:
{{.}}
{{end}}`

// withoutAliases removes the aliases section from a usage template. Aliases are old names of commands and stay hidden.
func withoutAliases(template string) string {
	const begin, end = "{{if gt (len .Aliases) 0}}", "{{end}}"
	before, rest, found := strings.Cut(template, begin)
	if !found {
		return template
	}
	_, after, _ := strings.Cut(rest, end)
	return before + after
}

// group runs a command that has only subcommands: it prints the help, or returns an error for an unknown subcommand.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var known []string
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			known = append(known, child.Name())
		}
	}
	f := &failure{code: exitUsage, kind: "usage", text: "unknown command " + quoted(args[0]) + " for " +
		quoted(cmd.CommandPath()),
		hint: "`" + cmd.CommandPath() + " --help` lists the commands"}
	if best := strictyaml.Nearest(args[0], known); best != "" {
		f.hint = "did you mean " + quoted(best) + "?"
	}
	if hint := otherVerbs[args[0]]; hint != "" && !cmd.HasParent() {
		f.hint = hint
	}
	return f
}

// otherVerbs are commands that other tools have, with what does the same here.
var otherVerbs = map[string]string{
	"ps":      "`drover get machines` lists machines, and `drover status` shows what runs",
	"ls":      "`drover get KIND` lists resources, and `drover status` shows what runs",
	"list":    "`drover get KIND` lists resources, and `drover status` shows what runs",
	"show":    "`drover describe KIND NAME` shows one resource",
	"create":  "`drover apply -f FILE` creates resources, and `drover release create` a release",
	"add":     "`drover apply -f FILE` creates resources, and `drover token create --join` lets a machine join",
	"edit":    "change the file and run `drover apply -f FILE`; `drover get KIND NAME -o yaml` prints one",
	"update":  "change the file and run `drover apply -f FILE`",
	"rm":      "`drover delete KIND NAME` deletes a resource",
	"remove":  "`drover delete KIND NAME` deletes a resource",
	"plan":    "`drover diff -f FILE` shows what `drover apply` would change",
	"log":     "`drover logs DEPLOYMENT` prints the output of steps, and `drover events` the event log",
	"history": "`drover get deployments` lists deployments, and `drover events` everything that happened",
	"stop":    "`drover cancel DEPLOYMENT` stops a deployment; --kill also stops its running steps",
	"undo":    "`drover rollback PROJECT --to ENV` deploys the previous release",
	"promote": "`drover deploy PROJECT VERSION --to ENV` deploys a release to another environment",
	"upgrade": "`drover deploy PROJECT VERSION --to ENV` deploys a release",
}

// fill sets flags that were not given from the environment and the config file.
func (a *app) fill(cmd *cobra.Command, names []string) (err error) {
	if a.config == "" {
		a.config = expandedEnv("DROVER_CONFIG")
	}
	if a.files, err = config.ReadFile(a.config); err != nil {
		return invalid("%v", err)
	}
	from := a.formatFrom(cmd)
	if err := config.Fill(cmd.Flags(), names, a.files); err != nil {
		return invalid("%v", err)
	}
	return checkFormat(a.output, from)
}

// formatFrom returns the source of the output format, for error messages: the flag, an environment variable or the
// config file. Call it before the flags are filled.
func (a *app) formatFrom(cmd *cobra.Command) string {
	switch variable := config.Variable("output"); {
	case cmd.Flags().Changed("output"):
		return "-o"
	case getenv(variable) != "":
		return "environment variable " + variable + ":"
	}
	return a.files.Location("output") + ":"
}

// flagError replaces pflag's message for an invalid value by one that states the valid values.
// For an unknown flag it names the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var wrong *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	f := &failure{code: exitUsage, kind: "usage", text: err.Error(),
		hint: "`" + cmd.CommandPath() + " --help` lists the flags"}
	switch {
	case errors.As(err, &wrong):
		return usage("invalid --%s %s: %s", wrong.GetFlag().Name, quoted(wrong.GetValue()),
			config.ValueHint(wrong.GetFlag()))
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, "--"+flag.Name) })
		if best := strictyaml.Nearest("--"+unknown.GetSpecifiedName(), names); best != "" {
			f.hint = "did you mean " + quoted(best) + "?"
		}
		if unknown.GetSpecifiedName() == "dry-run" {
			f.hint = "`drover diff` shows what `drover apply` would change"
		}
	}
	return f
}

// together matches cobra's error for flags that exclude each other, and their names.
var together = regexp.MustCompile(`^if any flags in the group .*\[([^\]]+)\] were all set$`)

// wrongUse turns usage errors that cobra reports without calling a hook into failures with exit code 2.
func wrongUse(err error) error {
	if own := (*failure)(nil); errors.As(err, &own) {
		return err
	}
	if flags := together.FindStringSubmatch(err.Error()); flags != nil {
		return usage("--%s cannot be used together", strings.Join(strings.Fields(flags[1]), " and --"))
	}
	for _, sign := range []string{"unknown command ", "required flag(s) ", "if any flags in the group "} {
		if strings.HasPrefix(err.Error(), sign) {
			return usage("%s", strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
	return err
}

// errorsAsJSON reports whether errors are printed as a JSON object. An error can occur before the flags and the config
// file are parsed, so errorsAsJSON reads both itself if necessary.
func (a *app) errorsAsJSON() bool {
	format := a.output
	if format == "" {
		format = cmp.Or(outputOf(a.Args), getenv(config.Variable("output")))
	}
	if format == "" {
		if file, err := config.ReadFile(cmp.Or(a.config, expandedEnv("DROVER_CONFIG"))); err == nil {
			format = file.Text("output")
		}
	}
	return format == formatJSON || format == formatLines
}

// outputOf returns the value of -o or --output in arguments that may not parse.
func outputOf(args []string) (format string) {
	for i, arg := range args {
		value, joined := strings.CutPrefix(arg, "--output=")
		short, isShort := strings.CutPrefix(arg, "-o")
		switch {
		case arg == "--":
			return format
		case joined:
			format = value
		case (arg == "-o" || arg == "--output") && i+1 < len(args):
			format = args[i+1]
		case isShort:
			format = strings.TrimPrefix(short, "=")
		}
	}
	return format
}
