package layout_test

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/droverhq/drover/"

// rule is a row of the import table: the packages of the module that packages below a folder may import.
type rule struct {
	folder  string
	allowed []string // folders, including their subfolders
	// forbidden lists packages outside the module that must not be imported, directly or indirectly.
	forbidden []string
	// forTests is true if only test files may import the package.
	forTests bool
	reason   string
}

// pure lists imports that a package that decides must not reach, because they have a clock, I/O or randomness.
var pure = []string{"net", "net/http", "os/exec", "database/sql", "math/rand", "math/rand/v2", "crypto/rand",
	"go.uber.org/zap"}

// deciders lists the packages that decide from a view. Add a package for a new aggregate here and to the table.
var deciders = []string{"policies", "triggers", "rollout"}

// aboveEngine lists the folders that every package above the engine may import. It adds more.
func aboveEngine(more ...string) []string {
	return slices.Concat([]string{"domain", "serverkey", "eventlog", "projections", "clocks"}, deciders, more)
}

// waits is the package that waits for a time or a context. The engine and the packages above it may import it.
const waits = "internal/clock"

// table is the import table. The first row that contains a package applies. A package may always import its own
// subfolders.
var table = []rule{
	{folder: "domain", forbidden: append([]string{"github.com/google/uuid", "context"}, pure...),
		reason: "domain describes facts; it has no clock, no I/O and no randomness, and its ids are bytes"},
	{folder: "serverkey", forbidden: []string{"context", "net", "go.uber.org/zap"},
		reason: "a key signs and verifies; others store and send it"},
	{folder: "eventlog/eventlogtest", allowed: []string{"eventlog"}, forTests: true,
		reason: "the conformance suite does not depend on a backend"},
	{folder: "eventlog", allowed: []string{"eventlog", "internal/transport"},
		reason: "the log stores events and knows nothing about machines"},
	{folder: "projections/projectionstest", allowed: []string{"domain", "eventlog", "projections"}, forTests: true,
		reason: "it sets up views for tests and is not part of the program"},
	{folder: "projections", allowed: []string{"domain", "eventlog"},
		reason: "the current state depends only on events"},
	{folder: "policies", allowed: []string{"domain", "projections", "eventlog"},
		reason: "decisions about machines depend only on a view"},
	{folder: "triggers", allowed: []string{"domain", "projections", "eventlog"},
		reason: "decisions about what to deploy depend only on a view"},
	{folder: "rollout", allowed: []string{"domain", "projections", "eventlog"},
		reason: "decisions about the progress of deployments depend only on a view"},
	{folder: "clocks", allowed: []string{"domain"}, forbidden: append([]string{"context"}, pure...),
		reason: "a clock is judged by readings that others take"},
	{folder: "engine", allowed: aboveEngine(waits),
		reason: "the engine is the only package that appends events, and does not depend on a transport"},
	{folder: "explain", allowed: aboveEngine(),
		reason: "explanations are pure functions of views and verdicts"},
	{folder: "doctor", allowed: aboveEngine("explain"),
		forbidden: []string{"net/http", "os/exec", "database/sql", "go.uber.org/zap"},
		reason:    "findings are pure functions of a view and of vitals that others collect"},
	{folder: "api/client/handshake", allowed: []string{"serverkey"},
		forbidden: []string{"net/http", "os/exec", "database/sql", "go.uber.org/zap"},
		reason:    "a handshake consists of texts; agents and servers send them"},
	{folder: "internal/transport/transporttest", forTests: true, reason: "it issues certificates for tests"},
	{folder: "internal/transport", reason: "servers, agents and clients share it, so it depends on no other package"},
	{folder: "api/client", allowed: []string{"domain", "serverkey"},
		reason: "clients share only the types of the protocol with the server"},
	{folder: "api/resource", allowed: []string{"domain"},
		reason: "resource files translate into commands of the domain"},
	{folder: "api/problem", allowed: aboveEngine("api/client", "api/resource", "engine", waits),
		reason: "problems derive from errors of the domain, the engine and the log, not of a transport"},
	{folder: "access", allowed: serverSide("api/client", "api/resource", "api/problem", "doctor"),
		reason: "the identity of a caller depends on tokens in the view, not on a route"},
	{folder: "query", allowed: serverSide("api/client", "api/resource", "api/problem", "doctor", "access"),
		forbidden: []string{huma},
		reason:    "queries return plain values for any caller; HTTP belongs in package api"},
	{folder: "agents", allowed: serverSide("api/client", "api/resource", "api/problem", "doctor", "access"),
		forbidden: []string{huma},
		reason:    "both transports of agents share this code; the HTTP routes belong in package api"},
	{folder: "api", allowed: serverSide("doctor", "access", "query", "agents"),
		reason: "routes use access, query, agents and the engine, but no backend"},
	{folder: "agent", allowed: []string{"api/client", "domain", "serverkey", waits, "internal/quarantine", "internal/ownership",
		"internal/transport"},
		forbidden: []string{"database/sql"},
		reason:    "an agent knows only the protocol, not the decisions, and must stay small"},
	{folder: "scenario", allowed: aboveEngine("engine", "explain", "api/resource", waits),
		forbidden: []string{"testing"},
		reason:    "scenarios run the real engine on a log in memory and are part of the program"},
	{folder: "examples", reason: "examples are files that are embedded for the demo"},
	{folder: "cmd", allowed: []string{"internal", ""}, reason: "main only calls package cli"},
	{folder: "bench", allowed: []string{""}, reason: "measurements may import everything, and nothing imports them"},
	{folder: "internal/harness/harnesstest", allowed: []string{""},
		reason: "it builds the program, so test results depend on all packages"},
	{folder: "internal/harness", forbidden: []string{"testing"},
		reason: "it starts the program as a process without importing it, and is part of the demo"},
	{folder: "internal", allowed: []string{""}, reason: "these packages assemble the program and may import everything"},
}

