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

// clock is one that the row moves.
type clock struct{ elapsed atomic.Int64 }

func (c *clock) Now() time.Time         { return time.Unix(1_800_000_000, 0).Add(c.Elapsed()).UTC() }
func (c *clock) Elapsed() time.Duration { return time.Duration(c.elapsed.Load()) }

// core is the engine alone, without a door.
type core struct {
	*engine.Engine
	log   eventlog.Backend
	clock *clock
	// snapshot is what the engine stored last; none is stored unless a row asks for it.
	snapshot inHand
}

// inHand is a snapshot in memory.
type inHand struct{ data []byte }

// Load is what was stored.
func (s *inHand) Load() ([]byte, error) { return s.data, nil }

// Store keeps data.
func (s *inHand) Store(data []byte) error {
	s.data = data
	return nil
}

// appendsAtOnce is that of a server.
const appendsAtOnce = 16

// newCore is an engine with a shop and so many triggers, of which one matches machines with the role web.
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
	all = append(all, domain.CreateRelease{Project: "p-0", Version: "1.0"}, domain.SetPin{Project: "p-0", Environment: "production", Release: "1.0"})
	for _, command := range all {
		if _, err := c.Handle(ctx, ids.New(), command); err != nil {
			return nil, err
		}
	}
	_, err := c.Tick(ctx)
	return c, err
}

// fold gives the core an engine that has folded the whole log.
func (c *core) fold(ctx context.Context, server domain.ID) (err error) {
	c.Engine, err = engine.Open(ctx, engine.Config{Log: c.log, Clock: c.clock, Server: server, Parallel: appendsAtOnce, Snapshots: &c.snapshot})
	return err
}

// triggersEach is how many triggers a project has where there are many.
const triggersEach = 10

// triggerFor makes one trigger, and its project before the first of that. All but the first are for roles that no
// machine has.
func triggerFor(i int) (all []domain.Command) {
	project, role := fmt.Sprintf("p-%d", i/triggersEach), "web"
	if i > 0 {
		role = fmt.Sprintf("role-%d", i)
	}
	if i%triggersEach == 0 {
		all = append(all, domain.ApplyProject{Name: project, Settings: domain.ProjectSettings{Roles: []string{role}, Steps: []domain.Step{{Name: "install", Run: "true"}}}})
	}
	return append(all, domain.ApplyTrigger{Project: project, Name: fmt.Sprintf("t-%d", i), Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}, Roles: []string{role}}})
}

// writers is how many append at the same time where a log is filled.
const writers = 64

// sideBySide does something for each number from..to, by as many as write at once. It returns the first fault.
func sideBySide(from, to int, do func(number int) error) error {
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

// arrive writes that machines from..to were added and came online, every second of them with the role web.
func (c *core) arrive(ctx context.Context, from, to int) error {
	return sideBySide(from, to, func(number int) error { return c.arriveOne(ctx, number) })
}

func (c *core) arriveOne(ctx context.Context, number int) error {
	session := ids.New()
	return c.append(ctx, domain.MachineStream(machine(number)), eventlog.NoStream,
		domain.MachineAdded{Environment: "production", Roles: half[number%2 : number%2+1]},
		domain.MachineCameOnline{Server: c.Server(), Session: session, Instance: session})
}

// machine is the name of the machine with a number.
func machine(number int) string { return fmt.Sprintf("m-%06d", number) }

// append writes facts as whoever saw them would have.
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

// queued is a fault unless so many parts were queued.
func queued(report engine.Report, want int) error {
	parts := 0
	for _, w := range report.Appended {
		if q, ok := w.Event.(domain.DeploymentQueued); ok {
			parts += len(q.Machines)
		}
	}
	if parts != want {
		return fmt.Errorf("%d parts were queued for %d machines", parts, want)
	}
	return nil
}

// carryOut claims and ends all parts, as their agents would.
func (c *core) carryOut(ctx context.Context) error {
	var claims []domain.ClaimPart
	c.Read(func(v *projections.View) {
		for _, d := range v.Deployments {
			for name := range d.Parts {
				m := v.Machines[name]
				claims = append(claims, domain.ClaimPart{Deployment: d.ID, Machine: name, Session: m.Session, Instance: m.Instance})
			}
		}
	})
	for _, claim := range claims {
		if _, err := c.Handle(ctx, domain.ID{}, claim); err != nil {
			return err
		}
		end := domain.EndPart{Deployment: claim.Deployment, Machine: claim.Machine, Session: claim.Session, Instance: claim.Instance, State: domain.PartSucceeded}
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

// onDisk is a new log in a file.
func (o options) onDisk(ctx context.Context) (eventlog.Backend, error) {
	folder, err := os.MkdirTemp(o.folder, "log-")
	if err != nil {
		return nil, err
	}
	return logIn(ctx, folder)
}

// logIn is the log that a server finds in a folder.
func logIn(ctx context.Context, folder string) (eventlog.Backend, error) {
	return sqlite.Open(ctx, filepath.Join(folder, logFile), sqlite.Config{})
}

// logFile is the log's file in a server's folder.
const logFile = "drover.db"

func inMemory(context.Context) (eventlog.Backend, error) { return memory.New(), nil }

// decide is the processor time per decision of one tick.
func decide(ctx context.Context, open func(context.Context) (eventlog.Backend, error), machines, triggers int) (perDecision float64, bytes int64, err error) {
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
	before := process.Written(os.Getpid())
	cpu, err := c.tick(ctx, machines)
	return µs(cpu, machines/2), process.Written(os.Getpid()) - before, err
}
