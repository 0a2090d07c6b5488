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

// These tests check the steps of CONTRIBUTING.md that no other test covers.

// sources returns the text of all files that match the pattern. Of Go files it includes either only tests or no
// tests.
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

// contains fails the test with a message if part is not in source. Unlike require.Contains, it does not print the
// source, which is long.
func contains(t *testing.T, source, part, message string, args ...any) {
	t.Helper()
	if !strings.Contains(source, part) {
		t.Errorf(message, args...)
	}
}

// found returns the first group of each match.
func found(text, pattern string) (groups []string) {
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		groups = append(groups, match[1])
	}
	return groups
}

func TestEveryEventHasName(t *testing.T) {
	var named []string
	for _, name := range domain.TypeNames() {
		named = append(named, domain.NameOfType(name))
	}
	for _, event := range found(sources(t, "domain/*.go", false), `(?m)^func \((\w+)\) event\(\)`) {
		require.Containsf(t, named, event, "%s has no row in domain/codec.go", event)
	}
}

func TestEveryReasonHasRuleAndScenario(t *testing.T) {
	rules := sources(t, "triggers/rules.go", false)
	_, list, _ := strings.Cut(rules, "// The reasons, in the order of the table.")
	list, _, _ = strings.Cut(list, ")")
	require.Equal(t, found(list, `(?m)^\t(\w+) +Reason +=`), found(rules, `(?m)^\t\{(?:Wait|None|Deploy), (\w+),`),
		"the constants and the table of triggers/rules.go must have the same order")
	scenarios := sources(t, "testdata/*.txt", false)
	for _, reason := range constants(t, "triggers/rules.go", "Reason") {
		require.Regexpf(t, `(?m)\b(wait|none|deploy)\b.*\b`+regexp.QuoteMeta(reason)+`\b`, scenarios,
			"no scenario in testdata covers the verdict %s", reason)
	}
}

// withoutKeyword lists commands for which scenarios need no keyword, with the reason.
var withoutKeyword = map[string]string{
	"CreateToken": "tokens belong to the API", "RevokeToken": "tokens belong to the API",
	"UseToken": "tokens belong to the API", "RotateServerKey": "server keys belong to the API",
	"RegisterVerifier": "agents send it when they connect", "ClearMemory": "a server sends it when an agent connects",
	"ApplyEnvironment": "the block apply", "ApplyPolicy": "the block apply", "ApplyProject": "the block apply",
	"ApplyTrigger": "the block apply", "ApplyAccess": "the block apply",
}

func TestEveryCommandHasTestRouteAndKeyword(t *testing.T) {
	tests := sources(t, "domain/*_test.go", true) + sources(t, "engine/*_test.go", true)
	routes := sources(t, "api/*.go", false) + sources(t, "api/resource/*.go", false) + sources(t, "agents/*.go", false) +
		sources(t, "engine/memory.go", false)
	words, table := sources(t, "scenario/*.go", false), sources(t, "domain/command.go", false)
	for _, command := range found(sources(t, "domain/*.go", false), `(?m)^func \(c (\w+)\) Decide\(`) {
		contains(t, table, "\", "+command+"{}}", "domain.%s has no row in domain/command.go", command)
		contains(t, tests, command+"{", "domain.%s has no test in package domain", command)
		contains(t, routes, "domain."+command+"{",
			"no caller can send domain.%s: add a route in api or send it in agents", command)
		if withoutKeyword[command] == "" {
			contains(t, words, "domain."+command+"{", "scenario/verbs.go has no keyword for domain.%s", command)
		}
	}
}

func TestEveryStreamKindHasRule(t *testing.T) {
	kinds := found(sources(t, "domain/*.go", false), `(?m)^(?:const |\t)\w+Streams += "([a-z]+)"`)
	require.Greater(t, len(kinds), 6)
	typeName, data, err := domain.Encode(domain.MachineEnabled{})
	require.NoError(t, err)
	for _, kind := range kinds {
		v := engine.CurrentRules().NewView()
		v.Apply(eventlog.Recorded{Stream: kind + "/a-name", Position: 1,
			Event: eventlog.Event{Type: typeName, Data: data}})
		require.Empty(t, v.Ignored, "no rule folds streams of the kind %s: add one in engine/rules.go", kind)
	}
}

func TestEveryVerbHasExampleAndRunsInSession(t *testing.T) {
	seen := sources(t, "internal/cli/testdata/scripts/*.txt", false)
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
		require.NotRegexpf(t, `^Usage:`, string(help), "drover %s --help has no description", verb)
		require.Containsf(t, string(help), "Exit codes:", "drover %s --help", verb)
		require.Regexpf(t, `drover `+verb+`\b`, seen,
			"no session in internal/cli/testdata and no block of the docs runs drover %s", verb)
	}
}

// verbsBelow lists the verbs of the command line by reading help texts.
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

func TestEveryBackendRunsConformanceSuiteAndHasURL(t *testing.T) {
	folders, err := os.ReadDir(filepath.Join(repository, "eventlog"))
	require.NoError(t, err)
	wiring, page := sources(t, "internal/server/*.go", false), sources(t, "docs/operations.md", false)
	for _, folder := range folders {
		if name := folder.Name(); folder.IsDir() && name != "eventlogtest" {
			require.Containsf(t, sources(t, "eventlog/"+name+"/*.go", true), "eventlogtest.Exercise(",
				"eventlog/%s does not run the conformance suite", name)
			if name != "memory" { // for tests and scenarios
				require.Containsf(t, wiring, `drover/eventlog/`+name+`"`, "internal/server does not open eventlog/%s",
					name)
				require.Containsf(t, strings.ToLower(page), name, "docs/operations.md does not mention %s", name)
			}
		}
	}
}
