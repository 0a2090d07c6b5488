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

// rule is one row of the import table: what the packages below a folder may know of drover.
type rule struct {
	folder string
	may    []string // folders, each with what is below it
	// never are packages from elsewhere that must not be reached, by any way.
	never []string
	// forTests says that no package may import it outside its own tests.
	forTests bool
	reason   string
}

// pure is what a package that decides must not reach: no clock, no I/O, no randomness.
var pure = []string{"net", "net/http", "os/exec", "database/sql", "math/rand", "math/rand/v2", "crypto/rand", "go.uber.org/zap"}

// decides are the packages that decide from a view. A package for a new aggregate is added here and as a row of the table.
var decides = []string{"policies", "triggers", "rollout"}

// decided is what every package above the engine may reach, with more.
func decided(more ...string) []string {
	return slices.Concat([]string{"domain", "eventlog", "projections"}, decides, more)
}

// waits is the package with the one helper that waits for a time or a context. The engine uses it, and so does everything
// above the engine.
const waits = "internal/clock"

// table is the import table. The first row whose folder a package is in counts. A folder may always
// import what is below itself.
var table = []rule{
	{folder: "domain", never: append([]string{"github.com/google/uuid", "context"}, pure...),
		reason: "domain says what happened; it has no clock, no I/O, no randomness, and its ids are bytes"},
	{folder: "eventlog/eventlogtest", may: []string{"eventlog"}, forTests: true, reason: "the laws of the log know no backend"},
	{folder: "eventlog", may: []string{"eventlog"}, reason: "the log keeps events and knows nothing of machines"},
	{folder: "projections/projectionstest", may: []string{"domain", "eventlog", "projections"}, forTests: true,
		reason: "tests of the packages that decide from a view write histories with it; it is not part of the program"},
	{folder: "projections", may: []string{"domain", "eventlog"}, reason: "what is true now follows from the events alone"},
	{folder: "policies", may: []string{"domain", "projections", "eventlog"}, reason: "what becomes of machines is decided from a view alone"},
	{folder: "triggers", may: []string{"domain", "projections", "eventlog"}, reason: "what to deploy is decided from a view alone"},
	{folder: "rollout", may: []string{"domain", "projections", "eventlog"}, reason: "how a deployment is carried out is decided from a view alone"},
	{folder: "engine", may: decided(waits),
		reason: "the engine is the only place that appends, and knows no door"},
	{folder: "explain", may: decided(),
		reason: "what people are shown is a pure function of views and verdicts"},
	{folder: "doctor", may: decided("explain"),
		never:  []string{"net/http", "os/exec", "database/sql", "go.uber.org/zap"},
		reason: "a finding is a pure function of a view and of vitals that others collected"},
	{folder: "api/client", may: []string{"domain"}, reason: "a client shares the types of the wire with a server, and nothing else"},
	{folder: "api/resource", may: []string{"domain"}, reason: "files are commands of the domain in another spelling"},
	{folder: "api/problem", may: decided("api/client", "api/resource", "engine", waits),
		reason: "a problem is made of errors of the domain, the engine and the log, and of no transport"},
	{folder: "access", may: behindTheDoors("api/client", "api/resource", "api/problem", "doctor"),
		reason: "who a caller is depends on tokens in the view, and on no route"},
	{folder: "query", may: behindTheDoors("api/client", "api/resource", "api/problem", "doctor", "access"), never: []string{huma},
		reason: "reads are answered with plain values, whoever asks; HTTP is the business of api"},
	{folder: "agents", may: behindTheDoors("api/client", "api/resource", "api/problem", "doctor", "access"), never: []string{huma},
		reason: "agents are served over two ways by one code; the routes of plain HTTP are the business of api"},
	{folder: "api", may: behindTheDoors("doctor", "access", "query", "agents"),
		reason: "routes ask access, query, agents and the engine, and no backend"},
	{folder: "agent", may: []string{"api/client", "domain"}, never: []string{"database/sql"},
		reason: "an agent speaks the protocol and knows nothing of what is decided; it must stay small"},
	{folder: "scenario", may: decided("engine", "explain", "api/resource", waits),
		never: []string{"testing"}, reason: "scenarios run the real engine on a log in memory, and are shipped"},
	{folder: "examples", reason: "examples are files, carried along for the demo"},
	{folder: "cmd", may: []string{"internal", ""}, reason: "main is one call"},
	{folder: "bench", may: []string{""}, reason: "what measures may know everything, and nothing knows it"},
	{folder: "internal/harness/harnesstest", may: []string{""}, reason: "it builds the program, so a test's result depends on all of it"},
	{folder: "internal/harness", never: []string{"testing"},
		reason: "it starts the program as a process and knows nothing of its inside; the demo ships it"},
	{folder: "internal", may: []string{""}, reason: "wiring may know everything"},
}

