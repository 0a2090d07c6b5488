package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// result says which suite noticed a mutant; empty if none did.
type result struct {
	*mutant
	killedBy string
	reached  bool
	// timedOut is set if the suite was stopped because it took too long. On a busy machine, that may be a mistake.
	timedOut bool
}

// maxMemory bounds the memory of a test program, because a mutant can make a loop endless.
const maxMemory = 3 << 20 // KiB

// start runs a suite to its end, or until the timeout.
func (s *suite) start(ctx context.Context, root string, timeout time.Duration, env string, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	limited := fmt.Sprintf(`ulimit -d %d; exec "$@"`, maxMemory)
	args = slices.Concat([]string{"-c", limited, "sh", s.program, "-test.failfast", "-test.skip=" + s.skip}, s.args, args)
	command := exec.CommandContext(ctx, "sh", args...) //nolint:gosec // a test program that was built here
	command.Dir = filepath.Join(root, filepath.FromSlash(s.path))
	command.Env = append(os.Environ(), env)
	command.WaitDelay = time.Second
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err = command.Run()
	return out.String(), err
}

// test runs the tests for each mutant, several at the same time. The results have the order of the mutants.
func (p *program) test(ctx context.Context, mutants []*mutant, workers int) []result {
	results, next := make([]result, len(mutants)), make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				results[i] = p.try(ctx, mutants[i])
				fmt.Fprintf(os.Stderr, "%d/%d %s: %s\n", i+1, len(mutants), mutants[i], results[i].outcome())
			}
		})
	}
	for i, m := range mutants {
		if !m.invalid {
			next <- i
		}
		results[i].mutant = m
	}
	close(next)
	all.Wait()
	return results
}

// try runs the tests that reach a mutant, until one fails.
func (p *program) try(ctx context.Context, m *mutant) result {
	r := result{mutant: m}
	for _, b := range batches(p.units, m.id) {
		r.reached = true
		env := "DROVER_MUTANT=" + strconv.Itoa(m.id)
		patience, began := b.patience(), time.Now()
		if _, err := b.suite.start(ctx, p.source.root, patience, env, selection(b.units)...); err != nil {
			r.killedBy, r.timedOut = b.suite.path, time.Since(began) >= patience
			return r
		}
	}
	return r
}

// patience is how long a batch may take with a mutant.
func (b batch) patience() time.Duration { return 10*time.Second + 5*b.took() }

func (r result) outcome() string {
	switch {
	case r.timedOut:
		return "noticed by " + r.killedBy + ", which took too long"
	case r.killedBy != "":
		return "noticed by " + r.killedBy
	case !r.reached:
		return "survived, no test reaches it"
	}
	return "survived"
}
