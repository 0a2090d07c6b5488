package scenario_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReferencePageListsTheWholeLanguage(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/scenario.md")
	require.NoError(t, err)
	names := regexp.MustCompile(`\(use one of: ([^)]*?)(?:; [^)]*)?\)`)
	for _, text := range []string{"other\n", "do\n00:00:00 other\n", "report\n00:00:00 web-01 other\n"} {
		_, err := run(t, text)
		require.Error(t, err)
		match := names.FindStringSubmatch(err.Error())
		require.NotNil(t, match, "%v", err)
		for name := range strings.SplitSeq(match[1], ", ") {
			require.Regexp(t, "`"+regexp.QuoteMeta(name)+"[ `]", string(page), "docs/reference/scenario.md lists %s", name)
		}
	}
	for fact := range strings.SplitSeq("shop=none shop/wanted= shop/verdict= shop/reason= online offline enabled disabled missing", " ") {
		require.Contains(t, string(page), "`"+fact)
	}
}
