package eventstoredb

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// leases caches what this process knows about leases. A lease is the last event of the server's own stream, which
// retains no other event. A directory stream lists the servers that have a lease.
//
// A drop writes a tombstone to the directory and then one to the lease's stream. If another process drops the lease of
// a running server, that server notices that its stream has changed and enters itself into the directory again.
type leases struct {
	mu sync.Mutex
	// revisions contains the revisions of the leases that this process wrote.
	revisions map[uuid.UUID]uint64
	// listed holds the servers in the directory up to revision next.
	listed map[uuid.UUID]bool
	next   uint64
}

// Types of the auxiliary events for leases. Both also occur in the directory, where the data is the server's id.
const (
	leasePut     = "lease.put/v1"
	leaseDropped = "lease.dropped/v1"
)

func (l *Log) putLease(ctx context.Context, server uuid.UUID, value []byte) error {
	stream := l.names.lease(server)
	event := esdb.EventData{EventID: uuid.New(), EventType: leasePut, Data: value}
	if last, ok := l.leases.revision(server); ok {
		revision, err := l.put(ctx, stream, esdb.Revision(last), event)
		if err == nil {
			l.leases.keep(server, revision)
			return nil
		}
		if outcomeOf(err) != wrongRevision {
			return err
		}
	}
	if err := l.setMetadata(ctx, stream, onlyLast()); err != nil {
		return err
	}
	if err := l.enter(ctx, leasePut, server); err != nil {
		return err
	}
	revision, err := l.put(ctx, stream, esdb.Any{}, event)
	if err != nil {
		return err
	}
	l.leases.keep(server, revision)
	return nil
}

// onlyLast returns the metadata of a stream that retains only its last event.
func onlyLast() esdb.StreamMetadata {
	var limits esdb.StreamMetadata
	limits.SetMaxCount(1)
	return limits
}

// enter adds a line to the directory.
func (l *Log) enter(ctx context.Context, kind string, server uuid.UUID) error {
	line := esdb.EventData{EventID: uuid.New(), EventType: kind, Data: []byte(server.String())}
	_, err := l.put(ctx, l.names.leaseDirectory(), esdb.Any{}, line)
	return err
}

// revision returns the revision at which this process last wrote the lease of server.
func (l *leases) revision(server uuid.UUID) (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	revision, ok := l.revisions[server]
	return revision, ok
}

func (l *leases) keep(server uuid.UUID, revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revisions == nil {
		l.revisions = map[uuid.UUID]uint64{}
	}
	l.revisions[server] = revision
}

func (l *Log) readLeases(ctx context.Context) (map[string]eventlog.Item, error) {
	servers, err := l.directory(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]eventlog.Item{}
	for _, server := range servers {
		event, err := l.last(ctx, l.names.lease(server))
		switch {
		case err != nil && outcomeOf(err) == streamMissing:
		case err != nil:
			return nil, err
		case event.EventType == leasePut:
			found[server.String()] = eventlog.Lease(server, event.Data)
		}
	}
	return found, nil
}

// directory returns the servers that have a lease. It reads only the lines written since the previous call.
func (l *Log) directory(ctx context.Context) ([]uuid.UUID, error) {
	l.leases.mu.Lock()
	listed, next := maps.Clone(l.leases.listed), l.leases.next
	l.leases.mu.Unlock()
	if listed == nil {
		listed = map[uuid.UUID]bool{}
	}
	err := l.walk(ctx, l.names.leaseDirectory(), next, func(event *esdb.RecordedEvent) bool {
		next = event.EventNumber + 1
		if server, err := uuid.ParseBytes(event.Data); err == nil && event.EventType == leasePut {
			listed[server] = true
		} else {
			delete(listed, server)
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	if next >= l.leases.next {
		l.leases.listed, l.leases.next = listed, next
	}
	return slices.Collect(maps.Keys(listed)), nil
}

func (l *Log) dropLease(ctx context.Context, server uuid.UUID) error {
	servers, err := l.directory(ctx)
	if err != nil || !slices.Contains(servers, server) {
		return err
	}
	if err := l.enter(ctx, leaseDropped, server); err != nil {
		return err
	}
	_, err = l.put(ctx, l.names.lease(server), esdb.Any{}, esdb.EventData{EventID: uuid.New(), EventType: leaseDropped})
	return err
}
