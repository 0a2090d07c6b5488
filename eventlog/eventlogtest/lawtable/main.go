package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := write(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// event is a line of the output of go test -json.
type event struct {
	Action string
	Test   string
}

// verdicts maps the result of a test to the text of a cell.
var verdicts = map[string]string{"pass": "holds", "fail": "**broken**", "skip": "does not apply"}

// table holds the results. Laws are in the order in which they ran.
type table struct {
	laws     []string
	backends []string
	cells    map[string]string // "BACKEND/LAW" to verdict
}

// write reads the output of go test -json from in and writes the table to out.
func write(out io.Writer, in io.Reader) error {
	found, err := read(in)
	if err != nil {
		return err
	}
	if len(found.laws) == 0 {
		return errors.New("no law was run; provide the output of go test -run '^TestBackend' -json")
	}
	slices.Sort(found.backends)
	row := func(cells []string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }
	row(append([]string{"law"}, found.backends...))
	fmt.Fprintf(out, "|%s\n", strings.Repeat("---|", len(found.backends)+1))
	var broken []string
	for _, law := range found.laws {
		cells := []string{law}
		for _, backend := range found.backends {
			cell := found.cells[backend+"/"+law]
			if cell == verdicts["fail"] {
				broken = append(broken, backend+": "+law)
			}
			cells = append(cells, cell)
		}
		row(cells)
	}
	if len(broken) > 0 {
		return fmt.Errorf("%d laws are broken, the first is %s", len(broken), broken[0])
	}
	return nil
}

func read(in io.Reader) (table, error) {
	found := table{cells: map[string]string{}}
	lines := json.NewDecoder(in)
	for {
		var line event
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return table{}, fmt.Errorf("read the output of go test -json: %w", err)
		}
		found.take(line)
	}
}

// take records the result of a law; it ignores all other lines.
func (t *table) take(line event) {
	names := strings.Split(strings.ReplaceAll(line.Test, "_", " "), "/")
	if len(names) != 3 || !strings.HasPrefix(names[0], "TestBackend") {
		return
	}
	backend, law := names[1], names[2]
	if !slices.Contains(t.laws, law) {
		t.laws = append(t.laws, law)
	}
	if !slices.Contains(t.backends, backend) {
		t.backends = append(t.backends, backend)
	}
	if verdict, ended := verdicts[line.Action]; ended {
		t.cells[backend+"/"+law] = verdict
	}
}
