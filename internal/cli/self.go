package cli

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker when a release is built.
var version = ""

// Version returns the version of this program: the one set by the linker, otherwise that of the Go module.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionVerb(a *app) *cobra.Command {
	return verb{
		exits: localExits(nil),
		use:   "version", short: "Print the version of drover",
		long:    "Print the version of drover, the version of Go that built it, and the platform.",
		example: "drover version -o json",
		run: func(context.Context, []string) error {
			v := map[string]string{"version": Version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" +
				runtime.GOARCH}
			if a.structured() {
				return a.value(v)
			}
			return a.print("drover " + v["version"] + " " + v["go"] + " " + v["platform"] + "\n")
		},
	}.command()
}

func completionVerb(a *app) *cobra.Command {
	cmd := verb{
		exits: localExits(nil),
		use:   "completion SHELL", short: "Print a completion script for a shell",
		long: "Print a script that makes bash, zsh, fish or powershell complete commands, flags and names.\n" +
			"Names are read from the server.",
		example: "source <(drover completion bash)\n" +
			"drover completion fish > ~/.config/fish/completions/drover.fish",
	}.command()
	cmd.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root := cmd.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(a.Out, true)
		case "zsh":
			return root.GenZshCompletion(a.Out)
		case "fish":
			return root.GenFishCompletion(a.Out, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(a.Out)
		}
		return usage("unknown shell %s: use bash, zsh, fish or powershell", quoted(args[0]))
	}
	return cmd
}

// helpVerb builds `drover help`. Unlike the command of cobra, it returns an error for an unknown command.
func helpVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use: "help [COMMAND]…", DisableFlagsInUseLine: true,
		Short:   "Print the help of a command",
		Long:    "Print the help of a command, as --help does.",
		Example: indented("drover help deploy"),
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, left, err := cmd.Root().Find(args)
			if err != nil || len(left) > 0 {
				return group(found, left)
			}
			return found.Help()
		},
	}
	groupExits.annotate(cmd)
	return cmd
}
