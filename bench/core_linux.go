package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/bench/process"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/eventlog/sqlite"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
)

// clock is a clock that a row sets.
type clock struct{ elapsed atomic.Int64 }

func (c *clock) Now() time.Time         { return time.Unix(1_800_000_000, 0).Add(c.Elapsed()).UTC() }
func (c *clock) Elapsed() time.Duration { return time.Duration(c.elapsed.Load()) }

// core is the engine without a transport.
type core struct {
	*engine.Engine
	log   eventlog.Backend
	clock *clock
	// snapshot is the engine's last snapshot. The engine stores one only when a row calls Snapshot.
	snapshot memorySnapshot
}

// memorySnapshot holds a snapshot in memory.
type memorySnapshot struct{ data []byte }

// Load returns the stored snapshot.
func (s *memorySnapshot) Load() ([]byte, error) { return s.data, nil }

// Store replaces the stored snapshot.
func (s *memorySnapshot) Store(data []byte) error {
	s.data = data
	return nil
}

// appendsAtOnce is the default of a server.
const appendsAtOnce = 16

// newCore returns an engine with a number of triggers, of which one matches machines with the role web.
func newCore(ctx context.Context, log eventlog.Backend, triggers int) (*core, error) {
	c := &core{log: log, clock: &clock{}}
	if err := c.fold(ctx, ids.New()); err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	all := []domain.Command{domain.ApplyEnvironment{Name: "production"}}
	for i := range triggers {
		all = append(all, triggerFor(i)...)
	}
	all = append(all, domain.CreateRelease{Project: "p-0", Version: "1.0"},
		domain.SetPin{Project: "p-0", Environment: "production", Release: "1.0"})
	for _, command := range all {
		if _, err := c.Handle(ctx, ids.New(), command); err != nil {
			return nil, err
		}
	}
	_, err := c.Tick(ctx)
	return c, err
}

// fold opens an engine that has folded the whole log.
func (c *core) fold(ctx context.Context, server domain.ID) (err error) {
	c.Engine, err = engine.Open(ctx, engine.Config{Log: c.log, Clock: c.clock, Server: server, Parallel: appendsAtOnce,
		Snapshots: &c.snapshot})
	return err
}

// triggersEach is how many triggers each project has.
const triggersEach = 10

// triggerFor returns the commands that create trigger i, and its project if it is the first one of the project.
// Only trigger 0 is for a role that machines have.
func triggerFor(i int) (all []domain.Command) {
	project, role := fmt.Sprintf("p-%d", i/triggersEach), "web"
	if i > 0 {
		role = fmt.Sprintf("role-%d", i)
	}
	if i%triggersEach == 0 {
		all = append(all, domain.ApplyProject{Name: project,
			Settings: domain.ProjectSettings{Roles: []string{role},
				Steps: []domain.Step{{Name: "install", Run: "true"}}}})
	}
	return append(all, domain.ApplyTrigger{Project: project, Name: fmt.Sprintf("t-%d", i),
		Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"},
			Roles: []string{role}}})
}

// writers is the number of concurrent writers that fill a log.
const writers = 64

