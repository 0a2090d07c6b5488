package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/scenario"
)

func testVerb(a *app) *cobra.Command {
	var update bool
	cmd := verb{
		exits: localExits(exits{exitOK: "all scenarios passed",
			exitError: "a scenario failed, or a file could not be read"}),
		use: "test FILE…", short: "Run scenario files",
		long: "Run scenario files and compare the results with the results in the files. A scenario file lists\n" +
			"commands and reports of agents with the time of each, and what drover does in response.\n\n" +
			"No server is needed; each file runs with its own log and clock. A scenario can apply the YAML files\n" +
			"that you ship and include other files; their paths are relative to the scenario file. With -o json\n" +
			"or jsonl, the command prints one JSON object per file and line.\n\n" +
			"With --update, the command writes the actual results to the files. It keeps comments, and lines with …\n" +
			"that match. It changes neither expectations (expect) nor included files: if one of them fails, the\n" +
			"exit code is 1.",
		example: "drover test testdata/*.txt\n" +
			"drover test --update tests/joins.txt",
		run: func(ctx context.Context, args []string) error {
			failed := 0
			for _, file := range args {
				ok, err := a.runScenario(ctx, file, update)
				if err != nil {
					return err
				}
				if !ok {
					failed++
				}
			}
			if failed > 0 {
				return invalid("%d of %s failed", failed, plural(len(args), "scenario"))
			}
			return nil
		},
	}.command()
	cmd.Flags().BoolVar(&update, "update", false, "write the actual results to the files")
	return cmd
}

// runScenario runs one file, writes its results if wanted, and reports whether it passes now.
func (a *app) runScenario(ctx context.Context, file string, update bool) (bool, error) {
	text, err := scenarioText(file)
	if err != nil {
		return false, err
	}
	result, err := scenario.Run(ctx, file, text, scenario.Options{Folder: filepath.Dir(file)})
	if err != nil {
		return false, invalid("%v", err)
	}
	updated := 0
	if update {
		if updated, result, err = updateScenario(ctx, file, text, result); err != nil {
			return false, err
		}
	}
	report := scenarioReport{File: file, OK: len(result.Failures) == 0, Blocks: result.Blocks, Failures: []string{},
		Updated: updated}
	for _, f := range result.Failures {
		report.Failures = append(report.Failures, f.String())
	}
	return report.OK, a.printScenario(report)
}

// updateScenario writes the actual results of a run to its file. It returns the number of blocks that it changed, and
// the result of the new file.
func updateScenario(ctx context.Context, file, text string, result scenario.Result) (int, scenario.Result, error) {
	updated := 0
	for _, f := range result.Failures {
		if f.Corrected {
			updated++
		}
	}
	if updated == 0 {
		return 0, result, nil
	}
	next, err := scenario.Run(ctx, file, result.Text, scenario.Options{Folder: filepath.Dir(file)})
	if err == nil {
		err = replaceText(file, text, result.Text)
	}
	if err != nil {
		return 0, result, invalid("could not update %s: %v", file, err)
	}
	return updated, next, nil
}

// scenarioText reads at most one byte more than a scenario can have.
func scenarioText(path string) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", invalid("file %s does not exist", quoted(path))
	}
	if err != nil {
		return "", invalid("%v", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, scenario.MaxBytes+1))
	switch {
	case err != nil:
		return "", invalid("%v", err)
	case len(text) > scenario.MaxBytes:
		return "", invalid("%s has more than %d bytes, the limit of a scenario", path, scenario.MaxBytes)
	}
	return string(text), nil
}

// replaceText replaces the text of a file atomically, unless the file has changed since it was read. A symbolic link
// stays a link.
func replaceText(path, was, text string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name()) // fails after the file was renamed
	_, err = beside.WriteString(text)
	err = errors.Join(err, beside.Chmod(info.Mode().Perm()), beside.Sync(), beside.Close())
	if err != nil {
		return err
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != was {
		return errors.Join(errors.New("the file changed while the scenario ran"), err)
	}
	return os.Rename(beside.Name(), path)
}

// scenarioReport is the structured output for one scenario file.
type scenarioReport struct {
	File     string   `json:"file"`
	OK       bool     `json:"ok"`
	Blocks   int      `json:"blocks"`
	Failures []string `json:"failures"`
	// Updated counts the blocks whose output was written to the file.
	Updated int `json:"updated,omitempty"`
}

func (a *app) printScenario(report scenarioReport) error {
	text := ""
	switch {
	case a.output == formatYAML:
		return a.document(report)
	case a.structured():
		return a.line(report)
	case report.Updated > 0:
		text = "updated\t" + report.File + "\t" + plural(report.Updated, "block") + "\n"
	case report.OK:
		text = "ok\t" + report.File + "\t" + plural(report.Blocks, "block") + "\n"
	}
	for _, f := range report.Failures {
		text += f
	}
	return a.print(text)
}
