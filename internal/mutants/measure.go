package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// measure runs each test without a mutant. It records how long that takes and which mutants it reaches.
func (p *program) measure(ctx context.Context) error {
	for _, s := range p.suites {
		units, err := p.unitsOf(ctx, s)
		if err != nil {
			return err
		}
		reached := map[int]bool{}
		for _, u := range units {
			if err := p.measureUnit(ctx, u); err != nil {
				return err
			}
			for id := range u.reaches {
				reached[id] = true
			}
		}
		p.units = append(p.units, units...)
		fmt.Fprintf(os.Stderr, "%s: %d tests reach %d mutants\n", s.path, len(units), len(reached))
	}
	return nil
}

// passed matches the line of a passed test in verbose output.
var passed = regexp.MustCompile(`(?m)^ *--- PASS: (\S+) \(([0-9.]+s)\)$`)

// minTook is the least time that a unit counts for.
const minTook = time.Millisecond

// unitsOf runs a suite once and returns its tests.
func (p *program) unitsOf(ctx context.Context, s *suite) (units []*unit, err error) {
	if s.wide {
		return []*unit{{suite: s, name: ""}}, nil
	}
	began := time.Now()
	out, err := s.start(ctx, p.source.root, time.Hour, "", "-test.v", "-test.run=.")
	if err != nil {
		return nil, fmt.Errorf("the tests of %s fail without a mutant: %w\n%s", s.path, err, out)
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", s.path, time.Since(began).Round(time.Millisecond))
	for _, test := range passed.FindAllStringSubmatch(out, -1) {
		parent, sub, nested := strings.Cut(test[1], "/")
		if nested && parent == s.divide && !strings.Contains(sub, "/") || !nested && parent != s.divide {
			units = append(units, &unit{suite: s, name: test[1]})
		}
	}
	return units, nil
}

// measureUnit runs one unit.
func (p *program) measureUnit(ctx context.Context, u *unit) error {
	reach := filepath.Join(p.folder, "reach.txt")
	os.Remove(reach)
	began, args := time.Now(), append(selection([]*unit{u}), "-test.v")
	out, err := u.suite.start(ctx, p.source.root, time.Hour, "DROVER_MUTANT_REACH="+reach, args...)
	if err != nil {
		return fmt.Errorf("%s in %s fails without a mutant: %w\n%s", u.name, u.suite.path, err, out)
	}
	u.took, u.reaches = took(out, u.name, time.Since(began)), map[int]bool{}
	text, err := os.ReadFile(reach)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if id, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			u.reaches[id] = true
		}
	}
	return nil
}

// took returns the time of a test without that of its process, as the verbose output says. A whole suite takes all of it.
func took(output, test string, all time.Duration) time.Duration {
	for _, line := range passed.FindAllStringSubmatch(output, -1) {
		if alone, err := time.ParseDuration(line[2]); line[1] == test && err == nil {
			return max(alone, minTook)
		}
	}
	return all
}

// selection returns the arguments that run only these units.
func selection(units []*unit) []string {
	if units[0].suite.wide {
		return nil
	}
	return []string{"-test.run=" + pattern(units)}
}
