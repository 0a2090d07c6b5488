package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/droverhq/drover/bench/process"
)

// peerFigure is one line of the output of bench/swarmkit.
type peerFigure struct {
	Mode        string  `json:"mode"`
	Nodes       int     `json:"nodes"`
	Tasks       int     `json:"tasks"`
	CPUPerTask  float64 `json:"cpuPerTask"` // µs
	P50         float64 `json:"p50"`        // ms
	P99         float64 `json:"p99"`
	Written     int64   `json:"written"`     // bytes
	Memory      int64   `json:"memory"`      // bytes, resident
	MemoryBased int64   `json:"memoryBased"` // before the nodes became ready
}

func peerRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 1_000)
	cmd := exec.CommandContext(ctx, "go", "run", "-C", "bench/swarmkit", ".", "-nodes", fmt.Sprint(n))
	cmd.Stderr = os.Stderr
	begun := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run the peer: %w", err)
	}
	b, err := o.measureBurst(ctx, n, false)
	if err != nil {
		return nil, err
	}
	durable, _, err := decide(ctx, o.onDisk, n, 1)
	if err != nil {
		return nil, err
	}
	t := &table{head: []string{"program", "CPU per decision, µs", "relative to drover", "p50, ms", "p99, ms",
		"written, MB", "memory, MB"}}
	for line := range strings.Lines(string(out)) {
		var f peerFigure
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			return nil, fmt.Errorf("parse the peer's output %.80q: %w", line, err)
		}
		ours := durable
		if strings.Contains(f.Mode, "dispatcher") {
			ours = µs(b.onlineCPU+b.cpu, b.due)
		}
		t.add(fmt.Sprintf("swarmkit, %s, %d nodes", f.Mode, f.Nodes), fmt.Sprintf("%.0f", f.CPUPerTask),
			fmt.Sprintf("%.1f", f.CPUPerTask/ours), fmt.Sprintf("%.0f", f.P50), fmt.Sprintf("%.0f", f.P99),
			fmt.Sprintf("%.1f", float64(f.Written)/1e6), fmt.Sprintf("%.0f", float64(f.Memory)/1e6))
	}
	t.add("drover, engine only, durable", fmt.Sprintf("%.0f", durable), "1", "–", "–", "–", "–")
	t.add("drover, delivered to real agents", fmt.Sprintf("%.0f", µs(b.cpu, b.due)), "1",
		fmt.Sprintf("%.0f", ms(process.Quantile(b.delivered, .5))),
		fmt.Sprintf("%.0f", ms(process.Quantile(b.delivered, .99))), fmt.Sprintf("%.1f", float64(b.written)/1e6),
		fmt.Sprintf("%.0f", float64(b.memory.RSS)/1e6))
	t.add("drover, all connected, decided and delivered", fmt.Sprintf("%.0f", µs(b.onlineCPU+b.cpu, b.due)), "1", "–",
		"–", "–", "–")
	t.note("%d nodes become ready at the same time, and a global service is constrained to half of them. All figures are "+
		"from one run of %s. The dispatcher gets fewer nodes, because its work grows with their square. It is "+
		"called in its own process without gRPC and TLS. Its figure includes registering the nodes, so compare it "+
		"with drover's figure that includes connecting all agents.",
		n, time.Since(begun).Round(time.Second))
	return t, nil
}
