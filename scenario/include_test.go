package scenario_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/scenario"
)

func TestApplyReadsTheFilesThatUsersShip(t *testing.T) {
	const output = "----\nEnvironment e ok #2\nProject shop ok #3\nTrigger shop/t ok #4\n"
	for _, block := range []string{"apply -f shop.yaml\n", "apply 09:00:00 -f shop.yaml -f ./shop.yaml\n",
		"apply -f conf\n", "apply --filename conf/one.yaml server=a -f conf/two.yml\n"} {
		documents := strings.Split(shop, "\n---\n")
		result, err := inFolder(t, map[string]string{"a.txt": block + output, "shop.yaml": shop,
			"conf/one.yaml": documents[0], "conf/two.yml": documents[1] + "\n---\n" + documents[2]}, "a.txt")
		require.NoError(t, err)
		require.Empty(t, result.Failures, block)
	}
}

func TestMistakesInAppliedFilesAreShownWithTheirPlace(t *testing.T) {
	result, err := inFolder(t, map[string]string{"t/a.txt": "apply -f ../shop.yaml\n",
		"shop.yaml": strings.Replace(shop, "events", "evnts", 1)}, "t/a.txt")
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
	require.Contains(t, result.Failures[0].String(), "+ rejected: ../shop.yaml:15:7: spec.events is missing")
	require.Contains(t, result.Failures[0].String(), "../shop.yaml:15:")
}

func TestIncludedBlocksRunInPlace(t *testing.T) {
	result := passes(t, "\nreport\n00:00:05 web-01 joins\n----\nok #8..#9\n")
	require.Equal(t, 3, result.Blocks)
}

func TestIncludedPathsAreRelativeToTheIncludingFile(t *testing.T) {
	result, err := inFolder(t, map[string]string{"a.txt": "include one/b.txt\nexpect web-01 online\n",
		"one/b.txt":     "include two/c.txt\n\nreport\n00:00:01 web-01 joins\n",
		"one/two/c.txt": "apply -f ../../shop.yaml\n", "shop.yaml": shop}, "a.txt")
	require.NoError(t, err)
	require.Empty(t, result.Failures)
	require.Equal(t, 3, result.Blocks)
}

func TestErrorsInIncludedFilesNameTheirPlace(t *testing.T) {
	_, err := inFolder(t, map[string]string{"a.txt": "include one/b.txt\n", "one/b.txt": "# B.\n\ntick 9:00\n"}, "a.txt")
	require.ErrorContains(t, err, `one/b.txt:3: invalid time "9:00" (use HH:MM:SS)`)
	_, err = inFolder(t, map[string]string{"a.txt": "include one/b.txt\n", "one/b.txt": "# B.\n\n\xff\n"}, "a.txt")
	require.ErrorContains(t, err, `one/b.txt:3: the line contains invalid characters`)
	result, err := inFolder(t, map[string]string{"a.txt": "include one/b.txt\n",
		"one/b.txt": "# B.\n\nview fleet\n----\nweb-01\n"}, "a.txt")
	require.NoError(t, err)
	require.Len(t, result.Failures, 1)
	require.Contains(t, result.Failures[0].String(), "one/b.txt:3: the output of view fleet differs")
	require.False(t, result.Failures[0].Corrected, "an included file is not rewritten")
}

func TestRejectedLineOfIncludedFileFails(t *testing.T) {
	for _, block := range []string{"do\n00:00:00 release create shop 1\n", "apply\nkind: Environment\n"} {
		result, err := inFolder(t, map[string]string{"a.txt": "include b.txt\n", "b.txt": block}, "a.txt")
		require.NoError(t, err)
		require.Len(t, result.Failures, 1)
		require.Contains(t, result.Failures[0].String(), "b.txt:1: ")
		require.Contains(t, result.Failures[0].String(), "+ rejected: ")
	}
}

