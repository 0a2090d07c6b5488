package engine

import (
	"cmp"
	"context"
	"fmt"
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
	var threads []thread
	e.Read(func(v *projections.View) { threads = threadsOf(v, machine, project) })
	return readThreads(ctx, e.cfg.Log, threads)
}

// PastOf is Past for a view that nobody else uses, such as Replay's.
func PastOf(ctx context.Context, log eventlog.Log, v *projections.View, machine, project string) ([]eventlog.Recorded, error) {
	return readThreads(ctx, log, threadsOf(v, machine, project))
}

func threadsOf(v *projections.View, machine, project string) []thread {
	last := func(stream string, most int) thread {
		return thread{stream, max(0, v.Revision(stream)+1-eventlog.Revision(most)), most}
	}
	threads := []thread{last(domain.MachineStream(machine), pastOfMachine), last(domain.ProjectStream(project), pastOfProject)}
	var parts []*projections.Part
	for _, d := range v.Deployments {
		if part := d.Parts[machine]; part != nil && d.Project.Name == project {
			parts = append(parts, part)
		}
	}
	slices.SortFunc(parts, func(a, b *projections.Part) int { return cmp.Compare(b.Deployment.Queued, a.Deployment.Queued) })
	for _, part := range parts[:min(len(parts), pastOfParts)] {
		threads = append(threads, last(domain.PartStream(part.Deployment.ID, machine), pastOfParts))
	}
	return threads
}

// Alive says whether a server runs, as far as this one has seen its lease change.
func (e *Engine) Alive(server domain.ID) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	lease, known := p.leases[server]
	return server == e.cfg.Server || known && !lease.gone && e.cfg.Clock.Elapsed()-lease.at <= policies.LeaseStale
}

func readThreads(ctx context.Context, log eventlog.Log, threads []thread) ([]eventlog.Recorded, error) {
	var past []eventlog.Recorded
	for _, t := range threads {
		for rec, err := range log.ReadStream(ctx, t.stream, t.from, t.most) {
			if err != nil {
				return nil, fmt.Errorf("read stream %s: %w", t.stream, err)
			}
			past = append(past, rec)
		}
	}
	return past, nil
}
