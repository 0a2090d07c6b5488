package docs_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"
)

var rewrite = flag.Bool("rewrite", false, "write the list of blocks that are not run")

const notRunFile = "testdata/not-run.txt"

func TestWhatIsNotRunIsListedWithItsReason(t *testing.T) {
	var list strings.Builder
	run, left := 0, 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			reason, is := b.marks["not run"]
			switch {
			case b.run() && b.marks["before"] == "":
				run++
			case is:
				left++
				require.NotEmpty(t, reason, "%s: say why it is not run", b.place())
				first, _, _ := strings.Cut(b.text, "\n")
				list.WriteString(p.name + ": " + first + "\n    " + reason + "\n")
			}
		}
	}
	t.Logf("%d command blocks are run, %d are not:\n%s", run, left, list.String())
	if *rewrite {
		require.NoError(t, os.WriteFile(notRunFile, []byte(list.String()), 0o644))
	}
	kept, err := os.ReadFile(notRunFile)
	require.NoError(t, err)
	require.Equal(t, string(kept), list.String(), "if this is meant: go test ./internal/docs -run NotRun -rewrite")
}

func TestTheQuickStartHasATestOfItsOwn(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "internal/cli/readme_test.go"))
	require.NoError(t, err)
	require.Contains(t, string(text), "func TestTheQuickStartOfTheReadmeWorksWordForWord(")
}

var (
	inline = regexp.MustCompile("`(drover [^`]+)`")
	// unit is what a systemd unit in a page starts.
	unit   = regexp.MustCompile(`(?m)^ *ExecStart=(\S*drover .*)$`)
	target = regexp.MustCompile("(?m)(?:`|^)make ([a-z][a-z-]*)")
)

func TestEveryMakeTargetThatAPageNamesIsThere(t *testing.T) {
	makefile := sources(t, "Makefile", false)
	for _, p := range pages(t) {
		for _, found := range target.FindAllStringSubmatch(p.text, -1) {
			require.Containsf(t, makefile, "\n"+found[1]+":", "%s: make %s", p.name, found[1])
		}
	}
}

// TestEveryDroverCommandLineIsOneThatDroverTakes asks the real command line about verbs and flags, also of blocks that are not
// run and of commands in sentences.
func TestEveryDroverCommandLineIsOneThatDroverTakes(t *testing.T) {
	asked := map[string]string{}
	for _, p := range pages(t) {
		var texts []string
		for _, b := range p.blocks {
			if b.lang == "sh" {
				texts = append(texts, b.text)
			}
		}
		for _, found := range unit.FindAllStringSubmatch(p.text, -1) {
			texts = append(texts, found[1])
		}
		for _, found := range inline.FindAllStringSubmatch(withoutBlocks(p), -1) {
			texts = append(texts, strings.NewReplacer("[", "", "]", "", "…", "").Replace(found[1]))
		}
		for _, text := range texts {
			lines, err := droverLines(text)
			require.NoErrorf(t, err, "%s: bash does not take this:\n%s", p.name, text)
			for _, line := range lines {
				key := strings.Join(line, "\x00")
				if _, done := asked[key]; !done {
					asked[key] = takes(t, line)
				}
				if asked[key] != "" {
					t.Errorf("%s: drover %s: %s", p.name, strings.Join(line, " "), asked[key])
				}
			}
		}
	}
	require.Greater(t, len(asked), 40, "the command lines are found")
}

// withoutBlocks is the page's prose.
func withoutBlocks(p *page) string {
	text := p.text
	for _, b := range p.blocks {
		text = strings.Replace(text, b.text, "", 1)
	}
	return text
}

// droverLines finds the arguments of each drover that a text calls; what a shell would put in is left as it is written.
func droverLines(text string) (lines [][]string, err error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, err
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		var words []string
		for _, arg := range call.Args {
			words = append(words, wordOf(arg))
		}
		if len(words) > 1 && slices.Contains([]string{"sudo", "exec", "nohup"}, words[0]) {
			words = words[1:]
		}
		if len(words) > 0 && filepath.Base(words[0]) == "drover" {
			lines = append(lines, words[1:])
		}
		return true
	})
	return lines, nil
}

func wordOf(word *syntax.Word) string {
	if text := word.Lit(); text != "" {
		return text
	}
	var text bytes.Buffer
	_ = syntax.NewPrinter().Print(&text, word)
	return strings.Trim(text.String(), `'"`)
}

// takes says what is wrong with the arguments of drover; empty if it takes them. With --help it parses all and does nothing.
func takes(t *testing.T, args []string) string {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "--" })
	out, err := exec.Command(program.Path(t), append(args, "--help")...).CombinedOutput()
	if err != nil {
		return strings.TrimSpace(string(out))
	}
	if slices.Contains(args, "--help") || len(args) == 1 && args[0] == "help" {
		return ""
	}
	if strings.Contains(string(out), "[command]\n") && len(args) > 0 {
		return "this names no command"
	}
	return ""
}

func TestACommandLineThatDroverDoesNotTakeIsNoticed(t *testing.T) {
	lines, err := droverLines("X=$(drover token create --join) && sudo drover get machines |\n  drover apply -f - # drover nothing\n")
	require.NoError(t, err)
	require.Equal(t, [][]string{{"token", "create", "--join"}, {"get", "machines"}, {"apply", "-f", "-"}}, lines)
	for _, line := range lines {
		require.Empty(t, takes(t, line))
	}
	require.NotEmpty(t, takes(t, []string{"deploy", "shop", "1.0", "--into", "production"}))
	require.NotEmpty(t, takes(t, []string{"frobnicate"}))
	require.NotEmpty(t, takes(t, []string{"eventlog", "frobnicate"}))
}
