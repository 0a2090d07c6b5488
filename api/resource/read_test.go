package resource

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

const shop = `apiVersion: drover.dev/v1
kind: Project
metadata:
  name: shop
spec:
  roles: [web, api]
  maxParallel: 10
  stopAfterFailures: 1
  unavailableMachines: fail
  automatic: {attempts: 5, backoff: 2m}
  variables:
    PORT: 8080
    VERSION: 1.10
    DEBUG: true
    NOTE: ""
  secrets: [DB_PASSWORD]
  disabled: true
  steps:
    - name: install
      run: |
        #!/bin/sh
        echo "a: b"   # not a comment of YAML

        exit 0
      folder: /srv/shop
      timeout: 10m
      retries: 2
    - {name: check, run: ./check.sh}
`

func shopCommand() domain.ApplyProject {
	return domain.ApplyProject{Name: "shop", Origin: domain.By("ann"), Disabled: true, Settings: domain.ProjectSettings{
		Roles: []string{"api", "web"}, MaxParallel: domain.Count(10), StopAfterFailures: 1, Unavailable: domain.FailUnavailable,
		Attempts: 5, Backoff: domain.Duration(2 * time.Minute),
		Variables: map[string]string{"PORT": "8080", "VERSION": "1.10", "DEBUG": "true", "NOTE": ""},
		Secrets:   []string{"DB_PASSWORD"},
		Steps: []domain.Step{
			{
				Name:    "install",
				Run:     "#!/bin/sh\necho \"a: b\"   # not a comment of YAML\n\nexit 0\n",
				Folder:  "/srv/shop",
				Timeout: domain.Duration(10 * time.Minute),
				Retries: 2,
			},
			{Name: "check", Run: "./check.sh"},
		},
	}}
}

func readOne(t *testing.T, name, text string) Document {
	t.Helper()
	docs, err := Read(name, strings.NewReader(text))
	require.NoError(t, err)
	require.Len(t, docs, 1)
	return docs[0]
}

func spec(kind, spec string) string {
	return "apiVersion: drover.dev/v1\nkind: " + kind + "\nmetadata: {name: x}\nspec: " + spec + "\n"
}

func TestEveryKeyOfEveryKindIsRead(t *testing.T) {
	require.Equal(t, shopCommand(), readOne(t, "shop.yaml", shop).Command(domain.By("ann")))
	for name, c := range map[string]struct {
		text string
		want domain.Command
	}{
		"an environment needs no spec": {"apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: x}\n",
			domain.ApplyEnvironment{Name: "x", Origin: domain.By("ann")}},
		"an environment with an empty spec": {spec("Environment", "{}"), domain.ApplyEnvironment{Name: "x", Origin: domain.By("ann")}},
		"a policy": {spec("MachinePolicy", "{offlineAfter: 45s, lostAfter: 5m, healthCheck: {every: 2m, timeout: 3s, script: ./ok}, cleanUp: {after: 24h, maxShare: 30%}}"),
			domain.ApplyPolicy{Name: "x", Origin: domain.By("ann"), Settings: domain.PolicySettings{
				OfflineAfter: domain.Duration(45 * time.Second), LostAfter: domain.Duration(5 * time.Minute),
				HealthCheck: &domain.HealthCheck{Every: domain.Duration(2 * time.Minute), Timeout: domain.Duration(3 * time.Second), Script: "./ok"},
				CleanUp:     &domain.CleanUp{After: domain.Duration(24 * time.Hour), MaxShare: 30}}}},
		"a trigger": {spec("Trigger", `{project: shop, events: [MachineAvailable, MachineDeleted], environments: ["*", a], roles: [web], redeploy: true, disabled: true}`),
			domain.ApplyTrigger{Name: "x", Project: "shop", Origin: domain.By("ann"), Disabled: true, Settings: domain.TriggerSettings{
				Events: []domain.Category{domain.AvailableGroup, domain.Deleted}, Environments: []string{"*", "a"}, Roles: []string{"web"}, Redeploy: true}}},
		"a machine": {spec("Machine", "{environment: production, roles: [web, api, web], policy: tame, disabled: true}"),
			domain.ApplyMachine{Name: "x", Environment: "production", Roles: []string{"api", "web"}, Policy: "tame", Disabled: true, Origin: domain.By("ann")}},
	} {
		t.Run(
			name,
			func(t *testing.T) { require.Equal(t, c.want, readOne(t, "f.yaml", c.text).Command(domain.By("ann"))) },
		)
	}
}