// aside are imports that the table allows one package alone.
var aside = map[string][]string{
	"scenario": {"eventlog/memory"},
	"api":      {"internal/ids", "internal/drain"}, // tokens are made in one place, streams are drained as agents are
	"agents":   {"internal/ids", "internal/drain"}, // sessions by plain HTTP get their id from the server
}

// huma is the library of HTTP routes.
const huma = "github.com/danielgtaylor/huma/v2"

// behindTheDoors are the folders that whatever serves callers may reach, with more.
func behindTheDoors(more ...string) []string {
	return decided(append([]string{"engine", "explain", waits}, more...)...)
}

type listed struct {
	path, name, folder string
	deps               []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}|{{.Name}}|{{.Dir}}|{{join .Deps " "}}{{end}}`, module+"...").CombinedOutput()
	require.NoError(t, err, string(out))
	var all []listed
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSpace(line), "|", 4)
		if len(fields) == 4 && strings.HasPrefix(fields[0], module) {
			all = append(all, listed{strings.TrimPrefix(fields[0], module), fields[1], fields[2], strings.Fields(fields[3])})
		}
	}
	require.Greater(t, len(all), 10, "the packages of the module are listed")
	return all
}

func TestEveryPackageImportsOnlyWhatItsPlaceAllows(t *testing.T) {
	for _, p := range packages(t) {
		rule, ok := ruleFor(p.path)
		require.True(t, ok, "%s is in no folder of the import table: add a row with its reason", p.path)
		for _, problem := range rule.check(p) {
			t.Error(problem)
		}
	}
}

func TestTheTableRefusesWhatIsNotInIt(t *testing.T) {
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
		case !ours && slices.Contains(r.never, dep), ours && !r.allows(p.path, own):
			problems = append(problems, p.path+" must not import "+strings.TrimPrefix(dep, module)+": "+r.reason)
		}
	}
	return problems
}

// allows says whether own may be reached. The backends and the suite are not what `eventlog` alone allows.
func (r rule) allows(path, own string) bool {
	if imported, _ := ruleFor(own); imported.forTests && own != path {
		return false
	}
	if within(own, r.folder) || slices.Contains(r.may, "") || slices.Contains(aside[r.folder], own) {
		return true
	}
	return slices.ContainsFunc(r.may, func(folder string) bool {
		if folder == "eventlog" {
			return own == "eventlog"
		}
		return within(own, folder)
	})
}

// TestViewsAreMadeByRulesAlone: a view without the rows of the engine folds another log than the servers do.
func TestViewsAreMadeByRulesAlone(t *testing.T) {
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
			require.False(t, made.Match(text), "%s makes a view: use engine.Rules", file)
		}
	}
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func TestEveryPackageSaysWhatItIsForInDocGo(t *testing.T) {
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(p.folder, "*.go"))
		require.NoError(t, err)
		name := "doc.go"
		if len(files) <= 2 { // one file and its test
			name = "*.go"
		}
		found, err := filepath.Glob(filepath.Join(p.folder, name))
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(found, documented), "%s has no %s that begins with what the package is for", p.path, name)
	}
}

func documented(file string) bool {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
	return err == nil && parsed.Doc != nil && len(parsed.Doc.Text()) > 40
}

func TestNoFunctionIsOver80LinesAndNoFileOver800(t *testing.T) {
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(p.folder, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			checkLengths(t, file)
		}
	}
}
