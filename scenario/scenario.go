package scenario

import (
	"context"
	"fmt"
	"strings"
)

// Options configures Run.
type Options struct {
	// Folder is the folder of the file. The paths in the file are relative to it. Without it, a file that names other
	// files cannot be run. `drover test` sets it.
	Folder string
	// Replay folds the log again after each block and compares the views. A difference is a failure of that block.
	Replay bool
}

// Result is the result of running a file.
type Result struct {
	// Text is the file with the actual output of each block.
	Text string
	// Failures lists the blocks whose output differs from the expected output.
	Failures []Failure
	// Blocks is the number of blocks that ran.
	Blocks int
}

// Failure is a block whose output differs from the expected output.
type Failure struct {
	File  string
	Line  int // of the block
	Block string
	Want  []string
	Got   []string
	// Expectation is set for an expect block, and for a rejected block of an included file.
	Expectation bool
	// Corrected reports that Text contains the actual output. It is not set for expectations and for included files.
	Corrected bool
}

// String returns the position of the block and a line-by-line comparison of both outputs.
func (f Failure) String() string {
	var b strings.Builder
	if f.Expectation {
		fmt.Fprintf(&b, "%s:%d: %s failed\n", f.File, f.Line, f.Block)
		for _, text := range f.Want {
			b.WriteString("  - " + text + "\n")
		}
		for _, text := range f.Got {
			b.WriteString("  + " + text + "\n")
		}
		return b.String()
	}
	fmt.Fprintf(&b, "%s:%d: the output of %s differs from the expected output\n", f.File, f.Line, f.Block)
	for _, d := range difference(f.Want, f.Got) {
		b.WriteString("  " + d + "\n")
	}
	return b.String()
}

// Run runs a file with its own servers, agents and clock. It returns an *Error if the file cannot be run; Text is then
// the unchanged file.
func Run(ctx context.Context, name, text string, options Options) (Result, error) {
	s, err := load(name, text, options.Folder)
	if err != nil {
		return Result{Text: text}, err
	}
	r, err := newRunner(ctx, s)
	if err != nil {
		return Result{Text: text}, err
	}
	e := &execution{runner: r, replay: options.Replay, output: map[*block][]string{}}
	if err := e.file(s, false); err != nil {
		return Result{Text: text}, err
	}
	e.result.Text = s.render(e.output)
	return e.result, nil
}

// execution runs the blocks of a file and of the files that it includes.
type execution struct {
	runner *runner
	replay bool
	result Result
	output map[*block][]string
}

// file runs a file. Its output names events as the file itself selects, whatever includes it.
func (e *execution) file(s *script, included bool) error {
	timed := e.runner.names.timed
	defer func() { e.runner.names.timed = timed }()
	e.runner.names.timed = false
	for _, p := range s.pieces {
		switch {
		case p.block == nil:
		case p.block.included != nil:
			if err := e.file(p.block.included, true); err != nil {
				return err
			}
		default:
			if err := e.block(p.block, included); err != nil {
				return err
			}
		}
	}
	return nil
}

// block runs a block and compares its output. A block of an included file can omit the expected output. It then fails
// only if a line is rejected.
func (e *execution) block(b *block, included bool) error {
	output, err := e.runner.run(b)
	if err != nil {
		return err
	}
	var broken []string
	if e.replay {
		broken = e.runner.viewDifferences()
	}
	e.result.Blocks++
	switch {
	case b.isSilent() && len(e.runner.mismatches) > 0:
		e.fail(expectFailure(b, e.runner.mismatches))
	case b.isSilent(), included && !b.answered:
		if e.runner.refused || len(broken) > 0 {
			e.fail(b.failure(nil, append(output, broken...), true))
		}
	default:
		return e.compare(b, append(output, broken...), !included)
	}
	return nil
}

// compare compares the output of a block with the expected output.
func (e *execution) compare(b *block, output []string, correct bool) error {
	want, m := trimmed(b.want), &matcher{}
	got := compared(want, output)
	same := m.lines(want, got)
	if m.exhausted() {
		return b.script.fail(b.line, "write fewer lines between two lines with …",
			"the expected output of this block needs more than %d comparisons", maxComparisons)
	}
	if b.answered && same {
		e.output[b] = want
		return nil
	}
	f := b.failure(want, got, false)
	f.Corrected = correct
	e.fail(f)
	e.output[b] = merged(want, got)
	return nil
}

func (e *execution) fail(f Failure) { e.result.Failures = append(e.result.Failures, f) }

func (b *block) failure(want, got []string, expectation bool) Failure {
	return Failure{File: b.script.file, Line: b.line, Block: strings.TrimSpace(b.raw[0]), Want: want, Got: got,
		Expectation: expectation}
}

// trimmed returns lines without trailing blanks.
func trimmed(lines []string) []string {
	var result []string
	for _, text := range lines {
		result = append(result, strings.TrimRight(text, " \t"))
	}
	return result
}