func TestAbsentKeysHaveTheDocumentedDefaults(t *testing.T) {
	project := readOne(t, "f", spec("Project", "{roles: , steps: }")).Command(domain.Origin{}).(domain.ApplyProject)
	require.Equal(
		t,
		domain.ProjectSettings{Unavailable: domain.SkipUnavailable, Attempts: 3, Backoff: domain.Duration(time.Minute)},
		project.Settings,
	)
	require.False(t, project.Disabled)

	policy := readOne(t, "f", spec("MachinePolicy", "{healthCheck: {script: ./ok}, cleanUp: {after: 1h}}")).Command(domain.Origin{}).(domain.ApplyPolicy).Settings
	require.Equal(t, domain.Duration(30*time.Second), policy.OfflineAfter)
	require.Equal(t, domain.Duration(10*time.Minute), policy.LostAfter)
	require.Equal(
		t,
		&domain.HealthCheck{
			Every:   domain.Duration(time.Minute),
			Timeout: domain.Duration(30 * time.Second),
			Script:  "./ok",
		},
		policy.HealthCheck,
	)
	require.Equal(t, &domain.CleanUp{After: domain.Duration(time.Hour), MaxShare: 20}, policy.CleanUp)

	machine := readOne(t, "f", spec("Machine", "{environment: e}")).Command(domain.Origin{}).(domain.ApplyMachine)
	require.Equal(t, domain.DefaultPolicy, machine.Policy)
}

func TestEqualDocumentsMayBeWrittenDifferently(t *testing.T) {
	want := shopCommand()
	for name, text := range map[string]string{
		"with a byte order mark":                  "\ufeff" + shop,
		"with CRLF line ends":                     strings.ReplaceAll(shop, "\n", "\r\n"),
		"without a final newline":                 strings.TrimSuffix(shop, "\n"),
		"between document markers":                "%YAML 1.2\n---\n" + shop + "...\n",
		"after a comment and two empty documents": "# hello\n---\n\n---\n# nothing here\n---\n" + shop + "---\n",
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, want, readOne(t, "f.yaml", text).Command(domain.By("ann"))) })
	}
	t.Run("with an anchor, an alias and a merge", func(t *testing.T) {
		doc := readOne(
			t,
			"f",
			spec(
				"Project",
				"{variables: &v {A: 1, B: 2}, steps: [&s {name: a, run: ./a, timeout: 1m}, {<<: *s, name: b}]}",
			),
		)
		require.Equal(t, []domain.Step{
			{
				Name:    "a",
				Run:     "./a",
				Timeout: domain.Duration(time.Minute),
			}, {Name: "b", Run: "./a", Timeout: domain.Duration(time.Minute)},
		}, doc.Command(domain.Origin{}).(domain.ApplyProject).Settings.Steps)
	})
}

func TestJSONIsReadLikeYAML(t *testing.T) {
	const text = `{
	"apiVersion": "drover.dev/v1", "kind": "Project", "metadata": {"name": "shop"},
	"spec": {
		"roles": ["web", "api"], "maxParallel": 10, "stopAfterFailures": 1, "unavailableMachines": "fail",
		"automatic": {"attempts": 5, "backoff": "2m"},
		"variables": {"PORT": 8080, "VERSION": 1.10, "DEBUG": true, "NOTE": ""},
		"secrets": ["DB_PASSWORD"], "disabled": true,
		"steps": [
			{"name": "install", "run": "#!\/bin\/sh\necho \"a: b\"   # not a comment of YAML\n\nexit 0\n", "folder": "/srv/shop", "timeout": "10m", "retries": 2},
			{"name": "check", "run": ".\/check.sh"}
		]
	}
}
`
	for _, name := range []string{"shop.json", "stdin"} {
		require.Equal(t, shopCommand(), readOne(t, name, text).Command(domain.By("ann")))
	}
	docs, err := Read("two.json", strings.NewReader(text+strings.Replace(text, "shop", "blog", 1)))
	require.NoError(t, err)
	require.Equal(t, "blog", docs[1].Name)
	require.Equal(t, 14, docs[1].Line)
}

