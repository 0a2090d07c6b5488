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

func testVerb(s *shell) *cobra.Command {
	return verb{
		exits: alone(exits{exitOK: "all went as the files say", exitError: "something went otherwise, or a file cannot be read"}),
		use:   "test FILE…", short: "Run scenario files",
		long:    "Run scenario files: commands and reports with the times at which they come, and what drover does then.\nNo server is needed; each file has a log and a clock of its own.\nWith -o json or jsonl one object a file, in one line.",
		example: "drover test testdata/*.txt",
		run: func(ctx context.Context, args []string) error {
			failed := 0
			for _, file := range args {
				ok, err := s.runScenario(ctx, file)
				if err != nil {
					return err
				}
				if !ok {
					failed++
				}
			}
			if failed > 0 {
				return invalid("%d of %s gave something else than expected", failed, plural(len(args), "scenario"))
			}
			return nil
		},
	}.command()
}

// runScenario runs one file and says whether all of it went as the file expects.
func (s *shell) runScenario(ctx context.Context, file string) (bool, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, invalid("there is no file %s", quoted(file))
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
	return len(result.Failures) == 0, s.ran(file, result)
}

// ran is what is told of one file to scripts.
type ran struct {
	File     string   `json:"file"`
	OK       bool     `json:"ok"`
	Blocks   int      `json:"blocks"`
	Failures []string `json:"failures"`
}

func (s *shell) ran(file string, result scenario.Result) error {
	told := ran{File: file, OK: len(result.Failures) == 0, Blocks: result.Blocks, Failures: []string{}}
	text := ""
	for _, f := range result.Failures {
		told.Failures = append(told.Failures, f.String())
		text += f.String()
	}
	switch {
	case s.output == formatYAML:
		return s.document(told)
	case s.structured():
		return s.line(told)
	case told.OK:
		text = "ok\t" + file + "\t" + plural(result.Blocks, "block") + "\n"
	}
	return s.print(text)
}
