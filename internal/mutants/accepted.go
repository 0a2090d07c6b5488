package main

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed accepted.txt
var acceptedText string

// readAccepted returns the reason of each accepted mutant, by its file and change.
func readAccepted(text string) (map[string]string, error) {
	accepted, last := map[string]string{}, ""
	for n, line := range strings.Split(text+"\nend", "\n") {
		reason, indented := strings.CutPrefix(line, "    ")
		_, known := accepted[line]
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case indented && last != "":
			accepted[last] = strings.TrimSpace(accepted[last] + " " + reason)
		case !indented && !known && (last == "" || accepted[last] != ""):
			last = line
			accepted[last] = ""
		default:
			return nil, fmt.Errorf("accepted.txt:%d: each mutant needs a reason and may be listed only once: %s", n+1, line)
		}
	}
	delete(accepted, "end")
	return accepted, nil
}

// acceptedAs returns how accepted.txt names the mutant: like the report, without the line number.
func (m *mutant) acceptedAs() string { return m.file + " " + m.what() }

// outdated returns the accepted mutants that the mutated packages no longer have.
func outdated(accepted map[string]string, mutants []*mutant) (gone []string) {
	known, packages := map[string]bool{}, map[string]bool{}
	for _, m := range mutants {
		known[m.acceptedAs()], packages[path.Dir(m.file)] = true, true
	}
	for name := range accepted {
		file, _, _ := strings.Cut(name, " ")
		if packages[path.Dir(file)] && !known[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}
