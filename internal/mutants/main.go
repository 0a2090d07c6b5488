package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// options are the flags of a run.
type options struct {
	packages string
	match    string
	limit    int
	seed     uint64
	workers  int
	wide     bool
	tests    string
	list     bool
	keep     string
}

func main() {
	var o options
	flag.StringVar(&o.packages, "packages", "projections,triggers,policies,rollout", "mutate these packages, separated by commas")
	flag.StringVar(&o.match, "match", "", "run only mutants whose line in the list matches this regular expression")
	flag.IntVar(&o.limit, "limit", 0, "run only this many mutants, selected by -seed; 0 runs all")
	flag.Uint64Var(&o.seed, "seed", 1, "select the mutants for -limit with this seed")
	flag.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "run the tests of this many mutants at the same time")
	flag.BoolVar(&o.wide, "wide", false, "also run the simulation, for the mutants that survive the other tests")
	flag.StringVar(&o.tests, "tests", "", "run only the tests of these packages, separated by commas; faster, but more mutants survive")
	flag.BoolVar(&o.list, "list", false, "list the mutants and exit")
	flag.StringVar(&o.keep, "keep", "", "write the overlay and the test programs to this folder and keep them")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run finds, builds and tests the mutants, and prints the report. It returns an error if a mutant survived that is not
// in accepted.txt.
func run(ctx context.Context, out io.Writer, o options) error {
	accepted, err := readAccepted(acceptedText)
	if err != nil {
		return err
	}
	source, err := load(ctx, ".", strings.Split(o.packages, ","))
	if err != nil {
		return err
	}
	if o.list {
		return list(out, source, o)
	}
	for _, name := range outdated(accepted, source.mutants()) {
		fmt.Fprintf(os.Stderr, "accepted.txt: the code no longer has this mutant: %s\n", name)
	}
	folder, remove, err := workFolder(o.keep)
	if err != nil {
		return err
	}
	defer remove()
	built, err := build(ctx, source, folder, suitesFor(o.wide, o.tests))
	if err != nil {
		return err
	}
	if err := built.measure(ctx); err != nil {
		return err
	}
	chosen, err := choose(source.mutants(), o)
	if err != nil {
		return err
	}
	began := time.Now()
	results := built.test(ctx, chosen, o.workers)
	return report(out, results, accepted, time.Since(began))
}

// choose returns the mutants that the flags select, in the order of the source.
func choose(all []*mutant, o options) ([]*mutant, error) {
	match, err := regexp.Compile(o.match)
	if err != nil {
		return nil, fmt.Errorf("invalid -match: %w", err)
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool { return !match.MatchString(m.String()) })
	if o.limit > 0 && o.limit < len(chosen) {
		dice := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // a repeatable selection, not a secret
		dice.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:o.limit]
		slices.SortFunc(chosen, func(a, b *mutant) int { return a.id - b.id })
	}
	return chosen, nil
}

func list(out io.Writer, source *source, o options) error {
	chosen, err := choose(source.mutants(), o)
	for _, m := range chosen {
		fmt.Fprintln(out, m)
	}
	return err
}

// workFolder creates the folder for the overlay and the test programs.
func workFolder(keep string) (folder string, remove func(), err error) {
	if keep == "" {
		folder, err = os.MkdirTemp("", "drover-mutants-")
		return folder, func() { os.RemoveAll(folder) }, err
	}
	folder, err = filepath.Abs(keep)
	if err == nil {
		err = os.MkdirAll(folder, 0o750)
	}
	return folder, func() {}, err
}
