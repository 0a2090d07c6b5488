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

	"github.com/droverhq/drover/bench/baseline"
	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// options holds the values of the flags.
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

// size returns the number of machines for a row: the -machines flag if it is set, otherwise the default of the full
// or the short form.
func (o options) size(whole, short int) int {
	switch {
	case o.machines > 0:
		return o.machines
	case o.short:
		return short
	}
	return whole
}

// pick returns the value for the full or the short form.
func pick[T any](o options, whole, short T) T {
	if o.short {
		return short
	}
	return whole
}

// row is one measurement, with one table in the page.
type row struct {
	name, summary string
	measure       func(context.Context, options) (*table, error)
}

var rows = []row{
	{"decide", "processor time per decision until it is durable, engine only", decideRow},
	{"growth", "how processor time per decision grows with machines and triggers", growthRow},
	{"burst", "10 000 machines come online at the same time: decide, deliver, claim and end", burstRow},
	{"lone", "one machine comes online among 10 000", loneRow},
	{"memory", "10 000 agents connected and deployed, plain and with TLS", memoryRow},
	{"idle", "10 000 agents that only send heartbeats; a tick without events", idleRow},
	{"reconnect", "10 000 agents reconnect with TLS after a restart", reconnectRow},
	{"flaps", "all agents disconnect and reconnect ten times", flapsRow},
	{"appends", "durable appends compared with raw writes", appendsRow},
	{"startup", "start from a log of 1 000 000 events", startupRow},
	{"million", "1 000 000 machines and 10 000 000 events, engine only", millionRow},
	{"sizes", "1 000 and 10 000 connections, and the maximum of one process on this machine", sizesRow},
	{"servers", "30 000 agents of three servers that share a log in PostgreSQL", serversRow},
	{"restarts", "a server restart every minute under 10 000 agents", restartsRow},
	{"attack", "one agent attacks a server while other machines are deployed to", attackRow},
	{"peer", "the same work done by the orchestrator of Docker Swarm", peerRow},
}

// First arguments that make this binary run another program: one of the baseline servers, a share of a fleet, or an attacker.
const (
	baselineWord  = "baseline-server"
	websocketWord = "websocket-server"
	shareWord     = "fleet-share"
	attackWord    = "fleet-attack"
)

// manyFiles is the number of open files that 30 000 connections require.
const manyFiles = 70_000

func main() {
	process.RaiseFileLimit(manyFiles)
	if other, err := subprogram(os.Args[1:]); other {
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

// subprogram runs the program that the first argument selects, if any.
func subprogram(args []string) (other bool, err error) {
	switch {
	case len(args) == 2 && args[0] == baselineWord:
		return true, baseline.Serve(args[1], os.Stdin, os.Stdout)
	case len(args) == 2 && args[0] == websocketWord:
		return true, baseline.ServeWebSocket(os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == shareWord:
		return true, fleet.Serve(os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == attackWord:
		return true, serveAttack(os.Stdin, os.Stdout)
	}
	return false, nil
}

func run(ctx context.Context) error {
	var o options
	flag.BoolVar(&o.short, "short", false, "run the short form: fewer machines, less time")
	flag.IntVar(&o.machines, "machines", 0, "number of machines (0: the default of the row)")
	flag.StringVar(&o.page, "page", "docs/performance/measurements.md",
		"file to write the tables into (empty: only print them, the default with -short)")
	flag.StringVar(&o.binary, "binary", "", "drover binary to measure (empty: build this checkout)")
	flag.DurationVar(&o.interval, "interval", 0, "restarts: time between two restarts (0: 1m, with -short 10s)")
	flag.DurationVar(&o.length, "length", 0, "restarts: total time (0: 20m, with -short 30s)")
	flag.BoolVar(&o.tls, "tls", false, "burst: use TLS")
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

// choosePage keeps results of the short form off the page with the full results. It also reports a missing folder
// before the first measurement.
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
		_, err = os.Stat(filepath.Dir(o.page)) // enter creates a new page
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
			return nil, fmt.Errorf("unknown row %q: `go run ./bench -h` lists the rows; flags must precede rows", name)
		}
		chosen = append(chosen, rows[i])
	}
	if len(chosen) == 0 {
		return nil, errors.New("no row given: name a row or all; `go run ./bench -h` lists the rows")
	}
	return chosen, nil
}

// measure runs the chosen rows one after another. A row that fails does not stop the others.
func measure(ctx context.Context, o options, chosen []row) error {
	var failed []error
	for _, r := range chosen {
		begun := time.Now()
		fmt.Fprintf(os.Stderr, "== %s: %s\n", r.name, r.summary)
		found, err := r.measure(ctx, o)
		if errors.Is(err, postgrestest.ErrMissing) && len(chosen) > 1 {
			fmt.Fprintf(os.Stderr, "bench: skip %s: %v\n", r.name, err)
			continue
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", r.name, err))
			fmt.Fprintln(os.Stderr, "bench:", failed[len(failed)-1])
			continue
		}
		text := describeRun(command(r.name)) + "\n\n" + found.markdown()
		fmt.Println(text)
		fmt.Fprintf(os.Stderr, "== %s took %s\n", r.name, time.Since(begun).Round(time.Second))
		if o.page != "" {
			failed = append(failed, writeResult(o.page, r.name, text))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// command returns the command line that repeats a row with the same flags.
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
