package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/bench/baseline"
	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
)

// burst is the result of one burst.
type burst struct {
	machines, due       int
	joined              time.Duration // until all machines have joined, from the first connection
	online, onlineCPU   time.Duration // until all machines are online again
	delivered           []time.Duration
	cpu                 time.Duration // from the start of the tick until the last offer arrived
	written             int64         // bytes written to disk in that time
	carried, carriedCPU time.Duration // until all parts are claimed and ended
	events, bytes       int           // of claims and ends
	appends             int           // appends with decisions
	memory              process.Memory
}

func µs(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// measureBurst makes machines join, leave, and come online again within one tick, after which half of them are due.
func (o options) measureBurst(ctx context.Context, n int, secure bool) (b burst, err error) {
	b = burst{machines: n, due: n / 2}
	// All machines must connect within one tick. The required time was measured with a smaller burst.
	tick := max(6*time.Second, time.Duration(n)*3*time.Millisecond).Truncate(time.Second)
	s, err := o.open(setup{machines: n, tick: tick, tls: secure, roles: half, heartbeat: defaultHeartbeat})
	if err != nil {
		return b, err
	}
	defer s.close()
	begun := time.Now()
	if err := s.join(ctx); err != nil {
		return b, err
	}
	b.joined = time.Since(begun)
	s.Goodbye()
	if err := s.pinRelease(); err != nil {
		return b, err
	}
	s.SetAutoClaim(false)
	if err := s.afterTick(); err != nil {
		return b, err
	}
	if err := b.comeOnline(ctx, s); err != nil {
		return b, err
	}
	return b, b.carryOut(s)
}

// comeOnline brings all machines online and waits for the offers of the next tick.
func (b *burst) comeOnline(ctx context.Context, s *fixture) error {
	position, err := s.position()
	if err != nil {
		return err
	}
	record := process.RecordCPU(s.PID())
	begun := time.Now()
	if err := s.join(ctx); err != nil {
		return err
	}
	online := time.Now()
	if s.Offers() > 0 {
		return fmt.Errorf("a tick began after %[2]s, before all %[1]d machines were online", b.machines,
			online.Sub(begun))
	}
	written := process.BytesWritten(s.PID())
	if err := fleet.Until(timeout, func() bool { return s.Offers() >= b.due }); err != nil {
		return fmt.Errorf("%d of %d offers arrived: %w; %s", s.Offers(), b.due, err, s.Errors())
	}
	record.End()
	b.written = process.BytesWritten(s.PID()) - written
	offered := s.Offered(begun)
	ticked, err := s.tickOf(offered[0])
	if err != nil {
		return err
	}
	b.online, b.onlineCPU = online.Sub(begun), record.Between(begun, online)
	b.cpu = record.Between(ticked, offered[len(offered)-1])
	for _, at := range offered {
		b.delivered = append(b.delivered, at.Sub(ticked))
	}
	byType, _, err := s.written(position)
	b.appends = byType["DeploymentQueued"]
	return err
}

// carryOut claims and ends all parts.
func (b *burst) carryOut(s *fixture) error {
	position, err := s.position()
	if err != nil {
		return err
	}
	before, begun := process.CPU(s.PID()), time.Now()
	s.SetAutoClaim(true)
	s.ClaimAll()
	if err := s.awaitEnds(b.due); err != nil {
		return err
	}
	b.carried, b.carriedCPU = time.Since(begun), process.CPU(s.PID())-before
	b.memory = process.MemoryOf(s.PID())
	byType, bytes, err := s.written(position)
	for _, count := range byType {
		b.events += count
	}
	b.bytes = bytes
	return err
}

// baselineBurst does the same work with the baseline server.
func (o options) baselineBurst(n int) (baseline.Pass, []time.Duration, error) {
	folder, err := os.MkdirTemp(o.folder, "baseline-")
	if err != nil {
		return baseline.Pass{}, nil, err
	}
	f, err := baseline.Start(baselineWord, folder, nil)
	if err != nil {
		return baseline.Pass{}, nil, err
	}
	defer f.Stop()
	if err := f.Connect(0, n, atOnce); err != nil {
		return baseline.Pass{}, nil, err
	}
	return f.Pass(n / 2)
}

func burstRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	b, err := o.measureBurst(ctx, n, o.tls)
	if err != nil {
		return nil, err
	}
	pass, arrived, err := o.baselineBurst(n)
	if err != nil {
		return nil, err
	}
	t := comparedWith("baseline")
	t.figure("CPU per decision, including delivery, µs", "%.0f", µs(b.cpu, b.due), µs(pass.Sent, pass.Decisions), 100)
	t.figure("offer delivered after the tick began, p50, ms", "%.0f", ms(process.Quantile(b.delivered, .5)),
		ms(process.Quantile(arrived, .5)), 0)
	t.figure("… p99, ms", "%.0f", ms(process.Quantile(b.delivered, .99)), ms(process.Quantile(arrived, .99)), 500)
	t.figure("bytes written, MB", "%.2f", float64(b.written)/1e6, float64(pass.Bytes)/1e6, 8)
	t.figure("appends with decisions", "%.0f", float64(b.appends), 1, 0)
	t.figure("CPU per machine that came online, µs", "%.0f", µs(b.onlineCPU, n), 0, 0)
	t.figure("… total time, s", "%.1f", b.online.Seconds(), 0, 0)
	t.figure("CPU per part claimed and ended, µs", "%.0f", µs(b.carriedCPU, b.due), 0, 0)
	t.figure("… total time, s", "%.1f", b.carried.Seconds(), 0, 0)
	t.figure("events per part claimed and ended", "%.2f", float64(b.events)/float64(b.due), 0, 0)
	t.figure("… bytes of event data", "%.0f", float64(b.bytes)/float64(b.due), 0, 0)
	t.note("%d registered machines came online within one tick over real connections%s; half of them match the "+
		"trigger. The agents and the measurement share the cores with the server. Before that, %.0f machines per "+
		"second joined with a token.",
		n, map[bool]string{true: " with TLS"}[o.tls], float64(n)/b.joined.Seconds())
	return t, nil
}

func sizesRow(ctx context.Context, o options) (*table, error) {
	t := &table{head: []string{"machines", "CPU per decision including delivery, µs", "p50, ms", "p99, ms",
		"CPU per machine that came online, µs", "CPU per part claimed and ended, µs", "RSS, MB", "written, MB"}}
	may := int(process.RaiseFileLimit(manyFiles)) - sparedFiles
	most := min(30_000, may)
	for _, n := range pick(o, []int{1_000, 10_000, most}, []int{500}) {
		b, err := o.measureBurst(ctx, n, false)
		if err != nil {
			return nil, fmt.Errorf("%d machines: %w", n, err)
		}
		t.add(fmt.Sprint(n), fmt.Sprintf("%.0f", µs(b.cpu, b.due)),
			fmt.Sprintf("%.0f", ms(process.Quantile(b.delivered, .5))),
			fmt.Sprintf("%.0f", ms(process.Quantile(b.delivered, .99))), fmt.Sprintf("%.0f", µs(b.onlineCPU, n)),
			fmt.Sprintf("%.0f", µs(b.carriedCPU, b.due)),
			fmt.Sprintf("%.0f", float64(b.memory.RSS)/1e6), fmt.Sprintf("%.2f", float64(b.written)/1e6))
	}
	if most < 30_000 {
		t.note("30 000 connections need a limit of more than 30 000 open files; this machine grants a process only "+
			"%d. The row `servers` measures them on several servers.", may+sparedFiles)
	}
	return t, nil
}