// exceptions lists imports that the table permits for one package only.
var exceptions = map[string][]string{
	"scenario": {"eventlog/memory"},
	"api":      {"internal/ids", "internal/drain", "internal/loglimit", "internal/transport"}, // creates tokens, drains live streams, checks hosts
	// creates ids of HTTP sessions, drains WebSockets, limits log lines
	"agents": {"internal/ids", "internal/drain", "internal/loglimit"},
}

// huma is the library for HTTP routes.
const huma = "github.com/danielgtaylor/huma/v2"

// serverSide lists the folders that packages that serve callers may import. It adds more.
func serverSide(more ...string) []string {
	return aboveEngine(append([]string{"engine", "explain", waits}, more...)...)
}

type listed struct {
	path, name, folder string
	deps               []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f",
		`{{if not .Standard}}{{.ImportPath}}|{{.Name}}|{{.Dir}}|{{join .Deps " "}}{{end}}`,
		module+"...").CombinedOutput()
	require.NoError(t, err, string(out))
	var all []listed
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSpace(line), "|", 4)
		if len(fields) == 4 && strings.HasPrefix(fields[0], module) {
			all = append(all, listed{strings.TrimPrefix(fields[0], module), fields[1], fields[2],
				strings.Fields(fields[3])})
		}
	}
	require.Greater(t, len(all), 10, "go list must return the packages of the module")
	return all
}

func TestPackagesImportOnlyAllowedPackages(t *testing.T) {
	for _, p := range packages(t) {
		rule, ok := ruleFor(p.path)
		require.True(t, ok, "%s is missing in the import table: add a row with a reason", p.path)
		for _, problem := range rule.check(p) {
			t.Error(problem)
		}
	}
}

func TestImportTableRefusesOtherImports(t *testing.T) {
	for _, p := range []listed{
		{path: "domain", deps: []string{module + "eventlog"}},
		{path: "domain", deps: []string{"github.com/google/uuid"}},
		{path: "triggers", deps: []string{module + "engine"}},
		{path: "eventlog/sqlite", deps: []string{module + "domain"}},
		{path: "agent/run", deps: []string{module + "engine"}},
		{path: "agent", deps: []string{module + "projections"}},
		{path: "explain", deps: []string{module + "doctor"}},
		{path: "scenario", deps: []string{"testing"}},
		{path: "scenario", deps: []string{module + "eventlog/sqlite"}},
		{path: "api", deps: []string{module + "internal/server"}},
		{path: "query", deps: []string{module + "api"}},
		{path: "query", deps: []string{huma}},
		{path: "agents", deps: []string{module + "query"}},
		{path: "access", deps: []string{module + "agents"}},
		{path: "engine", deps: []string{module + "eventlog/sqlite"}},
		{path: "rollout", deps: []string{module + "projections/projectionstest"}},
		{path: "internal/server", deps: []string{module + "eventlog/eventlogtest"}},
		{path: "internal/harness", deps: []string{"testing"}},
		{path: "internal/harness", deps: []string{module + "internal/cli"}},
	} {
		rule, _ := ruleFor(p.path)
		require.NotEmpty(t, rule.check(p), "%s must not import %s", p.path, p.deps)
	}
}

func ruleFor(path string) (rule, bool) {
	for _, r := range table {
		if within(path, r.folder) {
			return r, true
		}
	}
	return rule{}, false
}

func (r rule) check(p listed) (problems []string) {
	for _, dep := range p.deps {
		own, ours := strings.CutPrefix(dep, module)
		switch {
		case !ours && slices.Contains(r.forbidden, dep), ours && !r.allows(p.path, own):
			problems = append(problems, p.path+" must not import "+strings.TrimPrefix(dep, module)+": "+r.reason)
		}
	}
	return problems
}

// allows reports whether the package own may be imported. The entry `eventlog` does not include backends
// and the conformance suite.
func (r rule) allows(path, own string) bool {
	if imported, _ := ruleFor(own); imported.forTests && own != path {
		return false
	}
	if within(own, r.folder) || slices.Contains(r.allowed, "") || slices.Contains(exceptions[r.folder], own) {
		return true
	}
	return slices.ContainsFunc(r.allowed, func(folder string) bool {
		if folder == "eventlog" {
			return own == "eventlog"
		}
		return within(own, folder)
	})
}

// TestViewsAreCreatedOnlyByRules searches for views that lack the rules of the engine. These views would fold a log
// differently from the servers.
func TestViewsAreCreatedOnlyByRules(t *testing.T) {
	made := regexp.MustCompile(`\bprojections\.(New|Load)\(`)
	for _, p := range packages(t) {
		if within(p.path, "projections") || p.path == "engine" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.folder, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.False(t, made.Match(text), "%s creates a view: use engine.Rules", file)
		}
	}
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func TestEveryPackageHasDocGo(t *testing.T) {
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(p.folder, "*.go"))
		require.NoError(t, err)
		name := "doc.go"
		if len(files) <= 2 { // one file and its test
			name = "*.go"
		}
		found, err := filepath.Glob(filepath.Join(p.folder, name))
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(found, documented),
			"%s needs a %s that starts with a description of the package", p.path, name)
	}
}

func documented(file string) bool {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
	return err == nil && parsed.Doc != nil && len(parsed.Doc.Text()) > 40
}

func TestFunctionsAndFilesAreShort(t *testing.T) {
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(p.folder, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			checkLengths(t, file)
		}
	}
}
