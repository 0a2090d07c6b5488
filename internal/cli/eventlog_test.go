package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/cli"
)

func TestLogIsHiddenAliasOfEventlog(t *testing.T) {
	s := newFixture(t)
	s.ok("man", "--dir", "pages")
	for _, cmd := range cli.Commands() {
		words := strings.Fields(cmd.CommandPath())
		if len(words) < 2 || words[1] != "eventlog" {
			continue
		}
		alias := append([]string{"log"}, words[2:]...)
		require.Equal(t, s.ok(append(words[1:], "--help")...), s.ok(append(alias, "--help")...),
			"the alias is the same command")
		require.NoFileExists(t, filepath.Join(s.Folder, "pages", "drover-"+strings.Join(alias, "-")+".1"))
	}
	require.FileExists(t, filepath.Join(s.Folder, "pages", "drover-eventlog-verify.1"))

	require.NotRegexp(t, `(?m)^  log\b`, s.ok("--help"))
	require.NotContains(t, s.ok("eventlog", "--help"), "Aliases")
	require.NotRegexp(t, `(?m)^log\b[^s]`, s.ok("__complete", "l"))
	require.Equal(t, s.ok("__complete", "eventlog", ""), s.ok("__complete", "log", ""),
		"subcommands of the alias complete")
	pages, err := os.ReadDir(filepath.Join(s.Folder, "pages"))
	require.NoError(t, err)
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(s.Folder, "pages", page.Name()))
		require.NoError(t, err)
		require.NotRegexp(t, `drover[ -]log\b`, string(text), page.Name())
	}
	require.NotRegexp(t, `drover log\b`, cli.Reference())
}
