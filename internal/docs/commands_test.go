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

func TestBlocksNotRunAreListedWithAReason(t *testing.T) {
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
				require.NotEmpty(t, reason, "%s: give a reason why it is not run", b.place())
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
	require.Equal(t, string(kept), list.String(),
		"to accept the change: go test ./internal/docs -run BlocksNotRun -rewrite")
}

func TestQuickStartHasTest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "internal/cli/readme_test.go"))
	require.NoError(t, err)
	require.Contains(t, string(text), "func TestReadmeQuickStartWorks(")
}

var (
	inline = regexp.MustCompile("`(drover [^`]+)`")
	// unit matches a command line in a systemd unit on a page.
	unit   = regexp.MustCompile(`(?m)^ *ExecStart=(\S*drover .*)$`)
	target = regexp.MustCompile("(?m)(?:`|^)make ([a-z][a-z-]*)")
)

func TestMakeTargetsOnPagesExist(t *testing.T) {
	makefile := sources(t, "Makefile", false)
	for _, p := range pages(t) {
		for _, found := range target.FindAllStringSubmatch(p.text, -1) {
			require.Containsf(t, makefile, "\n"+found[1]+":", "%s: make %s", p.name, found[1])
		}
	}
}

// TestDroverCommandLinesInDocsAreValid checks verbs and flags with the real command line. It includes blocks that
// are not run and commands in sentences.
func TestDroverCommandLinesInDocsAreValid(t *testing.T) {
	checked := map[string]string{}
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
			require.NoErrorf(t, err, "%s: invalid for bash:\n%s", p.name, text)
			for _, line := range lines {
				key := strings.Join(line, "\x00")
				if _, done := checked[key]; !done {
					checked[key] = invalid(t, line)
				}
				if checked[key] != "" {
					t.Errorf("%s: drover %s: %s", p.name, strings.Join(line, " "), checked[key])
				}
			}
		}
	}
	require.Greater(t, len(checked), 40, "the pages must contain command lines")
}

// withoutBlocks returns the prose of a page.
func withoutBlocks(p *page) string {
	text := p.text
	for _, b := range p.blocks {
		text = strings.Replace(text, b.text, "", 1)
	}
	return text
}

// droverLines returns the arguments of each call of drover in a text. Shell expansions stay as written.
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

// invalid returns why drover rejects args, or "" if it accepts them. With --help drover parses all arguments and
// does nothing.
func invalid(t *testing.T, args []string) string {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "--" })
	out, err := exec.Command(program.Path(t), append(args, "--help")...).CombinedOutput()
	if err != nil {
		return strings.TrimSpace(string(out))
	}
	if slices.Contains(args, "--help") || len(args) == 1 && args[0] == "help" {
		return ""
	}
	if strings.Contains(string(out), "[command]\n") && len(args) > 0 {
		return "not a command"
	}
	return ""
}

func TestInvalidCommandLineIsDetected(t *testing.T) {
	lines, err := droverLines("X=$(drover token create --join) && sudo drover get machines |\n  drover apply -f - # " +
		"drover nothing\n")
	require.NoError(t, err)
	require.Equal(t, [][]string{{"token", "create", "--join"}, {"get", "machines"}, {"apply", "-f", "-"}}, lines)
	for _, line := range lines {
		require.Empty(t, invalid(t, line))
	}
	require.NotEmpty(t, invalid(t, []string{"deploy", "shop", "1.0", "--into", "production"}))
	require.NotEmpty(t, invalid(t, []string{"frobnicate"}))
	require.NotEmpty(t, invalid(t, []string{"eventlog", "frobnicate"}))
}
