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

	"github.com/droverhq/drover/explain"
)

// verb is one command as its file describes it.
type verb struct {
	// use is the name and the arguments: "pin PROJECT VERSION", "logs DEPLOYMENT [MACHINE]", "test FILE…".
	use, short, long, example string
	// exits are the codes that it can end with.
	exits exits
	run   func(ctx context.Context, args []string) error
}

// command builds the cobra command. The arguments are counted by what use says.
func (v verb) command() *cobra.Command {
	_, arguments, _ := strings.Cut(v.use, " ")
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: indented(v.example), DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error { return count(cmd, " "+arguments, args) },
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args) },
	}
	v.exits.keep(cmd)
	return cmd
}

// count compares arguments with those that the command's line names, NAME, [NAME] or NAME…, and finds the
// flags that must be given, which stand after them.
func count(cmd *cobra.Command, arguments string, args []string) error {
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
		return usage("an argument of `%s` is empty; is a variable of the shell not set?", path)
	case len(args) > most && most == 0:
		return usage("`%s` takes no arguments: unexpected argument %s", path, quoted(args[0]))
	case len(args) > most:
		return usage("`%s` takes %s: unexpected argument %s", path, arguments, quoted(args[most]))
	case len(args) < least:
		return usage("`%s` takes %s; see `%s --help`", path, arguments, path)
	case required != "" && !given(cmd, strings.Fields(required)[0]):
		return usage("`%s` needs -%s; see `%s --help`", path, strings.TrimSpace(required), path)
	}
	return nil
}

// given says whether the flag -f, written "f", or --flag, written "-flag", was given.
func given(cmd *cobra.Command, flag string) bool {
	if long, ok := strings.CutPrefix(flag, "-"); ok {
		return cmd.Flags().Changed(long)
	}
	found := cmd.Flags().ShorthandLookup(flag)
	return found != nil && found.Changed
}

// parent is a command that only holds others. Its examples are the first of each of them.
func parent(use, short string, children ...*cobra.Command) *cobra.Command {
	var examples []string
	for _, child := range children {
		first, _, _ := strings.Cut(strings.TrimSpace(child.Example), "\n")
		examples = append(examples, first)
	}
	cmd := &cobra.Command{Use: use, Short: short, Long: short + ".", Example: indented(strings.Join(examples, "\n")), RunE: group}
	groupExits.keep(cmd)
	cmd.AddCommand(children...)
	return cmd
}

// groupExits are the codes of a command that only holds others.
var groupExits = exits{exitOK: "the help was shown", exitError: "the config file is wrong", exitUsage: "wrong use: a command or flag that is unknown"}

func indented(example string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(example), "\n", "\n  ")
}

// quoted is text as a sentence quotes it, cut where it is long.
func quoted(text string) string {
	if runes := []rune(text); len(runes) > 80 {
		text = string(runes[:80]) + "…"
	}
	return strconv.Quote(text)
}

func getenv(name string) string { return os.Getenv(name) }

// expanded is getenv with the variables in it: DROVER_CONFIG is /etc/drover/${ENV}.yaml in images.
func expanded(name string) string { return os.ExpandEnv(getenv(name)) }

// deadline is the moment that `--for D` means, for pins, holds and tokens; nil: never.
func deadline(d time.Duration) (*time.Time, error) {
	switch {
	case d == 0:
		return nil, nil
	case d < 0:
		return nil, usage("invalid --for %s: use a duration such as 2h", d)
	}
	until := time.Now().Add(d).UTC().Truncate(time.Second)
	return &until, nil
}

// say writes words to stderr. Where scripts read errors as JSON, nothing else stands there.
func (s *shell) say(format string, args ...any) {
	if !s.hasty && !s.errorsAsJSON() {
		fmt.Fprintln(s.Err, explain.Text(fmt.Sprintf(format, args...)))
	}
}

// plural writes a number with its word: "1 machine", "3 machines".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
