package eventstoredbtest

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/google/uuid"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// Read serves reads of a stream and of $all, and subscriptions to $all with a stream filter.
func (n *Node) Read(request *streams.ReadReq, call streams.Streams_ReadServer) error {
	ctx, options := call.Context(), request.GetOptions()
	n.thawed(ctx)
	kind := Read
	if options.GetSubscription() != nil {
		kind = Subscribe
	}
	fault := n.cluster.faults.next(kind)
	if err := n.before(ctx, fault); err != nil {
		return err
	}
	if err := n.mayRead(ctx, options); err != nil {
		return err
	}
	if fault == SendUnknown {
		return call.Send(&streams.ReadResp{Content: &streams.ReadResp_LastStreamPosition{LastStreamPosition: 1}})
	}
	out := &sender{node: n, call: call, fault: fault}
	switch {
	case kind == Subscribe:
		return n.subscribe(ctx, options, out)
	case options.GetAll() != nil:
		return n.readAll(options, out)
	default:
		return n.readStream(options, out)
	}
}

func (n *Node) mayRead(ctx context.Context, options *streams.ReadReq_Options) error {
	n.cluster.mu.Lock()
	if requiresLeader(ctx) {
		n.cluster.required++
	} else {
		n.cluster.unrequired++
	}
	n.cluster.mu.Unlock()
	user, err := n.user(ctx)
	if err != nil {
		return err
	}
	if options.GetAll() != nil && !user.ReadsAll || len(n.cluster.config.Users) > 0 && user.Password == "" {
		return denied(ctx)
	}
	return n.lead(ctx)
}

// visible returns the records that this node has received.
func (n *Node) visible() ([]record, <-chan struct{}) {
	_, lag := n.cluster.leads(n)
	return n.cluster.store.prefix(lag)
}

func (n *Node) readStream(options *streams.ReadReq_Options, out *sender) error {
	name := options.GetStream().GetStreamIdentifier().GetStreamName()
	_, lag := n.cluster.leads(n)
	records, at, found := n.cluster.store.ofStream(string(name), lag)
	if !found {
		return out.call.Send(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
			StreamNotFound: &streams.ReadResp_StreamNotFound{StreamIdentifier: &shared.StreamIdentifier{
				StreamName: name}},
		}})
	}
	backwards := options.GetReadDirection() == streams.ReadReq_Options_Backwards
	if from, ok := options.GetStream().GetRevisionOption().(*streams.ReadReq_Options_StreamOptions_Revision); ok &&
		len(at) > 0 {
		first := records[at[0]].revision
		if backwards {
			at = at[:max(min(int64(from.Revision)+1-first, int64(len(at))), 0)]
		} else {
			at = at[max(min(int64(from.Revision)-first, int64(len(at))), 0):]
		}
	}
	return out.count(len(at), func(i int) record { return records[at[i]] }, backwards, options.GetCount())
}

func (n *Node) readAll(options *streams.ReadReq_Options, out *sender) error {
	records, _ := n.visible()
	backwards := options.GetReadDirection() == streams.ReadReq_Options_Backwards
	if position := options.GetAll().GetPosition(); position != nil {
		at, err := find(records, position.GetCommitPosition())
		if err != nil {
			return err
		}
		if backwards {
			records = records[:at]
		} else {
			records = records[at:]
		}
	}
	return out.count(len(records), func(i int) record { return records[i] }, backwards, options.GetCount())
}

// find returns the index of the record at a position, or len(records) if the position is after the last one. A
// position inside the log at which no record starts is an error.
func find(records []record, position uint64) (int, error) {
	at, found := slices.BinarySearchFunc(records, position, func(r record, p uint64) int {
		switch {
		case r.position < p:
			return -1
		case r.position > p:
			return 1
		}
		return 0
	})
	if !found && at < len(records) {
		return 0, status.Error(codes.InvalidArgument, "Trying to read from an invalid position.")
	}
	return at, nil
}

