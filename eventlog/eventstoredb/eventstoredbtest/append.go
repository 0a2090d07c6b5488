package eventstoredbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// maxAppendSize is the default limit of the real server.
const maxAppendSize = 1 << 20

// Append answers one append.
func (n *Node) Append(call streams.Streams_AppendServer) error {
	ctx := call.Context()
	n.thawed(ctx)
	first, err := call.Recv()
	if err != nil {
		return err
	}
	options := first.GetOptions()
	if options == nil {
		return status.Error(codes.InvalidArgument, "the first message of an append must contain its options")
	}
	fault := n.cluster.faults.next(Append)
	if err := n.admit(ctx, fault); err != nil {
		return err
	}
	proposals, err := receive(call)
	if err != nil {
		return err
	}
	if err := n.before(ctx, fault); err != nil {
		return err
	}
	if fault == ReportConflict {
		return call.SendAndClose(answer(options, outcome{wrong: true, current: expectedOf(options) + 1}))
	}
	result := n.cluster.store.append(string(options.GetStreamIdentifier().GetStreamName()), expectedOf(options),
		proposals)
	if err := after(ctx, fault); err != nil {
		return err
	}
	if fault == IndexAfter {
		n.cluster.ReleaseIndex()
	}
	if err := n.committed(ctx, result); err != nil {
		return err
	}
	return call.SendAndClose(answer(options, result))
}

// committed waits until an append is indexed. A repeat of an append that was not indexed is dropped, so it waits for
// the time-out.
func (n *Node) committed(ctx context.Context, result outcome) error {
	if result.wrong {
		return nil
	}
	late := time.NewTimer(n.cluster.config.CommitTimeout)
	defer late.Stop()
	for {
		records, grown := n.cluster.store.prefix(-1)
		if !result.dropped && result.last < len(records) {
			return nil
		}
		if result.dropped {
			grown = nil
		}
		select {
		case <-grown:
		case <-late.C:
			return errCommitTimeout
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// errCommitTimeout is the answer to an append that was not replicated and indexed in time.
var errCommitTimeout = status.Error(codes.Aborted, "Operation timed out: Commit phase timeout.")

// admit checks whether an append may proceed after its options were read.
func (n *Node) admit(ctx context.Context, fault Fault) error {
	if fault == RefuseEarly {
		return denied(ctx)
	}
	user, err := n.user(ctx)
	if err != nil {
		return err
	}
	if !user.Writes {
		return denied(ctx)
	}
	return n.lead(ctx)
}

// receive reads the events of an append.
func receive(call streams.Streams_AppendServer) ([]proposal, error) {
	var proposals []proposal
	size := 0
	for {
		request, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return proposals, nil
		}
		if err != nil {
			return nil, err
		}
		p, err := propose(request.GetProposedMessage())
		if err != nil {
			return nil, err
		}
		if size += p.size(); size > maxAppendSize {
			return nil, status.Errorf(codes.InvalidArgument, "Maximum Append Size of %d Exceeded.", maxAppendSize)
		}
		proposals = append(proposals, p)
	}
}

func propose(message *streams.AppendReq_ProposedMessage) (proposal, error) {
	p := proposal{data: message.GetData(), metadata: message.GetCustomMetadata()}
	for key, field := range map[string]*string{"type": &p.kind, "content-type": &p.contentType} {
		value, ok := message.GetMetadata()[key]
		if !ok {
			return proposal{}, status.Errorf(codes.InvalidArgument, "Required Metadata Property '%s' is missing", key)
		}
		*field = value
	}
	id := message.GetId().GetStructured()
	if id == nil {
		return proposal{}, status.Error(codes.InvalidArgument, "an event has no id")
	}
	var err error
	if p.id, err = esdb.ParseUUIDFromInt64(id.GetMostSignificantBits(), id.GetLeastSignificantBits()); err != nil {
		return proposal{}, fmt.Errorf("parse the event's id: %w", err)
	}
	return p, nil
}

func expectedOf(options *streams.AppendReq_Options) int64 {
	switch expected := options.GetExpectedStreamRevision().(type) {
	case *streams.AppendReq_Options_Revision:
		return int64(expected.Revision)
	case *streams.AppendReq_Options_NoStream:
		return noStream
	case *streams.AppendReq_Options_StreamExists:
		return streamExists
	}
	return anyRevision
}

// answer encodes the result of an append. The server reports a wrong revision in a message, not as an error.
func answer(options *streams.AppendReq_Options, result outcome) *streams.AppendResp {
	if !result.wrong {
		return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{
			CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(result.current)},
			PositionOption: &streams.AppendResp_Success_Position{
				Position: &streams.AppendResp_Position{CommitPosition: result.position,
					PreparePosition: result.position},
			},
		}}}
	}
	wrong := &streams.AppendResp_WrongExpectedVersion{}
	if result.current < 0 {
		wrong.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{
			CurrentNoStream: &shared.Empty{}}
	} else {
		wrong.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: uint64(
			result.current)}
	}
	if expected := expectedOf(options); expected >= 0 {
		wrong.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{
			ExpectedRevision: uint64(expected)}
	} else {
		wrong.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{
			ExpectedNoStream: &shared.Empty{}}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: wrong}}
}
