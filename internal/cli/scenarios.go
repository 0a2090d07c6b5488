package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/scenario"
)

// maxScenarioBytes bounds a scenario file.
const maxScenarioBytes = 1 << 20

func testVerb(a *app) *cobra.Command {
	return verb{
		exits: localExits(exits{exitOK: "all scenarios passed",
			exitError: "a scenario failed, or a file could not be read"}),
		use: "test FILE…", short: "Run scenario files",
		long: "Run scenario files and compare the results with the results in the files. A scenario file lists\n" +
			"commands and reports of agents with the time of each, and what drover does in response.\n\n" +
			"No server is needed; each file runs with its own log and clock. With -o json or jsonl, the\n" +
			"command prints one JSON object per file and line.",
		example: "drover test testdata/*.txt",
		run: func(ctx context.Context, args []string) error {
			failed := 0
			for _, file := range args {
				ok, err := a.runScenario(ctx, file)
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
}

// runScenario runs one file and reports whether it passed.
func (a *app) runScenario(ctx context.Context, file string) (bool, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, invalid("file %s does not exist", quoted(file))
	case err == nil && info.Size() > maxScenarioBytes:
		return false, invalid("%s has %d bytes; a scenario has at most %d", file, info.Size(), maxScenarioBytes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false, invalid("%v", err)
	}
	result, err := scenario.Run(ctx, file, string(text), scenario.Options{})
	if err != nil {
		return false, invalid("%v", err)
	}
	return len(result.Failures) == 0, a.printScenario(file, result)
}

// scenarioReport is the structured output for one scenario file.
type scenarioReport struct {
	File     string   `json:"file"`
	OK       bool     `json:"ok"`
	Blocks   int      `json:"blocks"`
	Failures []string `json:"failures"`
}

func (a *app) printScenario(file string, result scenario.Result) error {
	report := scenarioReport{File: file, OK: len(result.Failures) == 0, Blocks: result.Blocks, Failures: []string{}}
	text := ""
	for _, f := range result.Failures {
		report.Failures = append(report.Failures, f.String())
		text += f.String()
	}
	switch {
	case a.output == formatYAML:
		return a.document(report)
	case a.structured():
		return a.line(report)
	case report.OK:
		text = "ok\t" + file + "\t" + plural(result.Blocks, "block") + "\n"
	}
	return a.print(text)
}
