package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// The formats of -o. Without -o, a list is a table on a terminal, and has tab-separated cells in a pipe.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
	formatLines = "jsonl"
)

var formats = []string{formatTable, formatWide, formatJSON, formatYAML, formatName, formatLines}

func checkFormat(format, from string) error {
	if format == "" || slices.Contains(formats, format) {
		return nil
	}
	wrong := from + " invalid value"
	if from == "-o" {
		wrong = "invalid -o"
	}
	return usage("%s %s: use %s", wrong, quoted(format), domain.Enumerate(formats, "or"))
}

// structured reports whether the output is for programs.
func (a *app) structured() bool {
	return a.output == formatJSON || a.output == formatYAML || a.output == formatLines
}

// value writes a value as JSON or YAML.
func (a *app) value(v any) error {
	if a.output == formatLines {
		return a.line(v)
	}
	var text []byte
	var err error
	if a.output == formatYAML {
		text, err = toYAML(v)
	} else {
		text, err = json.MarshalIndent(v, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return a.print(strings.TrimSuffix(string(text), "\n") + "\n")
}

// line writes a value as JSON on one line.
func (a *app) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return a.print(string(text) + "\n")
}

// document writes a value as one of several YAML documents.
func (a *app) document(value any) error {
	text, err := toYAML(value)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return a.print("---\n" + strings.TrimSuffix(string(text), "\n") + "\n")
}

// toYAML converts a value by way of JSON, so that both have the same keys in the same order.
func toYAML(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
}

// print writes to stdout, escaped if it is a terminal. A closed pipe, as after `| head`, is an error that ends the
// program.
func (a *app) print(text string) error {
	if isTerminal(a.Out) {
		text = explain.Text(text)
	}
	return a.printRaw(text)
}

// printRaw writes text to stdout that is already escaped.
func (a *app) printRaw(text string) error {
	if _, err := io.WriteString(a.Out, text); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}
