package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Options say how a file is run; the zero value is how `drover test` runs it.
type Options struct {
	// Replay folds the log afresh after each block and compares: any difference is a failure of that block.
	Replay bool
}

// Result is what running a file came to.
type Result struct {
	// Text is the file with the output that each block gave.
	Text string
	// Failures are the blocks that gave something else than the file expects.
	Failures []Failure
	// Blocks counts those that ran.
	Blocks int
}

// Failure is a block that gave something else than expected.
type Failure struct {
	File  string
	Line  int // of the block
	Block string
	Want  []string
	Got   []string
}

// String names the place and shows both, line by line.
func (f Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s gave something else than the file expects\n", f.File, f.Line, f.Block)
	for _, d := range difference(f.Want, f.Got) {
		b.WriteString("  " + d + "\n")
	}
	return b.String()
}

// Run runs a file on servers, agents and a clock of its own. The error is an *Error if the file cannot be
// run, and says where; Text is then as it was.
func Run(ctx context.Context, name, text string, options Options) (Result, error) {
	s, err := parse(name, text)
	if err != nil {
		return Result{Text: text}, err
	}
	stage, err := newStage(ctx, s)
	if err != nil {
		return Result{Text: text}, err
	}
	result, got := Result{}, map[*block][]string{}
	for _, p := range s.pieces {
		if p.block == nil {
			continue
		}
		output, err := stage.run(p.block)
		if err != nil {
			return Result{Text: text}, err
		}
		if options.Replay {
			output = append(output, stage.strayed()...)
		}
		result.Blocks++
		got[p.block] = output
		if want := trimmed(p.block.want); !p.block.answered || !slices.Equal(want, output) {
			result.Failures = append(result.Failures, Failure{File: name, Line: p.block.line,
				Block: strings.TrimSpace(p.block.raw[0]), Want: want, Got: output})
		}
	}
	result.Text = s.render(got)
	return result, nil
}

// trimmed is lines without blanks at their ends.
func trimmed(lines []string) []string {
	var kept []string
	for _, text := range lines {
		kept = append(kept, strings.TrimRight(text, " \t"))
	}
	return kept
}

// difference lists both sides with marks: - was expected, + was given. Lines that are alike at the
// beginning and end stand unmarked.
func difference(want, got []string) []string {
	var out []string
	first := 0
	for first < len(want) && first < len(got) && want[first] == got[first] {
		out = append(out, "  "+want[first])
		first++
	}
	last := 0
	for last < len(want)-first && last < len(got)-first && want[len(want)-1-last] == got[len(got)-1-last] {
		last++
	}
	for _, text := range want[first : len(want)-last] {
		out = append(out, "- "+text)
	}
	for _, text := range got[first : len(got)-last] {
		out = append(out, "+ "+text)
	}
	for _, text := range got[len(got)-last:] {
		out = append(out, "  "+text)
	}
	return out
}