func TestFilesThatCannotBeReadAreRefused(t *testing.T) {
	deep := map[string]string{"a.txt": "include 0.txt\n", "big.txt": strings.Repeat("#", scenario.MaxBytes+1),
		"loop.txt": "include link/b.txt\n", "b.txt": "include loop.txt\n", "empty.txt": "# Nothing.\n",
		"folder/x": "", "many.txt": strings.Repeat("include one.txt\n", scenario.MaxIncludes+1), "one.txt": "replay\n",
		"large.txt": "#" + strings.Repeat("x", scenario.MaxBytes/2) + "\nreplay\n", "two.txt": "include large.txt\ninclude large.txt\n",
		"half.txt": strings.Repeat("include blocks.txt\n", 3), "blocks.txt": strings.Repeat("replay\n\n", 4000)}
	for i := range scenario.MaxIncludeDepth + 1 {
		deep[fmt.Sprintf("%d.txt", i)] = fmt.Sprintf("include %d.txt\n", i+1)
	}
	for text, want := range map[string]string{
		"include\n":                       `x.txt:1: include needs one file (usage: include FILE)`,
		"include one.txt b.txt\n":         `x.txt:1: include needs one file`,
		"\n  include nowhere.txt\n":       `x.txt:2:11: file "nowhere.txt" does not exist (paths are relative`,
		"include folder\n":                `x.txt:1:9: "folder" is a folder (include a file)`,
		"include /etc/passwd\n":           `x.txt:1:9: path "/etc/passwd" is absolute (use a path relative`,
		"include pipe\n":                  `x.txt:1:9: "pipe" is not a regular file`,
		"include big.txt\n":               `big.txt:1: the file has 1048577 bytes`,
		"include empty.txt\n":             `empty.txt:1: the file contains no command`,
		"include b.txt\n":                 `loop.txt:1:9: the file includes itself: x.txt → b.txt → link/b.txt`,
		"include x.txt\n":                 `x.txt:1:9: the file includes itself: x.txt → x.txt`,
		"include 0.txt\n":                 `7.txt:1:9: includes are nested more than 8 deep (include the file directly)`,
		"include many.txt\n":              `many.txt:100:9: the file includes more than 100 files`,
		"include two.txt\n":               `large.txt:1: the file and its includes have more than 1048576 bytes`,
		"include half.txt\n":              `blocks.txt:3993: the file and its includes have more than 10000 blocks`,
		"apply -f nowhere.yaml\n":         `x.txt:1:10: file "nowhere.yaml" does not exist`,
		"apply -f /etc/passwd\n":          `x.txt:1:10: path "/etc/passwd" is absolute`,
		"apply -f pipe\n":                 `x.txt:1:10: "pipe" is not a regular file`,
		"apply -f pipes\n":                `x.txt:1:10: read pipes/a.yaml: it is not a regular file`,
		"apply -f folder\n":               `x.txt:1:10: folder folder contains no *.yaml or *.yml files`,
		"apply -f\n":                      `x.txt:1: -f needs a value (usage: apply [HH:MM:SS] [-f FILE|FOLDER]…`,
		"apply -f -\n":                    `x.txt:1:10: file "-" does not exist`,
		"apply -f one.txt\nkind: Trigger": `x.txt:2: apply takes either -f or documents`,
	} {
		folder := t.TempDir()
		deep["x.txt"] = text
		for name, text := range deep {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
		}
		require.NoError(t, os.Symlink(folder, filepath.Join(folder, "link")))
		require.NoError(t, os.Mkdir(filepath.Join(folder, "pipes"), 0o755))
		for _, name := range []string{"pipe", "pipes/a.yaml"} {
			require.NoError(t, syscall.Mkfifo(filepath.Join(folder, name), 0o644))
		}
		result, err := scenario.Run(context.Background(), "x.txt", text, scenario.Options{Folder: folder})
		var mistake *scenario.Error
		require.ErrorAs(t, err, &mistake, text)
		require.Contains(t, err.Error(), want)
		require.Equal(t, text, result.Text)
	}
}

func TestTextWithoutFolderNamesNoFiles(t *testing.T) {
	for _, text := range []string{"include scenario_test.go\n", "apply -f scenario_test.go\n"} {
		_, err := run(t, text)
		require.ErrorContains(t, err, "a scenario that is not a file cannot name files")
	}
}

func TestFileWithoutCommandIsRefused(t *testing.T) {
	for _, text := range []string{"", "\n", "# Only a comment.\n", " \n\r\n"} {
		_, err := run(t, text)
		require.ErrorContains(t, err, "a.txt:1: the file contains no command (start a block with one of: apply, do,")
	}
}
