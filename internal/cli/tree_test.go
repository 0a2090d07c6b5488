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

// everyCommand calls see for each command of the tree, parents too.
func everyCommand(cmd *cobra.Command, see func(*cobra.Command)) {
	see(cmd)
	for _, child := range cmd.Commands() {
		everyCommand(child, see)
	}
}

func TestEveryCommandHasHelpWithAnExampleAndItsOwnExitCodes(t *testing.T) {
	exitLine := regexp.MustCompile(`^  \d  \S`)
	everyCommand(cli.Tree(), func(cmd *cobra.Command) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			require.NotEmpty(t, cmd.Short, "what `drover --help` says of it")
			require.NotEmpty(t, cmd.Long, "what its own help says")
			require.Contains(t, cmd.Example, cmd.CommandPath(), "an example of this very command")
			lines := strings.Split(cmd.Annotations[cli.ExitsKey], "\n")
			for _, line := range lines {
				require.Regexp(t, exitLine, line, "its exit codes, one in a line")
			}
			require.True(t, strings.HasPrefix(lines[0], "  0  "))
		})
	})
}

// mark takes apart what stands in one line: pipes, redirections, and what the shell runs itself.
var mark = regexp.MustCompile(`\$\(drover [^)]*\)|\s*(\||>|&&|&|<\()\s*`)

func TestEveryExampleIsACommandThatIsUnderstood(t *testing.T) {
	everyCommand(cli.Tree(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			for _, part := range mark.Split(strings.TrimSpace(line), -1) {
				if words := strings.Fields(part); len(words) > 1 && words[0] == "drover" {
					understood(t, words[1:])
				}
			}
		}
	})
}

func understood(t *testing.T, words []string) {
	t.Helper()
	found, rest, err := cli.Tree().Find(words)
	require.NoError(t, err, words)
	require.NotEqual(t, "drover", found.CommandPath(), words)
	require.NoError(t, found.ParseFlags(rest), words)
}

// listed says whether a code is one of those that the help of a command lists; the terminal sessions ask for every
// code that they see.
func listed(args []string, code int) bool {
	if !slices.ContainsFunc(args, func(a string) bool { return a != "" && a[0] != '-' }) {
		return true
	}
	found, _, err := cli.Tree().Find(args)
	return err != nil || strings.Contains("\n"+found.Annotations[cli.ExitsKey], "\n  "+string(rune('0'+code))+"  ")
}

func TestCompletionDoesNotWaitForAServerThatSaysNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and never answers
	require.NoError(t, err)
	defer l.Close()
	s := newFixture(t)
	cmd := s.process("__complete", "--server", "http://"+l.Addr().String(), "--token", "abc", "why", "")
	select {
	case <-cmd.Ended():
		require.True(t, cmd.State().Success())
	case <-time.After(20 * time.Second): // other commands give a server 45 s
		t.Fatal("a shell hangs while it completes a name")
	}
}
