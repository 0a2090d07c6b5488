package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
)

// How much of the past of a machine and a project is read, newest first.
const (
	pastOfMachine = 300
	pastOfProject = 1000
	pastOfParts   = 50
)

// thread is a stream, where to begin in it, and how many events to read at most.
type thread struct {
	stream string
	from   eventlog.Revision
	most   int
}

// Past reads the newest events that tell of a machine and a project: their own streams, and those of the
// project's parts on the machine. They come stream by stream; what the view has not folded may be among them.
func (e *Engine) Past(ctx context.Context, machine, project string) ([]eventlog.Recorded, error) {
	var own []thread
	var parts map[domain.ID]eventlog.Position
	e.Read(func(v *projections.View) { own, parts = threadsOf(v, machine, project) })
	return readThreads(ctx, e.cfg.Log, machine, own, parts)
}

// PastOf is Past for a view that nobody else uses, such as Replay's.
func PastOf(ctx context.Context, log eventlog.Log, v *projections.View, machine, project string) ([]eventlog.Recorded, error) {
	own, parts := threadsOf(v, machine, project)
	return readThreads(ctx, log, machine, own, parts)
}

// threadsOf are the own streams of both, and where each deployment of which the view knows a part on the machine was queued.
func threadsOf(v *projections.View, machine, project string) ([]thread, map[domain.ID]eventlog.Position) {
	last := func(stream string, most int) thread {
		return thread{stream, max(0, v.Revision(stream)+1-eventlog.Revision(most)), most}
	}
	parts := map[domain.ID]eventlog.Position{}
	for _, d := range v.Deployments {
		if d.Parts[machine] != nil && d.Project.Name == project {
			parts[d.ID] = d.Queued
		}
	}
	return []thread{last(domain.MachineStream(machine), pastOfMachine), last(domain.ProjectStream(project), pastOfProject)}, parts
}

// Alive says whether a server runs, as far as this one has seen its lease change.
func (e *Engine) Alive(server domain.ID) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	lease, known := p.leases[server]
	return server == e.cfg.Server || known && !lease.gone && e.cfg.Clock.Elapsed()-lease.at <= policies.LeaseStale
}

// readThreads reads the own streams, and then the parts: those that the view knows, and those of deployments it has forgotten
// that the project's stream tells of.
func readThreads(ctx context.Context, log eventlog.Log, machine string, own []thread, parts map[domain.ID]eventlog.Position) (past []eventlog.Recorded, err error) {
	for _, t := range own {
		if past, err = t.read(ctx, log, past); err != nil {
			return nil, err
		}
	}
	for _, rec := range past {
		if mayConcern(machine, rec) {
			parts[domain.ID(rec.ID)] = rec.Position
		}
	}
	newest := slices.SortedFunc(maps.Keys(parts), func(a, b domain.ID) int { return cmp.Compare(parts[b], parts[a]) })
	for _, id := range newest[:min(len(newest), pastOfParts)] {
		if past, err = (thread{domain.PartStream(id, machine), 0, pastOfParts}).read(ctx, log, past); err != nil {
			return nil, err
		}
	}
	return past, nil
}

// mayConcern says that an event queues a deployment that names the machine, or names none.
func mayConcern(machine string, rec eventlog.Recorded) bool {
	fact, err := domain.Decode(rec.Type, rec.Data)
	queued, ok := fact.(domain.DeploymentQueued)
	named := func(m domain.DeploymentMachine) bool { return m.Name == machine }
	return err == nil && ok && (queued.Kind == domain.EnvironmentWide || slices.ContainsFunc(queued.Machines, named))
}

// read adds the thread's events to past.
func (t thread) read(ctx context.Context, log eventlog.Log, past []eventlog.Recorded) ([]eventlog.Recorded, error) {
	for rec, err := range log.ReadStream(ctx, t.stream, t.from, t.most) {
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", t.stream, err)
		}
		past = append(past, rec)
	}
	return past, nil
}
