package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manVerb(a *app) *cobra.Command {
	var dir string
	cmd := verb{
		exits: localExits(exits{exitError: "a page could not be written"}),
		use:   "man [COMMAND]…", short: "Print the man page of a command",
		long: "Print the man page of a command, or of drover without an argument. With --dir, write the pages\n" +
			"of all commands to a folder, such as /usr/local/share/man/man1.",
		example: "drover man deploy | man -l -\n" +
			"drover man --dir /usr/local/share/man/man1",
	}.command()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		found, left, err := cmd.Root().Find(args)
		switch {
		case err != nil || len(left) > 0:
			return group(found, left)
		case dir == "":
			return a.print(string(manPage(found)))
		case len(args) > 0:
			return usage("--dir writes the pages of all commands; remove the argument %s", quoted(args[0]))
		}
		return a.manPages(cmd.Context(), cmd.Root(), dir)
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write the pages of all commands to this `FOLDER`")
	return cmd
}

// manPages writes a page for each command of the tree.
func (a *app) manPages(ctx context.Context, root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return invalid("could not create the folder: %v", err)
	}
	for _, cmd := range tree(root) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		path := filepath.Join(dir, pageName(cmd)+".1")
		if err := os.WriteFile(path, manPage(cmd), 0o644); err != nil {
			return invalid("could not write the page: %v", err)
		}
	}
	a.info("wrote %s to %s", plural(len(tree(root)), "page"), dir)
	return nil
}

// tree returns a command and all its visible subcommands, in the order of the help.
func tree(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			all = append(all, tree(child)...)
		}
	}
	return all
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage renders the man page of one command. It contains no date, so that builds are reproducible.
func manPage(cmd *cobra.Command) []byte {
	var b strings.Builder
	name := pageName(cmd)
	fmt.Fprintf(&b, "%% \"%s\" \"1\" \"\" \"drover %s\" \"drover\"\n", strings.ToUpper(name), Version())
	fmt.Fprintf(&b, "# NAME\n%s - %s\n\n# SYNOPSIS\n**%s**%s\n\n", name, escapeMarkdown(cmd.Short), cmd.CommandPath(),
		escapeMarkdown(strings.TrimPrefix(usageLine(cmd), cmd.CommandPath())))
	fmt.Fprintf(&b, "# DESCRIPTION\n%s\n\n", escapeMarkdown(cmd.Long))
	section := func(title string, flags *pflag.FlagSet) {
		if flags.HasAvailableFlags() {
			fmt.Fprintf(&b, "# %s\n", title)
			eachFlag(flags, func(spelling, value, words string) {
				fmt.Fprintf(&b, "**%s**", spelling)
				if value != "" {
					fmt.Fprintf(&b, " *%s*", value)
				}
				fmt.Fprintf(&b, "\n: %s\n\n", escapeMarkdown(words))
			})
		}
	}
	section("OPTIONS", cmd.NonInheritedFlags())
	section("OPTIONS OF ALL COMMANDS", cmd.InheritedFlags())
	fmt.Fprintf(&b, "# EXAMPLES\n```\n%s\n```\n\n# EXIT STATUS\n", unindented(cmd.Example))
	for _, line := range strings.Split(cmd.Annotations[exitsKey], "\n") {
		code, words, _ := strings.Cut(strings.TrimSpace(line), "  ")
		fmt.Fprintf(&b, "**%s**\n: %s\n\n", code, escapeMarkdown(words))
	}
	if others := related(cmd); len(others) > 0 {
		fmt.Fprintf(&b, "# SEE ALSO\n%s\n", strings.Join(others, ", "))
	}
	return md2man.Render([]byte(b.String()))
}

// related returns the pages of the parent command and of the subcommands.
func related(cmd *cobra.Command) (pages []string) {
	if cmd.HasParent() {
		pages = append(pages, "**"+pageName(cmd.Parent())+"**(1)")
	}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			pages = append(pages, "**"+pageName(child)+"**(1)")
		}
	}
	return pages
}

// usageLine returns the usage line of a command.
func usageLine(cmd *cobra.Command) string {
	switch {
	case cmd.HasAvailableSubCommands():
		return cmd.CommandPath() + " COMMAND"
	case cmd.HasAvailableLocalFlags():
		return cmd.UseLine() + " [FLAG]…"
	}
	return cmd.UseLine()
}

// eachFlag calls fn for each visible flag with its spelling, the placeholder of its value and its description.
func eachFlag(flags *pflag.FlagSet, fn func(spelling, value, words string)) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		spelling := "--" + flag.Name
		if flag.Shorthand != "" {
			spelling = "-" + flag.Shorthand + ", " + spelling
		}
		value, words := pflag.UnquoteUsage(flag)
		if !slices.Contains([]string{"", "0", "0s", "false", "[]"}, flag.DefValue) &&
			!strings.Contains(words, "default") {
			words += " (default: " + flag.DefValue + ")"
		}
		fn(spelling, value, words)
	})
}

// escapeMarkdown escapes Markdown characters in text, except inside `code`.
func escapeMarkdown(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		for _, mark := range []string{"\\", "*", "_", "[", "]", "<", ">", "|", "#"} {
			parts[i] = strings.ReplaceAll(parts[i], mark, "\\"+mark)
		}
	}
	return strings.Join(parts, "`")
}

func unindented(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n")
}

// reference returns the command reference of the docs, in Markdown.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the program by `make reference`; `drover COMMAND --help` and " +
		"`drover man COMMAND` print the same text.\n\n")
	b.WriteString("Flags of all commands:\n\n")
	flagRows(&b, root.PersistentFlags())
	b.WriteString("\nEach of these flags, and each flag of `server` and `agent`, can also be set as\n" +
		"`DROVER_FLAG` in the environment. All except `--config` are also keys of the config file.\n\n" +
		"Results go to stdout, messages to stderr. On a terminal, a list is a table that fits its width. In a\n" +
		"pipe, a list has tab-separated cells and no header. With `-o json` or `-o jsonl`, an error is one JSON\n" +
		"object on stderr, `{\"error\": {\"kind\", \"message\", \"hint\", \"errors\", \"exitCode\"}}`, and stderr\n" +
		"contains nothing else.\n\n")
	for _, cmd := range tree(root)[1:] {
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", cmd.CommandPath(), pageName(cmd), escapeMarkdown(cmd.Short))
	}
	for _, cmd := range tree(root)[1:] {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\n%s\n```\n\n", cmd.CommandPath(), escapeMarkdown(cmd.Long),
			usageLine(cmd))
		if cmd.LocalNonPersistentFlags().HasAvailableFlags() {
			flagRows(&b, cmd.LocalNonPersistentFlags())
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "Examples:\n\n```sh\n%s\n```\n\nExit codes:\n\n", unindented(cmd.Example))
		for _, line := range strings.Split(cmd.Annotations[exitsKey], "\n") {
			code, words, _ := strings.Cut(strings.TrimSpace(line), "  ")
			fmt.Fprintf(&b, "- `%s` %s\n", code, escapeMarkdown(words))
		}
	}
	return b.String()
}

func flagRows(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | |\n|---|---|\n")
	eachFlag(flags, func(spelling, value, words string) {
		if strings.HasSuffix(spelling, "--help") {
			return
		}
		words = strings.ReplaceAll(words, "\n", " ") // a row of a table is one line
		fmt.Fprintf(b, "| `%s` | %s |\n", strings.TrimSpace(spelling+" "+value), escapeMarkdown(words))
	})
}
