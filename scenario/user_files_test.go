package scenario_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/scenario"
)

// shop is a file that a user ships.
const shop = `apiVersion: drover.dev/v1
kind: Environment
metadata: {name: e}

---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {steps: [{name: unpack, run: a}, {name: switch, run: b}, {name: restart, run: c}]}

---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: t}
spec: {project: shop, events: [Machine], environments: [e]}
`

// inFolder writes files and runs one of them. It returns the folder too.
func inFolder(t *testing.T, files map[string]string, name string) (scenario.Result, error) {
	t.Helper()
	folder := t.TempDir()
	for file, text := range files {
		path := filepath.Join(folder, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return scenario.Run(context.Background(), name, files[name],
		scenario.Options{Folder: filepath.Join(folder, filepath.Dir(name)), Replay: true})
}

// prepared contains the blocks that most tests need, and their set-up in a shared file.
var prepared = map[string]string{
	"shop.yaml": shop,
	"tests/setup.txt": "# Release 1.\n\napply -f ../shop.yaml\n\ndo\n00:00:00 release create shop 1\n" +
		"00:00:00 deploy shop 1 --to e\n",
}

// runPrepared runs blocks after the set-up.
func runPrepared(t *testing.T, blocks string) (scenario.Result, error) {
	t.Helper()
	files := map[string]string{"tests/a.txt": "include setup.txt\n" + blocks}
	for name, text := range prepared {
		files[name] = text
	}
	return inFolder(t, files, "tests/a.txt")
}

// passes runs blocks after the set-up and requires that the file passes.
func passes(t *testing.T, blocks string) scenario.Result {
	t.Helper()
	result, err := runPrepared(t, blocks)
	require.NoError(t, err)
	require.Empty(t, result.Failures)
	require.Equal(t, "include setup.txt\n"+blocks, result.Text, "a file that passes stays unchanged")
	return result
}

// fleet brings machines to different states: web-01 and web-02 have release 1, web-03 failed, web-04 is held and db-01
// is disabled.
const fleet = `
report
00:00:05 web-[01..04] joins
00:00:05 db-01 joins
----
…

do
00:00:06 hold web-04 --project shop
00:00:06 machine disable db-01
----
…

tick 00:00:15
----
…

report
00:00:16 web-[01..03] claims
00:00:17 web-[01..02] succeeds
00:00:17 web-03 fails --step 2 --exit 7
----
…

`