// concurrently calls do for each number from..to in as many goroutines as there are writers. It returns the first
// error.
func concurrently(from, to int, do func(number int) error) error {
	var next atomic.Int64
	next.Store(int64(from))
	var all sync.WaitGroup
	failed := make(chan error, writers)
	for range writers {
		all.Go(func() {
			for number := int(next.Add(1)) - 1; number < to; number = int(next.Add(1)) - 1 {
				if err := do(number); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// arrive writes that machines from..to were added and came online. Every second one has the role web.
func (c *core) arrive(ctx context.Context, from, to int) error {
	return concurrently(from, to, func(number int) error { return c.arriveOne(ctx, number) })
}

func (c *core) arriveOne(ctx context.Context, number int) error {
	session := ids.New()
	return c.append(ctx, domain.MachineStream(machine(number)), eventlog.NoStream,
		domain.MachineAdded{Environment: "production", Roles: half[number%2 : number%2+1]},
		domain.MachineCameOnline{Server: c.Server(), Session: session, Instance: session})
}

// machine returns the name of a machine.
func machine(number int) string { return fmt.Sprintf("m-%06d", number) }

// append encodes facts and appends them to a stream, bypassing the engine.
func (c *core) append(ctx context.Context, stream string, expected eventlog.Revision, facts ...domain.Event) error {
	var events []eventlog.Event
	for _, fact := range facts {
		event, err := written(fact)
		if err != nil {
			return err
		}
		events = append(events, event)
	}
	_, err := c.log.Append(ctx, stream, expected, events...)
	return err
}

func written(fact domain.Event) (eventlog.Event, error) {
	name, data, err := domain.Encode(fact)
	return eventlog.Event{ID: uuid.New(), Type: name, Data: data, Time: time.Unix(1_800_000_000, 0).UTC()}, err
}

// tick measures the tick after n machines came online.
func (c *core) tick(ctx context.Context, n int) (cpu time.Duration, err error) {
	runtime.GC()
	before := process.CPU(os.Getpid())
	report, err := c.Tick(ctx)
	cpu = process.CPU(os.Getpid()) - before
	if err != nil {
		return 0, err
	}
	return cpu, queued(report, n/2)
}

// queued returns an error unless the given number of parts was queued.
func queued(report engine.Report, want int) error {
	parts := 0
	for _, w := range report.Appended {
		if q, ok := w.Event.(domain.DeploymentQueued); ok {
			parts += len(q.Machines)
		}
	}
	if parts != want {
		return fmt.Errorf("%d parts were queued, want %d", parts, want)
	}
	return nil
}

// carryOut claims and ends all parts, as agents do.
func (c *core) carryOut(ctx context.Context) error {
	var claims []domain.ClaimPart
	c.Read(func(v *projections.View) {
		for _, d := range v.Deployments {
			for name := range d.Parts {
				m := v.Machines[name]
				claims = append(claims, domain.ClaimPart{Deployment: d.ID, Machine: name, Session: m.Session,
					Instance: m.Instance})
			}
		}
	})
	for _, claim := range claims {
		if _, err := c.Handle(ctx, domain.ID{}, claim); err != nil {
			return err
		}
		end := domain.EndPart{Deployment: claim.Deployment, Machine: claim.Machine, Session: claim.Session,
			Instance: claim.Instance, State: domain.PartSucceeded}
		if _, err := c.Handle(ctx, domain.ID{}, end); err != nil {
			return err
		}
	}
	for range 3 {
		if _, err := c.Tick(ctx); err != nil {
			return err
		}
	}
	return nil
}

// onDisk creates a new log in a file.
func (o options) onDisk(ctx context.Context) (eventlog.Backend, error) {
	folder, err := os.MkdirTemp(o.folder, "log-")
	if err != nil {
		return nil, err
	}
	return logIn(ctx, folder)
}

// logIn opens the log in the data folder of a server.
func logIn(ctx context.Context, folder string) (eventlog.Backend, error) {
	return sqlite.Open(ctx, filepath.Join(folder, logFile), sqlite.Config{})
}

// logFile is the name of the log's file in the data folder.
const logFile = "drover.db"

func inMemory(context.Context) (eventlog.Backend, error) { return memory.New(), nil }

// decide returns the processor time per decision of one tick, in µs, and the bytes written.
func decide(ctx context.Context, open func(context.Context) (eventlog.Backend, error),
	machines, triggers int) (perDecision float64, bytes int64, err error) {
	log, err := open(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer log.Close()
	c, err := newCore(ctx, log, triggers)
	if err != nil {
		return 0, 0, err
	}
	if err := c.arrive(ctx, 0, machines); err != nil {
		return 0, 0, err
	}
	before := process.BytesWritten(os.Getpid())
	cpu, err := c.tick(ctx, machines)
	return µs(cpu, machines/2), process.BytesWritten(os.Getpid()) - before, err
}