// subscribe sends the existing events, reports that it has caught up, and continues with new ones.
func (n *Node) subscribe(ctx context.Context, options *streams.ReadReq_Options, out *sender) error {
	prefixes := options.GetFilter().GetStreamIdentifier().GetPrefix()
	if options.GetAll() == nil || len(prefixes) == 0 {
		return status.Error(codes.Unimplemented,
			"the test server supports only subscriptions to $all with stream prefixes")
	}
	if err := out.call.Send(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}}); err != nil {
		return err
	}
	next := 0
	if position := options.GetAll().GetPosition(); position != nil {
		records, _ := n.visible()
		at, err := find(records, position.GetCommitPosition())
		if err != nil {
			return err
		}
		next = at
		if position.GetPreparePosition() >= position.GetCommitPosition() {
			next++ // exclude that event; a lower prepare position means the place before it
		}
	}
	n.cluster.skipped.Store(int64(next))
	f := &feed{prefixes: prefixes, out: out, window: int(max(options.GetFilter().GetMax(),
		1) * max(options.GetFilter().GetCheckpointIntervalMultiplier(), 1))}
	for {
		grown, err := n.catchUp(&next, f)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-grown:
		}
	}
}

// pageSize is how many records a subscription scans before it looks for new ones.
const pageSize = 32

// catchUp sends the existing records, starting at next. When it first reaches the end, it reports that it has caught
// up. The returned channel is closed when there are new records.
func (n *Node) catchUp(next *int, f *feed) (<-chan struct{}, error) {
	for {
		records, grown := n.visible()
		if *next >= len(records) {
			return grown, f.end()
		}
		page := records[*next:min(*next+pageSize, len(records))]
		*next += len(page)
		if err := f.page(page, records, *next); err != nil {
			return nil, err
		}
	}
}

// feed is the state of a subscription.
type feed struct {
	prefixes []string
	out      *sender
	// window is the number of records between two checkpoints; considered counts the records since the last one.
	window, considered int
	checkpoint         *streams.ReadResp_Checkpoint
	live               bool
}

// page sends the records of a page whose streams match a prefix. The checkpoint is the start of the next record
// with a prepare position of 0, which means: before that record.
func (f *feed) page(page, records []record, next int) error {
	for _, r := range page {
		if !slices.ContainsFunc(f.prefixes, func(prefix string) bool { return strings.HasPrefix(r.stream, prefix) }) {
			continue
		}
		if err := f.out.event(r); err != nil {
			return err
		}
	}
	last := page[len(page)-1].position
	f.checkpoint = &streams.ReadResp_Checkpoint{CommitPosition: last, PreparePosition: last}
	if next < len(records) {
		f.checkpoint = &streams.ReadResp_Checkpoint{CommitPosition: records[next].position}
	}
	if f.considered += len(page); f.considered < f.window {
		return nil
	}
	f.considered = 0
	return f.check()
}

func (f *feed) check() error {
	err := f.out.call.Send(&streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{Checkpoint: f.checkpoint}})
	if err == nil && f.out.fault == BreakAtCheckpoint {
		err = status.Error(codes.Unavailable, "transport is closing")
	}
	return err
}

// end reports once that the subscription has caught up.
func (f *feed) end() error {
	if f.live {
		return nil
	}
	f.live = true
	if f.checkpoint != nil {
		if err := f.check(); err != nil {
			return err
		}
	}
	return f.out.call.Send(&streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{
		CaughtUp: &streams.ReadResp_CaughtUp{}}})
}

// sender sends records as messages.
type sender struct {
	call  streams.Streams_ReadServer
	node  *Node
	fault Fault
	sent  int
}

// count sends at most count of n records.
func (s *sender) count(n int, record func(i int) record, backwards bool, count uint64) error {
	for i := range int(min(uint64(n), count)) {
		at := i
		if backwards {
			at = n - 1 - i
		}
		if err := s.event(record(at)); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) event(r record) error {
	if s.fault == Break && s.sent > 0 {
		return status.Error(codes.Unavailable, "transport is closing")
	}
	s.sent++
	s.node.cluster.sent.Add(1)
	most, least := esdb.UUIDAsInt64(r.id)
	return s.call.Send(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: r.position},
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id: &shared.UUID{Value: &shared.UUID_Structured_{
				Structured: &shared.UUID_Structured{MostSignificantBits: most, LeastSignificantBits: least},
			}},
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(r.stream)},
			StreamRevision:   uint64(r.revision),
			CommitPosition:   r.position, PreparePosition: r.position,
			Metadata: map[string]string{"type": r.kind, "content-type": r.contentType,
				"created": ticks(r.created)},
			CustomMetadata: r.metadata,
			Data:           r.data,
		},
	}}})
}
