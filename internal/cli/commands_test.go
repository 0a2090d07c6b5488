package cli_test

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/cli"
)

// everyCommand calls visit for each command of the tree, including parents.
func everyCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		everyCommand(child, visit)
	}
}

func TestEveryCommandHasExampleAndExitCodes(t *testing.T) {
	exitLine := regexp.MustCompile(`^  \d  \S`)
	everyCommand(cli.Tree(), func(cmd *cobra.Command) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			require.NotEmpty(t, cmd.Short, "short description")
			require.NotEmpty(t, cmd.Long, "long description")
			require.Contains(t, cmd.Example, cmd.CommandPath(), "an example of the command")
			lines := strings.Split(cmd.Annotations[cli.ExitsKey], "\n")
			for _, line := range lines {
				require.Regexp(t, exitLine, line, "exit codes, one per line")
			}
			require.True(t, strings.HasPrefix(lines[0], "  0  "))
		})
	})
}

// separator matches pipes, redirections and substitutions of the shell in one line.
var separator = regexp.MustCompile(`\$\(drover [^)]*\)|\s*(\||>|&&|&|<\()\s*`)

func TestEveryExampleParses(t *testing.T) {
	everyCommand(cli.Tree(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			for _, part := range separator.Split(strings.TrimSpace(line), -1) {
				if words := strings.Fields(part); len(words) > 1 && words[0] == "drover" {
					requireParses(t, words[1:])
				}
			}
		}
	})
}

func requireParses(t *testing.T, words []string) {
	t.Helper()
	found, rest, err := cli.Tree().Find(words)
	require.NoError(t, err, words)
	require.NotEqual(t, "drover", found.CommandPath(), words)
	require.NoError(t, found.ParseFlags(rest), words)
}

// listed reports whether the help of a command lists an exit code. The scripts check every code that they see.
func listed(args []string, code int) bool {
	if !slices.ContainsFunc(args, func(a string) bool { return a != "" && a[0] != '-' }) {
		return true
	}
	found, _, err := cli.Tree().Find(args)
	return err != nil || strings.Contains("\n"+found.Annotations[cli.ExitsKey], "\n  "+string(rune('0'+code))+"  ")
}

func TestCompletionDoesNotWaitForUnresponsiveServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never answers
	require.NoError(t, err)
	defer l.Close()
	s := newFixture(t)
	cmd := s.process("__complete", "--server", "http://"+l.Addr().String(), "--token", "abc", "why", "")
	select {
	case <-cmd.Ended():
		require.True(t, cmd.State().Success())
	case <-time.After(20 * time.Second): // other commands wait 45 s for a server
		t.Fatal("completion waits for the server")
	}
}
