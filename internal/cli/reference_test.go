package cli_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/cli"
)

var rewrite = flag.Bool("rewrite", false, "rewrite docs/reference/commands.md")

const referencePath = "../../docs/reference/commands.md"

func TestCommandReferenceIsUpToDate(t *testing.T) {
	text := cli.Reference()
	if *rewrite {
		require.NoError(t, os.MkdirAll(filepath.Dir(referencePath), 0o755))
		require.NoError(t, os.WriteFile(referencePath, []byte(text), 0o644))
	}
	current, err := os.ReadFile(referencePath)
	require.NoError(t, err)
	require.Equal(t, text, string(current), "the reference is outdated: run `make reference`")
}

func TestEveryCommandHasManPage(t *testing.T) {
	s := newFixture(t)
	s.ok("man", "--dir", "pages")
	for _, cmd := range cli.Commands() {
		path := strings.Fields(cmd.CommandPath())
		page, err := os.ReadFile(filepath.Join(s.Folder, "pages", strings.Join(path, "-")+".1"))
		require.NoError(t, err)
		for _, section := range []string{".TH", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH EXAMPLES",
			".SH EXIT STATUS"} {
			require.Contains(t, string(page), section, cmd.CommandPath())
		}
		require.Equal(t, strings.TrimSpace(string(page)), s.ok(append([]string{"man"}, path[1:]...)...),
			"the page on stdout is the same")
	}
}
