package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// These tests hold the steps of CONTRIBUTING.md that no other test would miss.

// sources is the text of all files that match.
func sources(t *testing.T, pattern string, test bool) (all string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	for _, file := range files {
		if strings.HasSuffix(file, ".go") && strings.HasSuffix(file, "_test.go") != test {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all += string(text)
	}
	return all
}

// holds fails the test with a message if a part is not in source, which is too long to be shown.
func holds(t *testing.T, source, part, message string, args ...any) {
	t.Helper()
	if !strings.Contains(source, part) {
		t.Errorf(message, args...)
	}
}

// found are the first groups of all matches.
func found(text, pattern string) (groups []string) {
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		groups = append(groups, match[1])
	}
	return groups
}

func TestEveryEventHasAName(t *testing.T) {
	var named []string
	for _, name := range domain.TypeNames() {
		named = append(named, domain.NameOfType(name))
	}
	for _, event := range found(sources(t, "domain/*.go", false), `(?m)^func \((\w+)\) event\(\)`) {
		require.Containsf(t, named, event, "%s has no row in domain/codec.go", event)
	}
}

func TestEveryReasonHasARuleAndAScenario(t *testing.T) {
	rules := sources(t, "triggers/rules.go", false)
	_, list, _ := strings.Cut(rules, "// The reasons, in the order of the table.")
	list, _, _ = strings.Cut(list, ")")
	require.Equal(t, found(list, `(?m)^\t(\w+) +Reason +=`), found(rules, `(?m)^\t\{(?:Wait|None|Deploy), (\w+),`), "the constants of triggers/rules.go, and its table")
	scenarios := sources(t, "testdata/*.txt", false)
	for _, reason := range constants(t, "triggers/rules.go", "Reason") {
		require.Regexpf(t, `(?m)\b(wait|none|deploy)\b.*\b`+regexp.QuoteMeta(reason)+`\b`, scenarios, "no scenario below testdata shows the verdict %s", reason)
	}
}

// wordless are commands that scenarios need no word for.
var wordless = map[string]string{
	"CreateToken": "tokens are the door's", "RevokeToken": "tokens are the door's", "UseToken": "tokens are the door's",
	"ApplyEnvironment": "the block apply", "ApplyPolicy": "the block apply", "ApplyProject": "the block apply", "ApplyTrigger": "the block apply",
}

func TestEveryCommandHasATestARouteAndAScenarioKeyword(t *testing.T) {
	tests := sources(t, "domain/*_test.go", true) + sources(t, "engine/*_test.go", true)
	doors := sources(t, "api/*.go", false) + sources(t, "api/resource/*.go", false) + sources(t, "agents/*.go", false)
	words, table := sources(t, "scenario/*.go", false), sources(t, "domain/command.go", false)
	for _, command := range found(sources(t, "domain/*.go", false), `(?m)^func \(c (\w+)\) Decide\(`) {
		holds(t, table, "\", "+command+"{}}", "domain.%s has no row in domain/command.go", command)
		holds(t, tests, command+"{", "domain.%s is in no test of domain", command)
		holds(t, doors, "domain."+command+"{", "nobody can send a domain.%s: give it a route in api, or send it in agents", command)
		if wordless[command] == "" {
			holds(t, words, "domain."+command+"{", "scenario/verbs.go has no word for domain.%s", command)
		}
	}
}

func TestEveryKindOfStreamThatCommandsWriteHasARow(t *testing.T) {
	kinds := found(sources(t, "domain/*.go", false), `(?m)^(?:const |\t)\w+Streams += "([a-z]+)"`)
	require.Greater(t, len(kinds), 6)
	typeName, data, err := domain.Encode(domain.MachineEnabled{})
	require.NoError(t, err)
	for _, kind := range kinds {
		v := engine.CurrentRules().NewView()
		v.Apply(eventlog.Recorded{Stream: kind + "/a-name", Position: 1, Event: eventlog.Event{Type: typeName, Data: data}})
		require.Empty(t, v.Ignored, "no row of the fold owns streams of the kind %s: add one in engine/rules.go", kind)
	}
}

func TestEveryCommandLineVerbHasAnExampleAndIsSeenAtWork(t *testing.T) {
	seen := sources(t, "internal/cli/testdata/sessions/*.txt", false)
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.run() || b.marks["quick start"] != "" {
				seen += b.text
			}
		}
	}
	verbs := verbsBelow(t)
	require.Greater(t, len(verbs), 30)
	for _, verb := range verbs {
		help, err := exec.Command(program.Path(t), append(strings.Fields(verb), "--help")...).Output()
		require.NoError(t, err)
		require.Regexpf(t, `Examples:\n  .*drover `, string(help), "drover %s --help has no example", verb)
		require.NotRegexpf(t, `^Usage:`, string(help), "drover %s --help does not say what it does", verb)
		require.Containsf(t, string(help), "Exit codes:", "drover %s --help", verb)
		require.Regexpf(t, `drover `+verb+`\b`, seen, "no session below internal/cli/testdata and no block of the docs runs drover %s", verb)
	}
}

// verbsBelow walks through the command line by its helps.
func verbsBelow(t *testing.T, words ...string) (verbs []string) {
	t.Helper()
	help, err := exec.Command(program.Path(t), append(slices.Clone(words), "--help")...).Output()
	require.NoError(t, err)
	usage, _, _ := strings.Cut(string(help), "\nFlags:\n")
	if !strings.Contains(usage, "[command]\n") {
		return []string{strings.Join(words, " ")}
	}
	for _, child := range found(usage, `(?m)^  ([a-z-]+) {2,}`) {
		if child != "help" {
			verbs = append(verbs, verbsBelow(t, append(slices.Clone(words), child)...)...)
		}
	}
	return verbs
}

func TestEveryBackendKeepsTheLawsAndHasAnURL(t *testing.T) {
	folders, err := os.ReadDir(filepath.Join(repository, "eventlog"))
	require.NoError(t, err)
	wiring, page := sources(t, "internal/server/*.go", false), sources(t, "docs/operations.md", false)
	for _, folder := range folders {
		if name := folder.Name(); folder.IsDir() && name != "eventlogtest" {
			require.Containsf(t, sources(t, "eventlog/"+name+"/*.go", true), "eventlogtest.Exercise(", "eventlog/%s does not run the laws of the log", name)
			if name != "memory" { // for tests and scenarios
				require.Containsf(t, wiring, `drover/eventlog/`+name+`"`, "internal/server does not open eventlog/%s", name)
				require.Containsf(t, strings.ToLower(page), name, "docs/operations.md says nothing of %s", name)
			}
		}
	}
}
