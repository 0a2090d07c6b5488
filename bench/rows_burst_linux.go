package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/floor"
	"github.com/droverhq/drover/bench/process"
)

// burst is what one burst came to.
type burst struct {
	machines, due       int
	joined              time.Duration // all machines, from the first connection
	online, onlineCPU   time.Duration // all again, known by now
	delivered           []time.Duration
	cpu                 time.Duration // from the tick's start until the last order had arrived
	written             int64         // to disks, in that time
	carried, carriedCPU time.Duration // claims and ends of all parts
	events, bytes       int           // of the parts' lives, less the decisions
	appends             int           // of the decisions
	memory              process.Memory
}

func µs(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// measureBurst lets machines join, leave, and come online again all within one tick, after which half of them are due.
func (o options) measureBurst(ctx context.Context, n int, secure bool) (b burst, err error) {
	b = burst{machines: n, due: n / 2}
	// A tick must be long enough for all to connect in; how long that takes is known from a smaller burst.
	tick := max(6*time.Second, time.Duration(n)*3*time.Millisecond).Truncate(time.Second)
	s, err := o.open(setting{machines: n, tick: tick, tls: secure, roles: half, heartbeat: defaultHeartbeat})
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
	if err := s.want(); err != nil {
		return b, err
	}
	s.Claims(false)
	if err := s.afterTick(); err != nil {
		return b, err
	}
	if err := b.comeOnline(ctx, s); err != nil {
		return b, err
	}
	return b, b.carryOut(s)
}

// comeOnline brings all online and waits for the orders of the next tick.
func (b *burst) comeOnline(ctx context.Context, s *stage) error {
	position, err := s.position()
	if err != nil {
		return err
	}
	record := process.Begin(s.PID())
	begun := time.Now()
	if err := s.join(ctx); err != nil {
		return err
	}
	online := time.Now()
	if s.Offers() > 0 {
		return fmt.Errorf("a tick came before all %d machines were online, after %s", b.machines, online.Sub(begun))
	}
	written := process.Written(s.PID())
	if err := fleet.Until(patience, func() bool { return s.Offers() >= b.due }); err != nil {
		return fmt.Errorf("%d of %d orders came: %w; %s", s.Offers(), b.due, err, s.Faults())
	}
	record.End()
	b.written = process.Written(s.PID()) - written
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
func (b *burst) carryOut(s *stage) error {
	position, err := s.position()
	if err != nil {
		return err
	}
	before, begun := process.CPU(s.PID()), time.Now()
	s.Claims(true)
	s.ClaimAll()
	if err := s.settled(b.due); err != nil {
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

// floorBurst is the same work by the floor.
func (o options) floorBurst(n int) (floor.Pass, []time.Duration, error) {
	folder, err := os.MkdirTemp(o.folder, "floor-")
	if err != nil {
		return floor.Pass{}, nil, err
	}
	f, err := floor.Start(floorWord, folder, nil)
	if err != nil {
		return floor.Pass{}, nil, err
	}
	defer f.Stop()
	if err := f.Connect(0, n, atOnce); err != nil {
		return floor.Pass{}, nil, err
	}
	return f.Pass(n / 2)
}

func burstRow(ctx context.Context, o options) (*table, error) {
	n := o.size(10_000, 2_000)
	b, err := o.measureBurst(ctx, n, o.tls)
	if err != nil {
		return nil, err
	}
	pass, arrived, err := o.floorBurst(n)
	if err != nil {
		return nil, err
	}
	t := against("floor")
	t.figure("CPU per decision, with delivery, µs", "%.0f", µs(b.cpu, b.due), µs(pass.Sent, pass.Decisions), 100)
	t.figure("order delivered after the tick began, p50, ms", "%.0f", ms(process.Quantile(b.delivered, .5)), ms(process.Quantile(arrived, .5)), 0)
	t.figure("… p99, ms", "%.0f", ms(process.Quantile(b.delivered, .99)), ms(process.Quantile(arrived, .99)), 500)
	t.figure("bytes written for it, MB", "%.2f", float64(b.written)/1e6, float64(pass.Bytes)/1e6, 8)
	t.figure("appends of decisions", "%.0f", float64(b.appends), 1, 0)
	t.figure("CPU per machine that came online, µs", "%.0f", µs(b.onlineCPU, n), 0, 0)
	t.figure("… all of them took, s", "%.1f", b.online.Seconds(), 0, 0)
	t.figure("CPU per part claimed and ended, µs", "%.0f", µs(b.carriedCPU, b.due), 0, 0)
	t.figure("… all of them took, s", "%.1f", b.carried.Seconds(), 0, 0)
	t.figure("events per part claimed and ended", "%.2f", float64(b.events)/float64(b.due), 0, 0)
	t.figure("… bytes of data in the log", "%.0f", float64(b.bytes)/float64(b.due), 0, 0)
	t.note("%d machines, known before, came online within one tick over real connections%s; half of them match the trigger. The agents and what measures share the cores "+
		"with the server. First they had joined with a token, %.0f a second.", n, map[bool]string{true: " with TLS"}[o.tls], float64(n)/b.joined.Seconds())
	return t, nil
}

func sizesRow(ctx context.Context, o options) (*table, error) {
	t := &table{head: []string{"machines", "CPU per decision with delivery, µs", "p50, ms", "p99, ms", "CPU per online, µs", "CPU per part claimed and ended, µs", "RSS, MB", "written, MB"}}
	may := int(process.RaiseFiles(manyFiles)) - sparedFiles
	most := min(30_000, may)
	for _, n := range pick(o, []int{1_000, 10_000, most}, []int{500}) {
		b, err := o.measureBurst(ctx, n, false)
		if err != nil {
			return nil, fmt.Errorf("%d machines: %w", n, err)
		}
		t.add(fmt.Sprint(n), fmt.Sprintf("%.0f", µs(b.cpu, b.due)), fmt.Sprintf("%.0f", ms(process.Quantile(b.delivered, .5))),
			fmt.Sprintf("%.0f", ms(process.Quantile(b.delivered, .99))), fmt.Sprintf("%.0f", µs(b.onlineCPU, n)), fmt.Sprintf("%.0f", µs(b.carriedCPU, b.due)),
			fmt.Sprintf("%.0f", float64(b.memory.RSS)/1e6), fmt.Sprintf("%.2f", float64(b.written)/1e6))
	}
	if most < 30_000 {
		t.note("30 000 connections take a limit of 30 000 open files for one process; this machine grants %d and refuses more. The row `servers` has them on several servers.", may+sparedFiles)
	}
	return t, nil
}
