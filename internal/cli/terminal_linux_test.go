package cli_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// atTerminal runs a command whose stdin and stderr are a terminal, and types text on the terminal.
func (s *fixture) atTerminal(typed string, args ...string) (shown string, code int) {
	s.t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		without(s.t, "pseudo-terminals: %v", err)
	}
	defer keyboard.Close()
	require.NoError(s.t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	require.NoError(s.t, err)
	terminal, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(s.t, err)
	cmd := s.Command(s.t.Context(), args...)
	cmd.Stdin, cmd.Stderr = terminal, terminal
	require.NoError(s.t, cmd.Start())
	require.NoError(s.t, terminal.Close())
	_, err = io.WriteString(keyboard, typed)
	require.NoError(s.t, err)
	var text strings.Builder
	_, _ = io.Copy(&text, keyboard) // returns an error when the command closes the terminal
	_ = cmd.Wait()
	return text.String(), cmd.ProcessState.ExitCode()
}

func TestDeployAsksOnTerminalIfNoMachineIsAvailable(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	require.NoError(t, os.WriteFile(s.Folder+"/machine.yaml",
		[]byte("apiVersion: drover.dev/v1\nkind: Machine\nmetadata: {name: web-01}\n"+
			"spec: {environment: production}\n"), 0o600))
	s.ok("apply", "-f", s.Folder+"/machine.yaml")
	s.ok("release", "create", "shop", "1.0")
	for typed, deployed := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "\x04": false} {
		before := s.ok("get", "deployments", "-o", "name")
		shown, code := s.atTerminal(typed, "deploy", "shop", "1.0", "--to", "production")
		require.Contains(t, shown,
			"the only machine of project shop in production is offline: it is skipped now\r\nDeploy anyway? [y/N]")
		require.Equal(t, deployed, code == 0, "%q: %s", typed, shown)
		require.Equal(t, deployed, before != s.ok("get", "deployments", "-o", "name"), "%q: %s", typed, shown)
	}
	shown, code := s.atTerminal("", "deploy", "shop", "1.0", "--to", "production", "--yes")
	require.Zero(t, code)
	require.NotContains(t, shown, "[y/N]")
}

func TestAcceptRestoreAsksOnTerminal(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	for typed, code := range map[string]int{"n\n": 1, "\n": 1, "y\n": 6} { // 6: the log has lost nothing
		shown, got := s.atTerminal(typed, "eventlog", "accept-restore")
		require.Contains(t, shown, "All events that the log has lost stay lost. Continue? [y/N]")
		require.Equal(t, code, got, "%q: %s", typed, shown)
	}
	shown, code := s.atTerminal("", "eventlog", "accept-restore", "--yes")
	require.Equal(t, 6, code, shown)
	require.NotContains(t, shown, "[y/N]")
}
