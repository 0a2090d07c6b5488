package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// program is a set of test programs that contain all mutants.
type program struct {
	source *source
	folder string
	suites []*suite
	units  []*unit
}

// build compiles the mutated packages and the test programs.
func build(ctx context.Context, s *source, folder string, suites []suite) (*program, error) {
	p := &program{source: s, folder: folder}
	if err := p.compile(ctx); err != nil {
		return nil, err
	}
	for _, one := range suites {
		built := one
		built.program = filepath.Join(folder, strings.ReplaceAll(one.path, "/", "-")+".test")
		if out, err := p.run(ctx, "test", "-c", "-overlay", p.overlay(), "-o", built.program, "./"+one.path); err != nil {
			return nil, fmt.Errorf("build the tests of %s: %w\n%s", one.path, err, out)
		}
		p.suites = append(p.suites, &built)
	}
	return p, nil
}

func (p *program) overlay() string { return filepath.Join(p.folder, "overlay.json") }

// maxRounds bounds how often the packages are compiled until all invalid mutants are found.
const maxRounds = 50

// compile writes the overlay. It leaves out the mutants of each line that does not compile.
func (p *program) compile(ctx context.Context) error {
	for range maxRounds {
		if err := p.writeOverlay(); err != nil {
			return err
		}
		args := []string{"build", "-gcflags=-e", "-overlay", p.overlay()}
		for _, one := range p.source.packages {
			args = append(args, "./"+one.path)
		}
		out, err := p.run(ctx, args...)
		if err == nil {
			return nil
		}
		if p.source.invalidate(out) == 0 {
			return fmt.Errorf("build the mutants: %w\n%s", err, out)
		}
	}
	return fmt.Errorf("the mutants do not compile after %d rounds", maxRounds)
}

func (p *program) run(ctx context.Context, args ...string) (output string, err error) {
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // packages of this module
	command.Dir = p.source.root
	out, err := command.CombinedOutput()
	return string(out), err
}

// writeOverlay writes the mutated files, and the table by which the compiler finds them.
func (p *program) writeOverlay() error {
	replace := map[string]string{}
	write := func(real string, text []byte) error {
		replace[real] = filepath.Join(p.folder, fmt.Sprintf("%03d-%s", len(replace), filepath.Base(real)))
		return os.WriteFile(replace[real], text, 0o600)
	}
	for _, one := range p.source.packages {
		if err := write(filepath.Join(one.folder, switchesFile), switchesOf(one)); err != nil {
			return err
		}
		for _, f := range one.parsed {
			if err := write(f.path, f.edits.apply(f.text)); err != nil {
				return err
			}
		}
	}
	table, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(p.overlay(), table, 0o600)
}

// compileError matches a line of the compiler's output. The file can have the name of its mutated copy.
var compileError = regexp.MustCompile(`(?m)([^/\s]+\.go):(\d+):\d+: `)

// invalidate leaves out the mutants of the lines with errors, and returns how many.
func (s *source) invalidate(output string) (count int) {
	for _, match := range compileError.FindAllStringSubmatch(output, -1) {
		line, _ := strconv.Atoi(match[2])
		for _, m := range s.mutants() {
			if m.line == line && !m.invalid && strings.HasSuffix("-"+match[1], "-"+filepath.Base(m.file)) &&
				strings.Contains(output, m.file[:strings.Index(m.file, "/")]) {
				m.invalid = true
				count++
			}
		}
	}
	return count
}
