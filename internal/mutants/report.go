package main

import (
	"fmt"
	"io"
	"path"
	"slices"
	"time"
)

// counts are the numbers of one package.
type counts struct{ mutants, killed, accepted, survived, invalid int }

// report prints a table and the surviving mutants. It returns an error if one of them is not accepted.
func report(out io.Writer, results []result, accepted map[string]string, took time.Duration) error {
	rows, order, survivors := map[string]*counts{}, []string(nil), []result(nil)
	for _, r := range results {
		name := path.Dir(r.file)
		if rows[name] == nil {
			rows[name] = &counts{}
			order = append(order, name)
		}
		if rows[name].add(r, accepted[r.acceptedAs()] != "") {
			survivors = append(survivors, r)
		}
	}
	fmt.Fprintf(out, "| package | mutants | noticed | accepted | survived | do not compile |\n|---|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(slices.Values(order)) {
		n := rows[name]
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %d |\n", name, n.mutants, n.killed, n.accepted, n.survived, n.invalid)
	}
	fmt.Fprintf(out, "\n%s\n", took.Round(time.Second))
	for _, r := range survivors {
		fmt.Fprintf(out, "%s: %s\n", r.mutant, r.outcome())
	}
	if len(survivors) > 0 {
		return fmt.Errorf("%d mutants survived", len(survivors))
	}
	return nil
}

// add counts a result, and reports whether the mutant survived unexpectedly.
func (c *counts) add(r result, accepted bool) (unexpected bool) {
	if r.invalid {
		c.invalid++
		return false
	}
	c.mutants++
	switch {
	case r.killedBy != "":
		c.killed++
	case accepted:
		c.accepted++
	default:
		c.survived++
		return true
	}
	return false
}
