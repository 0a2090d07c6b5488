package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// foldMemory adds the memory that the engine uses for each machine, and for each machine that was deleted. It runs
// the Go benchmarks of the engine, which define the measurement.
func (o options) foldMemory(ctx context.Context, t *table) error {
	sizes := pick(o, []string{"10000", "100000"}, []string{"10000"})
	found, err := goBenchmarks(ctx, "./engine", "^BenchmarkMemory$/^machines=("+strings.Join(sizes,
		"|")+")$/^triggers=1$",
		"^BenchmarkEphemeral$")
	if err != nil {
		return err
	}
	for _, size := range sizes {
		name := "BenchmarkMemory/machines=" + size + "/triggers=1 B/machine"
		if found[name] == 0 {
			return fmt.Errorf("the benchmarks of the engine did not report %s", name)
		}
		t.figure("engine only, "+size+" machines: live heap per machine, bytes", "%.0f", found[name], 0, foldBudget)
	}
	stays, ok := found["BenchmarkEphemeral B/join"]
	if !ok {
		return fmt.Errorf("the benchmarks of the engine did not report BenchmarkEphemeral B/join")
	}
	t.figure("… retained for each deleted ephemeral machine, bytes", "%.0f", stays, 0, 0)
	t.note("Engine only: BenchmarkMemory and BenchmarkEphemeral (`make gobench`). Half of its machines were deployed " +
		"to; " +
		"each ephemeral machine joined, was deployed to if it was due, and left.")
	return nil
}

// foldBudget is the budget for one machine in memory, in bytes.
const foldBudget = 2 << 10

// goBenchmarks runs benchmarks of a package once each. It returns their results by name and unit, such as
// "BenchmarkX/case B/op".
func goBenchmarks(ctx context.Context, folder string, patterns ...string) (map[string]float64, error) {
	found := map[string]float64{}
	for _, pattern := range patterns {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchtime", "1x", folder)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("run the benchmarks %s of %s: %w: %s", pattern, folder, err, out)
		}
		readBenchmarks(out, found)
	}
	return found, nil
}

// readBenchmarks parses lines such as "BenchmarkX/case-2  1  52 ns/op  7 B/machine". It drops the number of cores
// at the end of a name.
func readBenchmarks(text []byte, found map[string]float64) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		name := words[0]
		if cores := strings.LastIndexByte(name, '-'); cores > 0 {
			name = name[:cores]
		}
		for i := 2; i+1 < len(words); i += 2 {
			if value, err := strconv.ParseFloat(words[i], 64); err == nil {
				found[name+" "+words[i+1]] = value
			}
		}
	}
}
