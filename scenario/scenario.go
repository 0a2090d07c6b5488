package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Options configures Run. `drover test` uses the zero value.
type Options struct {
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
}

// String returns the position of the block and a line-by-line comparison of both outputs.
func (f Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: the output of %s differs from the expected output\n", f.File, f.Line, f.Block)
	for _, d := range difference(f.Want, f.Got) {
		b.WriteString("  " + d + "\n")
	}
	return b.String()
}

// Run runs a file with its own servers, agents and clock. It returns an *Error if the file cannot be run; Text is then
// the unchanged file.
func Run(ctx context.Context, name, text string, options Options) (Result, error) {
	s, err := parse(name, text)
	if err != nil {
		return Result{Text: text}, err
	}
	r, err := newRunner(ctx, s)
	if err != nil {
		return Result{Text: text}, err
	}
	result, got := Result{}, map[*block][]string{}
	for _, p := range s.pieces {
		if p.block == nil {
			continue
		}
		output, err := r.run(p.block)
		if err != nil {
			return Result{Text: text}, err
		}
		if options.Replay {
			output = append(output, r.viewDifferences()...)
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

// trimmed returns lines without trailing blanks.
func trimmed(lines []string) []string {
	var result []string
	for _, text := range lines {
		result = append(result, strings.TrimRight(text, " \t"))
	}
	return result
}

// difference compares two outputs: - marks expected lines, + marks actual lines. Equal lines at the beginning and at
// the end are not marked.
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