func TestDocumentsHaveTheirFileAndLine(t *testing.T) {
	docs, err := Read(
		"f.yaml",
		strings.NewReader("# two\n---\n"+spec("Environment", "{}")+"--- # and\n"+spec("Machine", "{environment: x}")),
	)
	require.NoError(t, err)
	require.Len(t, docs, 2)
	require.Equal(t, []int{3, 8}, []int{docs[0].Line, docs[1].Line})
	require.Equal(t, "f.yaml", docs[1].File)
	require.Equal(t, Machine, docs[1].Kind)
	require.Equal(t, "x", docs[1].Name)
}

var rewrite = flag.Bool(
	"rewrite",
	false,
	"fill in the problems of the files in testdata/bad that have none after their dashes",
)

// TestProblemsAreReportedWithTheirLocation reads testdata/bad: each file is an input, a line of dashes, and its problems.
func TestProblemsAreReportedWithTheirLocation(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			input, want, ok := strings.Cut(string(data), "\n----\n")
			require.True(t, ok, "%s has no line ----", file)
			name := "f.yaml"
			if strings.HasPrefix(input, "{") {
				name = "f.json"
			}
			docs, err := Read(name, strings.NewReader(input))
			require.Error(t, err)
			require.Nil(t, docs)
			if *rewrite && want == "" {
				require.NoError(t, os.WriteFile(file, []byte(input+"\n----\n"+err.Error()+"\n"), 0o644))
				return
			}
			require.Equal(t, strings.TrimRight(want, "\n"), strings.TrimRight(err.Error(), "\n"))
		})
	}
}

