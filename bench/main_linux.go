package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/floor"
	"github.com/droverhq/drover/bench/process"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// options are what the command line says.
type options struct {
	short    bool
	machines int
	page     string
	binary   string
	folder   string
	length   time.Duration
	interval time.Duration
	tls      bool
}

// size is how many machines a row takes: what was asked for, else its whole or its short form.
func (o options) size(whole, short int) int {
	switch {
	case o.machines > 0:
		return o.machines
	case o.short:
		return short
	}
	return whole
}

// pick is one of two values, by the form that was asked for.
func pick[T any](o options, whole, short T) T {
	if o.short {
		return short
	}
	return whole
}

// row is one command.
type row struct {
	name, summary string
	measure       func(context.Context, options) (*table, error)
}

var rows = []row{
	{"decide", "processor time per decision, decided and durable, through the engine alone", decideRow},
	{"growth", "how that grows with machines and triggers", growthRow},
	{"burst", "10 000 machines come online at once: decision, delivery, claim and end", burstRow},
	{"lone", "one machine comes online among 10 000", loneRow},
	{"memory", "10 000 agents connected and deployed, plain and with TLS", memoryRow},
	{"idle", "10 000 agents that only say that they live; a tick in which nothing happened", idleRow},
	{"reconnect", "10 000 agents come back with TLS after a restart", reconnectRow},
	{"flaps", "all down and up ten times", flapsRow},
	{"appends", "durable appends beside raw writes", appendsRow},
	{"startup", "start from a log of 1 000 000 events", startupRow},
	{"million", "1 000 000 machines and 10 000 000 events, through the engine alone", millionRow},
	{"sizes", "1 000 and 10 000 connections, and as many as this machine lets one process have", sizesRow},
	{"servers", "30 000 agents of three servers that share a log in PostgreSQL", serversRow},
	{"restarts", "a server restart every minute under 10 000 agents", restartsRow},
	{"peer", "the same work by the orchestrator of Docker Swarm", peerRow},
}

// The words that make this binary another program: one of the floors, and a share of a fleet.
const (
	floorWord = "floor-server"
	doorWord  = "floor-door"
	shareWord = "fleet-share"
)

// manyFiles is what 30 000 connections take.
const manyFiles = 70_000

func main() {
	process.RaiseFiles(manyFiles)
	if other, err := another(os.Args[1:]); other {
		if err != nil {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// another runs the other program that this binary is asked to be, if it is.
func another(args []string) (other bool, err error) {
	switch {
	case len(args) == 2 && args[0] == floorWord:
		return true, floor.Serve(args[1], os.Stdin, os.Stdout)
	case len(args) == 2 && args[0] == doorWord:
		return true, floor.ServeDoor(os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == shareWord:
		return true, fleet.Serve(os.Stdin, os.Stdout)
	}
	return false, nil
}

func run(ctx context.Context) error {
	var o options
	flag.BoolVar(&o.short, "short", false, "the short form: fewer machines, less time")
	flag.IntVar(&o.machines, "machines", 0, "so many machines; 0: what the row asks for")
	flag.StringVar(&o.page, "page", "docs/performance/measurements.md", "write the tables into this page; empty: only print them, as -short does unless a page is named")
	flag.StringVar(&o.binary, "binary", "", "measure this drover; empty: build this checkout")
	flag.DurationVar(&o.interval, "interval", 0, "restarts: time between two restarts; 0: a minute, short 10 s")
	flag.DurationVar(&o.length, "length", 0, "restarts: how long; 0: twenty minutes, short 30 s")
	flag.BoolVar(&o.tls, "tls", false, "burst: with TLS")
	flag.Usage = usage
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err != nil {
		return err
	}
	if err := o.choosePage(); err != nil {
		return err
	}
	if o.folder, err = os.MkdirTemp("", "drover-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.folder)
	if o.binary == "" {
		if o.binary, err = process.Build(o.folder); err != nil {
			return err
		}
	}
	return measure(ctx, o, chosen)
}

// choosePage keeps the short form off the page that holds the whole one, and finds out before anything is measured that a page
// is not there.
func (o *options) choosePage() error {
	named := false
	flag.Visit(func(f *flag.Flag) { named = named || f.Name == "page" })
	if o.short && !named {
		o.page = ""
	}
	if o.page == "" {
		return nil
	}
	_, err := os.Stat(o.page)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(o.page)) // a new page is made
	}
	return err
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: go run ./bench [flags] all | ROW…")
	for _, r := range rows {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", r.name, r.summary)
	}
	flag.PrintDefaults()
}

func choose(names []string) (chosen []row, err error) {
	for _, name := range names {
		if name == "all" {
			return rows, nil
		}
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no row %q; `go run ./bench -h` lists them, and flags come before rows", name)
		}
		chosen = append(chosen, rows[i])
	}
	if len(chosen) == 0 {
		return nil, errors.New("name a row, or all; `go run ./bench -h` lists them")
	}
	return chosen, nil
}

// measure takes one row after another; one that cannot be taken keeps none of the others from it.
func measure(ctx context.Context, o options, chosen []row) error {
	var failed []error
	for _, r := range chosen {
		begun := time.Now()
		fmt.Fprintf(os.Stderr, "== %s: %s\n", r.name, r.summary)
		found, err := r.measure(ctx, o)
		if errors.Is(err, postgrestest.ErrMissing) && len(chosen) > 1 {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", r.name, err)
			continue
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", r.name, err))
			fmt.Fprintln(os.Stderr, "bench:", failed[len(failed)-1])
			continue
		}
		text := where(command(r.name)) + "\n\n" + found.markdown()
		fmt.Println(text)
		fmt.Fprintf(os.Stderr, "== %s took %s\n", r.name, time.Since(begun).Round(time.Second))
		if o.page != "" {
			failed = append(failed, enter(o.page, r.name, text))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// command is what repeats a row: the flags as they were, and the row.
func command(row string) string {
	words := []string{"go", "run", "./bench"}
	flag.Visit(func(f *flag.Flag) {
		switch {
		case f.Name == "page" || f.Name == "binary":
		case f.Value.String() == "true":
			words = append(words, "-"+f.Name)
		default:
			words = append(words, "-"+f.Name, f.Value.String())
		}
	})
	return strings.Join(append(words, row), " ")
}
