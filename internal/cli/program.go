package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/internal/config"
)

// Program is what one start of drover is given.
type Program struct {
	Args     []string
	In       io.Reader
	Out, Err io.Writer
}

// shell is one start of drover on its way through the commands.
type shell struct {
	Program
	servers []string
	token   string
	ca      string
	output  string
	config  string
	// hasty is set where nothing is waited for, and nothing said: a shell asks for names.
	hasty bool
	// impatient is set where a server that does not answer is told at once, and waited for elsewhere.
	impatient bool
	// lent is set once it was said that a token goes to a server that it was not made for.
	lent bool
	// carriers are the HTTP clients by their authorities, so that connections are used again.
	carriers map[string]*http.Client
	// files is set once the config file was read.
	files config.File
}

// Run does what the arguments say and returns the exit code. The first SIGINT or SIGTERM ends it in order.
func Run(ctx context.Context, p Program) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := &shell{Program: p, carriers: map[string]*http.Client{}}
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	root := s.root()
	root.SetArgs(p.Args)
	root.SetIn(p.In)
	help := &remembering{to: p.Out}
	root.SetOut(help) // cobra passes over what went wrong there
	root.SetErr(p.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = help.err
	}
	if err == nil {
		return exitOK
	}
	f := asFailure(wrongUse(err))
	f.tell(p.Err, s.errorsAsJSON())
	return f.code
}

// remembering is a stream that knows why something could not be written.
type remembering struct {
	to  io.Writer
	err error
}

// Write notes the first fault.
func (r *remembering) Write(p []byte) (int, error) {
	n, err := r.to.Write(p)
	if err != nil && r.err == nil {
		r.err = err
	}
	return n, err
}

// root is the tree of all commands.
func (s *shell) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "drover",
		Short: "drover keeps every machine at the release it should have",
		Long: "drover keeps every machine at the release it should have.\n\n" +
			"One program is server, agent and command line. Start with `drover server`, then `drover apply`.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return s.fill(cmd, config.ClientFlags) },
		Example:           indented("drover server &\ndrover apply -f examples/shop\ndrover release create shop 1.0 && drover deploy shop 1.0 --to production --wait\ndrover get machines\ndrover why web-01"),
		Args:              cobra.ArbitraryArgs, RunE: group,
	}
	groupExits.keep(root)
	flags := root.PersistentFlags()
	flags.StringSliceVar(&s.servers, "server", nil, "server `URL`, several with commas; default: that of the client context")
	flags.StringVar(&s.token, "token", "", "API `TOKEN`; default: that of the client context")
	flags.StringVar(&s.ca, "ca", "", "PEM `FILE` with the authorities that vouch for the servers")
	flags.StringVarP(&s.output, "output", "o", "", "`FORMAT`: table, wide, json, yaml, name or jsonl")
	flags.StringVar(&s.config, "config", "", "config `FILE`; default: config.yaml in drover's folder of the user, then /etc/drover")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", flagError(err)) })
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(withoutAliases(root.UsageTemplate()))
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false // the chapters have an order of their own
	root.SetHelpCommand(helpVerb())
	for _, of := range chapters {
		root.AddGroup(&cobra.Group{ID: of.id, Title: of.title})
		for _, build := range of.verbs {
			cmd := build(s)
			cmd.GroupID = of.id
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID("self")
	root.InitDefaultHelpCmd() // before its arguments are looked at
	s.complete(root)
	return root
}

// chapters are the commands in the order of the help.
var chapters = []struct {
	id, title string
	verbs     []func(*shell) *cobra.Command
}{
	{"run", "Run:", []func(*shell) *cobra.Command{serverVerb, agentVerb, demoVerb}},
	{"say", "Say what should be:", []func(*shell) *cobra.Command{applyVerb, diffVerb, deleteVerb, enableVerbs("machine"), enableVerbs("project"), enableVerbs("trigger")}},
	{"deploy", "Deploy:", []func(*shell) *cobra.Command{releaseVerb, deployVerb, rollbackVerb, cancelVerb, retryVerb, pinVerb, unpinVerb, holdVerb, unholdVerb}},
	{"see", "See:", []func(*shell) *cobra.Command{getVerb, describeVerb, whyVerb, logsVerb, eventsVerb}},
	{"self", "Look after drover:", []func(*shell) *cobra.Command{doctorVerb, tokenVerb, personVerb, eventlogVerb, testVerb, versionVerb, completionVerb, manVerb}},
}

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}{{with index .Annotations "` + exitsKey + `"}}
Exit codes:
{{.}}
{{end}}`

// withoutAliases removes the section of a usage template that lists aliases: they are old names that still work.
func withoutAliases(template string) string {
	const begin, end = "{{if gt (len .Aliases) 0}}", "{{end}}"
	before, rest, found := strings.Cut(template, begin)
	if !found {
		return template
	}
	_, after, _ := strings.Cut(rest, end)
	return before + after
}

// group is what a command does that only holds others: it helps, and knows no other word.
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
	f := &failure{code: exitUsage, kind: "usage", text: "unknown command " + quoted(args[0]) + " for " + quoted(cmd.CommandPath()),
		hint: "`" + cmd.CommandPath() + " --help` lists them"}
	if best := strictyaml.Nearest(args[0], known); best != "" {
		f.hint = "did you mean " + quoted(best) + "?"
	}
	return f
}

// fill gives flags that were not given their values from environment and config file.
func (s *shell) fill(cmd *cobra.Command, names []string) (err error) {
	if s.config == "" {
		s.config = expanded("DROVER_CONFIG")
	}
	if s.files, err = config.ReadFile(s.config); err != nil {
		return invalid("%v", err)
	}
	from := s.formatFrom(cmd)
	if err := config.Fill(cmd.Flags(), names, s.files); err != nil {
		return invalid("%v", err)
	}
	return checkFormat(s.output, from)
}

// formatFrom names the place that the format comes from, before it is filled in.
func (s *shell) formatFrom(cmd *cobra.Command) string {
	switch variable := config.Variable("output"); {
	case cmd.Flags().Changed("output"):
		return "-o"
	case getenv(variable) != "":
		return "environment variable " + variable + ":"
	}
	return s.files.Place("output") + ":"
}

// flagError shortens pflag's sentences.
func flagError(err error) error {
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) {
		return fmt.Errorf("invalid --%s %s: %s", wrong.GetFlag().Name, quoted(wrong.GetValue()), config.Takes(wrong.GetFlag()))
	}
	return err
}

// wrongUse marks the few errors of cobra that it does not hand to its own hooks.
func wrongUse(err error) error {
	if own := (*failure)(nil); errors.As(err, &own) {
		return err
	}
	for _, sign := range []string{"unknown command ", "required flag(s) ", "if any flags in the group "} {
		if strings.HasPrefix(err.Error(), sign) {
			return usage("%s", strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
	return err
}

// errorsAsJSON says whether an error is one JSON object. It may come before the flags and the config file are read, so
// they are looked for here too.
func (s *shell) errorsAsJSON() bool {
	format := s.output
	if format == "" {
		format = cmp.Or(outputOf(s.Args), getenv(config.Variable("output")))
	}
	if format == "" {
		if file, err := config.ReadFile(cmp.Or(s.config, expanded("DROVER_CONFIG"))); err == nil {
			format = file.Text("output")
		}
	}
	return format == formatJSON || format == formatLines
}

// outputOf finds -o among arguments that could not be understood.
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
