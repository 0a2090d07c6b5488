package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"golang.org/x/term"

	"github.com/droverhq/drover/explain"
)

// The formats of -o; empty is a table on a terminal, and tabs in a pipe.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
	formatLines = "jsonl"
)

var formats = []string{formatTable, formatWide, formatJSON, formatYAML, formatName, formatLines}

func checkFormat(format string) error {
	if format == "" || slices.Contains(formats, format) {
		return nil
	}
	return usage("-o %s is no format; use %s", quoted(format), strings.Join(formats, ", "))
}

// structured says whether the output is for programs.
func (s *shell) structured() bool {
	return s.output == formatJSON || s.output == formatYAML || s.output == formatLines
}

// value writes one thing as JSON or YAML.
func (s *shell) value(v any) error {
	if s.output == formatLines {
		return s.line(v)
	}
	var text []byte
	var err error
	if s.output == formatYAML {
		text, err = toYAML(v)
	} else {
		text, err = json.MarshalIndent(v, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return s.print(strings.TrimSuffix(string(text), "\n") + "\n")
}

// line writes one thing as JSON in one line.
func (s *shell) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return s.print(string(text) + "\n")
}

// toYAML goes by way of JSON, so that both have the same keys in the same order.
func toYAML(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
}

// print writes to stdout. A reader that has gone, as after `| head`, is an error that ends the program.
func (s *shell) print(text string) error {
	if _, err := io.WriteString(s.Out, text); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// table draws a table for people. In a pipe its rows are separated by tabs and have no header.
func (s *shell) table(t explain.Table) error {
	columns := explain.Unlimited
	switch {
	case len(t.Rows) == 0:
		return nil
	case isTerminal(s.Out):
		columns = width(s.Out)
	case s.output == "":
		columns, t.Header = 0, nil
	}
	if err := t.Write(s.Out, columns); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}

// oneLine takes out of a text what would break its line or move the cursor.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// width is that of the terminal.
func width(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return explain.Unlimited
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil || columns < 1 {
		return explain.Unlimited
	}
	return columns
}
