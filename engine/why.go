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

// Limits of what is read, newest first.
const (
	maxMachineEvents = 300
	maxProjectEvents = 1000
	maxParts         = 50
	maxReleases      = 50
	// maxLookups bounds how many deployments are searched for a part that may not exist.
	maxLookups = 4 * maxParts
)

// streamRange is a range of a stream: its first revision and the maximum number of events.
type streamRange struct {
	stream string
	from   eventlog.Revision
	most   int
}

// Past reads the newest events about a machine and a project: their own streams, the streams of the project's releases,
// and the streams of its parts on the machine. The events are ordered by stream. They may include events that are not
// folded yet.
func (e *Engine) Past(ctx context.Context, machine, project string) ([]eventlog.Recorded, error) {
	return past(ctx, e.cfg.Log, e.Read, machine, project)
}

// PastOf is Past for a view that is not shared, such as that of Replay.
func PastOf(ctx context.Context, log eventlog.Log, v *projections.View, machine, project string) ([]eventlog.Recorded,
	error) {
	return past(ctx, log, func(fn func(*projections.View)) { fn(v) }, machine, project)
}

// past implements Past. look calls its argument with the view, which is not locked while the log is read.
func past(ctx context.Context, log eventlog.Log, look func(func(*projections.View)), machine,
	project string) ([]eventlog.Recorded, error) {
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

// ownRanges returns the machine's and the project's own streams.
func ownRanges(v *projections.View, machine, project string) []streamRange {
	last := func(stream string, most int) streamRange {
		return streamRange{stream, max(0, v.Revision(stream)+1-eventlog.Revision(most)), most}
	}
	return []streamRange{last(domain.MachineStream(machine), maxMachineEvents),
		last(domain.ProjectStream(project), maxProjectEvents)}
}

// releasesOf returns the streams of at most maxReleases releases: the newest ones of the project, and the ones
// that an earlier project of the same name deployed according to past.
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

// deployed is a release that was deployed, and the incarnation of its project.
type deployed struct {
	incarnation domain.ID
	version     string
}

// deployedOf returns the releases in the project's own stream that were deployed, in order.
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

// deploymentsWithPart returns the deployments that have a part on the machine, newest first. It includes pruned
// deployments that may have had one, as far as past shows.
func deploymentsWithPart(v *projections.View, machine, project string, past []eventlog.Recorded) []domain.ID {
	queued := map[domain.ID]eventlog.Position{}
	for _, d := range v.Deployments {
		if d.Parts[machine] != nil && d.Project.Name == project {
			queued[d.ID] = d.Queued
		}
	}
	for _, rec := range past {
		if _, pruned := v.Pruned(domain.ID(rec.ID)); pruned && mayConcern(machine, rec) {
			queued[domain.ID(rec.ID)] = rec.Position
		}
	}
	return slices.SortedFunc(maps.Keys(queued), func(a, b domain.ID) int { return cmp.Compare(queued[b], queued[a]) })
}

// Alive reports whether a server runs. It is false for a server whose lease this server has not seen change.
func (e *Engine) Alive(server domain.ID) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	lease, known := p.leases[server]
	return server == e.cfg.Server || known && !lease.gone && e.cfg.Clock.Elapsed()-lease.at <= policies.LeaseStale
}

// readRanges appends the events of the ranges to past.
func readRanges(ctx context.Context, log eventlog.Log, ranges []streamRange,
	past []eventlog.Recorded) (_ []eventlog.Recorded, err error) {
	for _, t := range ranges {
		if past, err = t.read(ctx, log, past); err != nil {
			return nil, err
		}
	}
	return past, nil
}

// readParts appends the events of the machine's parts in the newest of these deployments to past, at most maxParts
// parts.
func readParts(ctx context.Context, log eventlog.Log, machine string, deployments []domain.ID,
	past []eventlog.Recorded) (_ []eventlog.Recorded, err error) {
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

// mayConcern reports whether an event queues a deployment that names the machine, or an environment-wide one.
func mayConcern(machine string, rec eventlog.Recorded) bool {
	fact, err := domain.Decode(rec.Type, rec.Data)
	queued, ok := fact.(domain.DeploymentQueued)
	named := func(m domain.DeploymentMachine) bool { return m.Name == machine }
	return err == nil && ok && (queued.Kind == domain.EnvironmentWide || slices.ContainsFunc(queued.Machines, named))
}

// read appends the events of the range to past.
func (t streamRange) read(ctx context.Context, log eventlog.Log, past []eventlog.Recorded) ([]eventlog.Recorded,
	error) {
	for rec, err := range log.ReadStream(ctx, t.stream, t.from, t.most) {
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", t.stream, err)
		}
		past = append(past, rec)
	}
	return past, nil
}
