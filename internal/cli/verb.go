package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/explain"
)

// verb describes one command.
type verb struct {
	// use is the name and the arguments: "pin PROJECT VERSION", "logs DEPLOYMENT [MACHINE]", "test FILE…".
	use, short, long, example string
	// exits are the exit codes that it can return.
	exits exits
	run   func(ctx context.Context, args []string) error
}

// command builds the cobra command. The number of arguments follows from use.
func (v verb) command() *cobra.Command {
	_, arguments, _ := strings.Cut(v.use, " ")
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: indented(v.example), DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, " "+arguments, args) },
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args) },
	}
	v.exits.annotate(cmd)
	return cmd
}

// checkArgs compares args with the usage line of a command: NAME is required, [NAME] optional, NAME… repeatable. Flags
// in the usage line are required.
func checkArgs(cmd *cobra.Command, arguments string, args []string) error {
	arguments, required, _ := strings.Cut(arguments, " -")
	arguments = strings.TrimSpace(arguments)
	least, most := 0, 0
	for _, word := range strings.Fields(arguments) {
		switch {
		case strings.HasPrefix(word, "[") && strings.HasSuffix(word, "…"):
			most += 1000
		case strings.HasPrefix(word, "["):
			most++
		case strings.HasSuffix(word, "…"):
			least, most = least+1, most+1000
		default:
			least, most = least+1, most+1
		}
	}
	path := cmd.CommandPath()
	switch {
	case slices.Contains(args, ""):
		return usage("an argument of `%s` is empty; is a shell variable unset?", path)
	case len(args) > most && most == 0:
		return usage("`%s` takes no arguments: unexpected argument %s", path, quoted(args[0]))
	case len(args) > most:
		return usage("`%s` takes %s: unexpected argument %s", path, arguments, quoted(args[most]))
	case len(args) < least:
		return usage("`%s` takes %s; see `%s --help`", path, arguments, path)
	case required != "" && !flagGiven(cmd, strings.Fields(required)[0]):
		return usage("`%s` needs -%s; see `%s --help`", path, strings.TrimSpace(required), path)
	}
	return nil
}

// environmentFlag adds the flag --environment. The preposition is another name for it, which reads well in a command:
// `deploy shop 1.0 --to production`.
func environmentFlag(cmd *cobra.Command, value *string, preposition, help string) {
	flags := cmd.Flags()
	flags.StringVarP(value, "environment", "e", "", help+"; --"+preposition+" is the same")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == preposition {
			name = "environment"
		}
		return pflag.NormalizedName(name)
	})
}

// namedKinds are the words of usage lines that stand for names of resources. FILE, for example, does not.
var namedKinds = []string{"MACHINE", "DEPLOYMENT", "PROJECT", "RELEASE", "ENVIRONMENT", "TOKEN"}

// bareNames removes the kind from arguments that name resources: what `-o name` prints, such as machine/web-01, is accepted
// back. The usage line says which kinds an argument can have: MACHINE or MACHINE|DEPLOYMENT.
func bareNames(cmd *cobra.Command, args []string) []string {
	_, usage, _ := strings.Cut(cmd.Use, " ")
	words := strings.Fields(usage)
	args = slices.Clone(args)
	for i := range args {
		for kind := range strings.SplitSeq(strings.Trim(words[min(i, len(words)-1)], "[]…"), "|") {
			if slices.Contains(namedKinds, kind) {
				args[i] = strings.TrimPrefix(args[i], strings.ToLower(kind)+"/")
			}
		}
	}
	return args
}

// flagGiven reports whether a flag was given. The flag is written without its first dash: "f" for -f, "-flag" for
// --flag.
func flagGiven(cmd *cobra.Command, flag string) bool {
	if long, ok := strings.CutPrefix(flag, "-"); ok {
		return cmd.Flags().Changed(long)
	}
	found := cmd.Flags().ShorthandLookup(flag)
	return found != nil && found.Changed
}

// parent builds a command that has only subcommands. Its examples are the first example of each of them.
func parent(use, short, long string, children ...*cobra.Command) *cobra.Command {
	var examples []string
	for _, child := range children {
		first, _, _ := strings.Cut(strings.TrimSpace(child.Example), "\n")
		examples = append(examples, first)
	}
	cmd := &cobra.Command{Use: use, Short: short, Long: short + ".\n\n" + long,
		Example: indented(strings.Join(examples, "\n")),
		RunE:    group}
	groupExits.annotate(cmd)
	cmd.AddCommand(children...)
	return cmd
}

// groupExits are the exit codes of a command that has only subcommands.
var groupExits = exits{exitOK: "the help was printed", exitError: "the config file is invalid",
	exitUsage: "the command or a flag is unknown"}

func indented(example string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(example), "\n", "\n  ")
}

// quoted returns text as a Go string literal, cut after 80 characters.
func quoted(text string) string {
	if runes := []rune(text); len(runes) > 80 {
		text = string(runes[:80]) + "…"
	}
	return strconv.Quote(text)
}

func getenv(name string) string { return os.Getenv(name) }

// expandedEnv returns an environment variable with the variables in its value expanded: images set DROVER_CONFIG to
// /etc/drover/${ENV}.yaml.
func expandedEnv(name string) string { return os.ExpandEnv(getenv(name)) }

// deadline returns the time at which `--for D` ends, or nil if d is 0.
func deadline(d time.Duration) (*time.Time, error) {
	switch {
	case d == 0:
		return nil, nil
	case d < 0:
		return nil, usage("invalid --for %s: use a positive duration, such as 2h", d)
	}
	until := time.Now().Add(d).UTC().Truncate(time.Second)
	return &until, nil
}

// info prints a message to stderr, unless errors are printed as JSON: then stderr holds nothing else.
func (a *app) info(format string, args ...any) {
	if !a.completing && !a.errorsAsJSON() {
		fmt.Fprintln(a.Err, explain.Text(fmt.Sprintf(format, args...)))
	}
}

// plural returns a number with its noun: "1 machine", "3 machines".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
