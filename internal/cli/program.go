package cli

import (
	"context"
	"errors"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	// files is set once the config file was read.
	files config.File
}

// Run does what the arguments say and returns the exit code. The first SIGINT or SIGTERM ends it in order.
func Run(ctx context.Context, p Program) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := &shell{Program: p}
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	root := s.root()
	root.SetArgs(p.Args)
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	f := asFailure(wrongUse(err))
	f.tell(p.Err, s.output == formatJSON || s.output == formatLines || s.output == "" && asksForJSON(p.Args))
	return f.code
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
		Args:              cobra.ArbitraryArgs, RunE: group,
	}
	flags := root.PersistentFlags()
	flags.StringSliceVar(&s.servers, "server", nil, "server `URL`, several with commas; default: that of the client context")
	flags.StringVar(&s.token, "token", "", "API `TOKEN`; default: that of the client context")
	flags.StringVar(&s.ca, "ca", "", "PEM `FILE` with the authorities that vouch for the servers")
	flags.StringVarP(&s.output, "output", "o", "", "`FORMAT`: table, wide, json, yaml, name or jsonl")
	flags.StringVar(&s.config, "config", "", "config `FILE`; default: config.yaml in drover's folder of the user, then /etc/drover")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", flagError(err)) })
	root.SetHelpTemplate(helpTemplate)
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
	return root
}

// chapters are the commands in the order of the help.
var chapters = []struct {
	id, title string
	verbs     []func(*shell) *cobra.Command
}{
	{"run", "Run:", []func(*shell) *cobra.Command{serverVerb, agentVerb}},
	{"say", "Say what should be:", []func(*shell) *cobra.Command{applyVerb, diffVerb, deleteVerb, enableVerbs("machine"), enableVerbs("project"), enableVerbs("trigger")}},
	{"deploy", "Deploy:", []func(*shell) *cobra.Command{releaseVerb, deployVerb, rollbackVerb, cancelVerb, retryVerb, pinVerb, unpinVerb, holdVerb, unholdVerb}},
	{"see", "See:", []func(*shell) *cobra.Command{getVerb, describeVerb, whyVerb, logsVerb, eventsVerb}},
	{"self", "Look after drover:", []func(*shell) *cobra.Command{tokenVerb, logVerb, testVerb, versionVerb, completionVerb}},
}

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}
` + exitHelp + "\n"

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
	if best := config.Nearest(args[0], known); best != "" {
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
	if err := config.Fill(cmd.Flags(), names, s.files); err != nil {
		return invalid("%v", err)
	}
	return checkFormat(s.output)
}

// flagError shortens pflag's sentences.
func flagError(err error) error {
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) {
		return errors.New("flag --" + wrong.GetFlag().Name + ": " + quoted(wrong.GetValue()) + " is no value for it: " + wrong.Unwrap().Error())
	}
	return err
}

// wrongUse marks the few errors of cobra that it does not hand to its own hooks.
func wrongUse(err error) error {
	for _, sign := range []string{"unknown command ", "required flag(s) ", "if any flags in the group "} {
		if strings.HasPrefix(err.Error(), sign) {
			return usage("%s", strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
	return err
}

// asksForJSON is for errors that come before the flags are read.
func asksForJSON(args []string) bool {
	for i, arg := range args {
		switch {
		case arg == "-ojson" || arg == "-o=json" || arg == "--output=json" || arg == "-ojsonl" || arg == "--output=jsonl":
			return true
		case (arg == "-o" || arg == "--output") && i+1 < len(args) && strings.HasPrefix(args[i+1], "json"):
			return true
		}
	}
	return strings.HasPrefix(getenv("DROVER_OUTPUT"), "json")
}