func TestUnreadableInputIsOneProblem(t *testing.T) {
	deep := strings.Repeat("[", 10_000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf(
			"%c: &%c [%s]\n",
			c,
			c,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","),
		)
	}
	many := strings.Builder{}
	for i := range 30_000 {
		fmt.Fprintf(&many, "k%d: v\n", i)
	}
	for name, c := range map[string]struct{ text, want string }{
		"more than 8 MiB":               {strings.Repeat("a: b\n", 2<<20), "f: the input is longer than 8 MiB (split it into several files)"},
		"binary data":                   {"a: b\nc: \x00\xff", "f:2:4: invalid byte 0x00 (use YAML or JSON in UTF-8)"},
		"Latin-1":                       {"a: b\xfcro\n", "f:1:5: invalid byte 0xfc (use YAML or JSON in UTF-8)"},
		"UTF-16":                        {"\xff\xfea\x00", "f: the input is UTF-16 (save it as UTF-8)"},
		"unclosed flow lists":           {deep, "nested too deep"},
		"nested blocks":                 {strings.Repeat("- ", 9_000), "nested too deep"},
		"nested JSON":                   {strings.Repeat(`{"a":`, 50_000), ""},
		"a document with too many keys": {many.String(), "too many values"},
		"aliases of aliases":            {bomb, "too many values once its aliases are expanded"},
		"an alias of itself":            {"a: &a [*a]\n", "unknown anchor *a"},
		"a step of 3 MB":                {spec("Project", "\n  steps:\n  - name: a\n    run: |\n"+strings.Repeat("      echo hello\n", 200_000)), "put large files where the machine can fetch them"},
		"a step of 200 KB":              {spec("Project", "\n  steps:\n  - name: a\n    run: |\n"+strings.Repeat("      echo hello\n", 20_000)), "step a is 220000 bytes long"},
		"a list instead of a mapping":   {"- a\n- b\n", "f:1:1: the document must be a mapping, not a list"},
		"a word":                        {"hello\n", `f:1:1: the document must be a mapping, not text "hello"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read("f", strings.NewReader(c.text))
			var problems Problems
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems, 1)
			require.Contains(t, err.Error(), c.want)
			require.Less(t, len(err.Error()), 800)
		})
	}
}

func TestAtMostTwentyProblemsAreReported(t *testing.T) {
	_, err := Read("f", strings.NewReader(strings.Repeat("---\nkind: Machine\n", 100_000)))
	var problems Problems
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems, MaxProblems)
	require.Contains(t, err.Error(), "the first 20 problems are shown; there may be more")
}

func TestProblemsOfAllDocumentsAreReported(t *testing.T) {
	_, err := Read(
		"f",
		strings.NewReader(
			"a: [\n---\n"+spec("Machine", "{enviroment: x}")+"---\n\tb\n---\n"+spec("Environment", "{a: 1}"),
		),
	)
	var problems Problems
	require.ErrorAs(t, err, &problems)
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	require.Equal(t, []int{1, 6, 6, 8, 13}, lines)
}

func TestLongLineIsCutAroundTheCaret(t *testing.T) {
	line := spec(
		"Project",
		"{variables: {A: \""+strings.Repeat(
			"é",
			300,
		)+"\"}, maxParalel: 1, variables2: \""+strings.Repeat(
			"ü",
			300,
		)+"\"}",
	)
	_, err := Read("f", strings.NewReader(line))
	var problems Problems
	require.ErrorAs(t, err, &problems)
	for i, key := range []string{"maxParalel", "variables2"} {
		p := problems[i]
		require.Equal(t, 160, len([]rune(p.Quote)))
		require.True(
			t,
			strings.HasPrefix(string([]rune(p.Quote)[p.Caret:]), key),
			"the caret is at %q",
			string([]rune(p.Quote)[p.Caret:]),
		)
	}
}

func TestLoadReadsFilesFoldersAndStdin(t *testing.T) {
	folder := t.TempDir()
	write := func(name, kind, metadata string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(
			t,
			os.WriteFile(
				path,
				[]byte("apiVersion: drover.dev/v1\nkind: "+kind+"\nmetadata: {name: "+metadata+"}\n"),
				0o644,
			),
		)
		return path
	}
	write("b.yml", "Environment", "b")
	a := write("a.yaml", "Environment", "a")
	write("sub/c.yaml", "Environment", "c")
	write("d.txt", "Environment", "d")
	write(".hidden.yaml", "Environment", "hidden")
	require.NoError(t, os.Symlink("editor@host.42", filepath.Join(folder, ".#a.yaml")), "the lock of an editor")
	require.NoError(t, os.Mkdir(filepath.Join(folder, "e.yaml"), 0o755))

	stdin := func() *strings.Reader { return strings.NewReader(spec("Environment", "{}")) }
	docs, err := Load([]string{folder, "-", a, folder + "/./a.yaml", "-"}, stdin())
	require.NoError(t, err)
	var names []string
	for _, doc := range docs {
		names = append(names, filepath.Base(doc.File)+" "+doc.Name)
	}
	require.Equal(t, []string{"a.yaml a", "b.yml b", "stdin x"}, names)

	t.Run("a resource in two files is reported with both locations", func(t *testing.T) {
		again := write("sub/a.yaml", "Environment", "a")
		_, err := Load([]string{folder, again}, nil)
		require.ErrorContains(t, err, again+":3:18: duplicate Environment a, first at "+a+":1 (keep one of the two)")
	})
	t.Run("problems are sorted by file and line", func(t *testing.T) {
		bad := t.TempDir()
		require.NoError(t, os.WriteFile(bad+"/a.yaml", []byte("\n\n\n"+spec("Machine", "{x: 1}")), 0o644))
		require.NoError(t, os.WriteFile(bad+"/b.yaml", []byte("x: 1\n"), 0o644))
		_, err := Load([]string{bad}, nil)
		var problems Problems
		require.ErrorAs(t, err, &problems)
		var at []string
		for _, p := range problems {
			at = append(at, fmt.Sprintf("%s:%d", filepath.Base(p.File), p.Line))
		}
		require.Equal(t, []string{"a.yaml:7", "a.yaml:7", "b.yaml:1", "b.yaml:1", "b.yaml:1", "b.yaml:1"}, at)
	})
	t.Run("a hidden file is read if it is named", func(t *testing.T) {
		docs, err := Load([]string{folder + "/.hidden.yaml"}, nil)
		require.NoError(t, err)
		require.Len(t, docs, 1)
	})
	t.Run("a missing file is named", func(t *testing.T) {
		_, err := Load([]string{folder + "/nix.yaml"}, nil)
		require.EqualError(t, err, "read "+folder+"/nix.yaml: no such file or directory")
	})
	t.Run("a folder without YAML is named", func(t *testing.T) {
		_, err := Load([]string{t.TempDir()}, nil)
		require.ErrorContains(t, err, "contains no *.yaml or *.yml files")
	})
	t.Run("an error of the reader is not a problem of the input", func(t *testing.T) {
		_, err := Load([]string{"-"}, iotest.ErrReader(errors.New("gone")))
		require.EqualError(t, err, "read stdin: gone")
	})
}

func TestTriggersOfTwoProjectsMayHaveTheSameName(t *testing.T) {
	trigger := func(project string) string {
		return "---\n" + spec("Trigger", "{project: "+project+", events: [Machine], environments: [a]}")
	}
	docs, err := Read("f", strings.NewReader(trigger("shop")+trigger("blog")))
	require.NoError(t, err)
	require.Equal(t, "Trigger blog/x", docs[1].String())
	_, err = Read("f", strings.NewReader(trigger("shop")+trigger("shop")))
	require.ErrorContains(t, err, "duplicate Trigger shop/x, first at f:2")
}

func TestNamesThatAreInvalidInStreamsAreRejected(t *testing.T) {
	for name, want := range map[string]string{
		"a/b":                    `machine "a/b" has '/' at character 2`,
		strings.Repeat("n", 300): "has 300 characters",
		`""`:                     "machine must not be empty",
		"-a":                     `has '-' at character 1`,
		"ä":                      "at character 1",
		"a b":                    `has ' ' at character 2`,
	} {
		_, err := Read(
			"f",
			strings.NewReader(
				"apiVersion: drover.dev/v1\nkind: Machine\nmetadata: {name: "+name+"}\nspec: {environment: e}\n",
			),
		)
		require.ErrorContains(t, err, "f:3:18: ")
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 700)
	}
}

func TestManyProblemsTakeLittleTime(t *testing.T) {
	var keys, items, merges strings.Builder
	for i := range 4_000 {
		fmt.Fprintf(&keys, `,"unknown%d":%d`, i, i)
		fmt.Fprintf(&items, `,"a b %d"`, i)
	}
	merges.WriteString("a: &m0 [{}]\na: again\n") // after a problem, the sizes of values are no longer limited
	for i := range 60 {
		fmt.Fprintf(&merges, "m%d: &m%d [*m%d,*m%d]\n", i+1, i+1, i, i)
	}
	head := `{"apiVersion":"drover.dev/v1","kind":"Project","metadata":{"name":"x"},"spec":{`
	for name, text := range map[string]string{
		"unknown keys in one line": head + keys.String()[1:] + "}}",
		"invalid items":            head + `"roles":[` + items.String()[1:] + "]}}",
		"merges of lists of lists": merges.String() + "<<: *m60\n",
	} {
		for _, file := range []string{"f.json", "f.yaml"} {
			t.Run(name+" in "+file, func(t *testing.T) {
				begin := time.Now()
				_, err := Read(file, strings.NewReader(text))
				require.Error(t, err)
				require.Less(t, time.Since(begin), time.Second)
			})
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("f.yaml", []byte(shop))
	f.Add(
		"f.json",
		[]byte(`{"apiVersion":"drover.dev/v1","kind":"Machine","metadata":{"name":"a"},"spec":{"environment":"e"}}`),
	)
	f.Add("f", []byte("a: &a [*a, <<: {b: !!str 1}]\n--- |\n x\n...\n? q\n: 'it''s'\n"))
	f.Add("f", []byte(spec("Trigger", `{project: p, events: [Machine], environments: ["*"]}`)))
	f.Add("0", []byte(">n: x"+strings.Repeat("`", 1800)))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		docs, err := Read(name, strings.NewReader(string(data)))
		if err != nil {
			require.Nil(t, docs)
			require.NotContains(t, err.Error(), "could not be read", "no panic")
			var problems Problems
			require.ErrorAs(t, err, &problems)
			require.LessOrEqual(t, len(problems), MaxProblems)
			lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 2
			for _, p := range problems {
				require.Equal(t, name, p.File)
				require.LessOrEqual(t, p.Line, lines, "the location is in the file")
				require.Less(t, len(p.Error()), 2000+2*len(name))
			}
			return
		}
		for _, doc := range docs {
			require.NotEmpty(t, doc.Name)
			require.Equal(t, doc.Command(domain.Origin{}), writeAndRead(t, doc).Command(domain.Origin{}))
		}
	})
}
