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
	maxMachineEvents = 300
	maxProjectEvents = 1000
	maxParts         = 50
	maxReleases      = 50
	// maxLookups bounds how many deployments are asked for a part that they may not have had.
	maxLookups = 4 * maxParts
)

// streamRange is a stream, where to begin in it, and how many events to read at most.
type streamRange struct {
	stream string
	from   eventlog.Revision
	most   int
}

// Past reads the newest events that tell of a machine and a project: their own streams, those of the project's releases,
// and those of its parts on the machine. They come stream by stream; what the view has not folded may be among them.
func (e *Engine) Past(ctx context.Context, machine, project string) ([]eventlog.Recorded, error) {
	return past(ctx, e.cfg.Log, e.Read, machine, project)
}

// PastOf is Past for a view that nobody else uses, such as Replay's.
func PastOf(ctx context.Context, log eventlog.Log, v *projections.View, machine, project string) ([]eventlog.Recorded, error) {
	return past(ctx, log, func(see func(*projections.View)) { see(v) }, machine, project)
}

// past reads what Past says; look shows it the view, which is not held while the log is read.
func past(ctx context.Context, log eventlog.Log, look func(func(*projections.View)), machine, project string) ([]eventlog.Recorded, error) {
	var own, releases []streamRange
	var parts []domain.ID
	look(func(v *projections.View) { own = ownRanges(v, machine, project) })
	found, err := readRanges(ctx, log, own, nil)
	if err != nil {
		return nil, err
	}
	look(func(v *projections.View) {
		releases, parts = releasesOf(v, project, found), deploymentsWithPart(v, machine, project, found)
	})
	if found, err = readRanges(ctx, log, releases, found); err != nil {
		return nil, err
	}
	return readParts(ctx, log, machine, parts, found)
}

// ownRanges are the own streams of both.
func ownRanges(v *projections.View, machine, project string) []streamRange {
	last := func(stream string, most int) streamRange {
		return streamRange{stream, max(0, v.Revision(stream)+1-eventlog.Revision(most)), most}
	}
	return []streamRange{last(domain.MachineStream(machine), maxMachineEvents), last(domain.ProjectStream(project), maxProjectEvents)}
}

// releasesOf returns the streams of the newest releases of a project, and of the releases that an earlier project of the
// same name deployed according to the events in past; at most maxReleases of them.
func releasesOf(v *projections.View, project string, past []eventlog.Recorded) (streams []streamRange) {
	known := map[string]bool{}
	add := func(incarnation domain.ID, version string) {
		stream := domain.ReleaseStream(project, incarnation, version)
		if !incarnation.IsZero() && !known[stream] && len(streams) < maxReleases {
			known[stream] = true
			streams = append(streams, streamRange{stream, 0, 1})
		}
	}
	if p := v.Projects[project]; p != nil {
		for _, version := range slices.Backward(p.Versions[max(0, len(p.Versions)-maxReleases):]) {
			add(p.Incarnation, version)
		}
	}
	for _, deployed := range slices.Backward(deployedOf(project, past)) {
		add(deployed.incarnation, deployed.version)
	}
	return streams
}

// deployed is a release that was deployed, and the project that it belonged to.
type deployed struct {
	incarnation domain.ID
	version     string
}

// deployedOf are the releases that the project's own stream tells of, in its order.
func deployedOf(project string, past []eventlog.Recorded) (all []deployed) {
	var incarnation domain.ID
	for _, rec := range past {
		if rec.Stream != domain.ProjectStream(project) {
			continue
		}
		switch fact, _ := domain.Decode(rec.Type, rec.Data); e := fact.(type) {
		case domain.ProjectDefined:
			if incarnation.IsZero() {
				incarnation = domain.ID(rec.ID)
			}
		case domain.ProjectDeleted:
			incarnation = domain.ID{}
		case domain.DeploymentQueued:
			all = append(all, deployed{incarnation, e.Release})
		}
	}
	return all
}

// partsOf are the deployments, newest first, of which the view knows a part on the machine, and those which it has forgotten
// and which may have had one, as far as what was read of the project tells.
func deploymentsWithPart(v *projections.View, machine, project string, past []eventlog.Recorded) []domain.ID {
	queued := map[domain.ID]eventlog.Position{}
	for _, d := range v.Deployments {
		if d.Parts[machine] != nil && d.Project.Name == project {
			queued[d.ID] = d.Queued
		}
	}
	for _, rec := range past {
		if _, forgotten := v.Pruned(domain.ID(rec.ID)); forgotten && mayConcern(machine, rec) {
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

// readRanges adds what the ranges hold to past.
func readRanges(ctx context.Context, log eventlog.Log, ranges []streamRange, past []eventlog.Recorded) (_ []eventlog.Recorded, err error) {
	for _, t := range ranges {
		if past, err = t.read(ctx, log, past); err != nil {
			return nil, err
		}
	}
	return past, nil
}

// readParts adds the parts on the machine that the newest of these deployments had, as many as it finds and maxParts allows.
func readParts(ctx context.Context, log eventlog.Log, machine string, deployments []domain.ID, past []eventlog.Recorded) (_ []eventlog.Recorded, err error) {
	found := 0
	for _, id := range deployments[:min(len(deployments), maxLookups)] {
		before := len(past)
		if past, err = (streamRange{domain.PartStream(id, machine), 0, maxParts}).read(ctx, log, past); err != nil {
			return nil, err
		}
		if len(past) > before {
			found++
		}
		if found == maxParts {
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

// read adds the streamRange's events to past.
func (t streamRange) read(ctx context.Context, log eventlog.Log, past []eventlog.Recorded) ([]eventlog.Recorded, error) {
	for rec, err := range log.ReadStream(ctx, t.stream, t.from, t.most) {
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", t.stream, err)
		}
		past = append(past, rec)
	}
	return past, nil
}
