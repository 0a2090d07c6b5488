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
	// mostLooks bounds how many deployments are asked for a part that they may not have had.
	mostLooks = 4 * pastOfParts
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
	e.Read(func(v *projections.View) { own = threadsOf(v, machine, project) })
	past, err := readThreads(ctx, e.cfg.Log, own)
	if err != nil {
		return nil, err
	}
	var parts []domain.ID
	e.Read(func(v *projections.View) { parts = partsOf(v, machine, project, past) })
	return readParts(ctx, e.cfg.Log, machine, parts, past)
}

// PastOf is Past for a view that nobody else uses, such as Replay's.
func PastOf(ctx context.Context, log eventlog.Log, v *projections.View, machine, project string) ([]eventlog.Recorded, error) {
	past, err := readThreads(ctx, log, threadsOf(v, machine, project))
	if err != nil {
		return nil, err
	}
	return readParts(ctx, log, machine, partsOf(v, machine, project, past), past)
}

// threadsOf are the own streams of both.
func threadsOf(v *projections.View, machine, project string) []thread {
	last := func(stream string, most int) thread {
		return thread{stream, max(0, v.Revision(stream)+1-eventlog.Revision(most)), most}
	}
	return []thread{last(domain.MachineStream(machine), pastOfMachine), last(domain.ProjectStream(project), pastOfProject)}
}

// partsOf are the deployments, newest first, of which the view knows a part on the machine, and those which it has forgotten
// and which may have had one, as far as what was read of the project tells.
func partsOf(v *projections.View, machine, project string, past []eventlog.Recorded) []domain.ID {
	queued := map[domain.ID]eventlog.Position{}
	for _, d := range v.Deployments {
		if d.Parts[machine] != nil && d.Project.Name == project {
			queued[d.ID] = d.Queued
		}
	}
	for _, rec := range past {
		if _, forgotten := v.Forgotten(domain.ID(rec.ID)); forgotten && mayConcern(machine, rec) {
			queued[domain.ID(rec.ID)] = rec.Position
		}
	}
	return slices.SortedFunc(maps.Keys(queued), func(a, b domain.ID) int { return cmp.Compare(queued[b], queued[a]) })
}

// Alive says whether a server runs, as far as this one has seen its lease change.
func (e *Engine) Alive(server domain.ID) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	lease, known := p.leases[server]
	return server == e.cfg.Server || known && !lease.gone && e.cfg.Clock.Elapsed()-lease.at <= policies.LeaseStale
}

func readThreads(ctx context.Context, log eventlog.Log, threads []thread) (past []eventlog.Recorded, err error) {
	for _, t := range threads {
		if past, err = t.read(ctx, log, past); err != nil {
			return nil, err
		}
	}
	return past, nil
}

// readParts adds the parts on the machine that the newest of these deployments had, as many as it finds and pastOfParts allows.
func readParts(ctx context.Context, log eventlog.Log, machine string, deployments []domain.ID, past []eventlog.Recorded) (_ []eventlog.Recorded, err error) {
	found := 0
	for _, id := range deployments[:min(len(deployments), mostLooks)] {
		before := len(past)
		if past, err = (thread{domain.PartStream(id, machine), 0, pastOfParts}).read(ctx, log, past); err != nil {
			return nil, err
		}
		if len(past) > before {
			found++
		}
		if found == pastOfParts {
			break
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
