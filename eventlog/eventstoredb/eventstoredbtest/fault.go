package eventstoredbtest

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fault is a failure that a test injects into a call.
type Fault int

// Faults of calls.
const (
	// LoseReply carries out the call and answers that the server is unavailable.
	LoseReply Fault = iota + 1
	// TimeOut carries out the call and answers that it timed out, as the server does when its followers are slow.
	TimeOut
	// Refuse does nothing and answers that the server is unavailable.
	Refuse
	// Stall does nothing and never answers.
	Stall
	// StallAfter carries out the call and never answers.
	StallAfter
	// NotLeader does nothing and answers that another node is the leader.
	NotLeader
	// RefuseEarly answers before it has read the whole request.
	RefuseEarly
	// SendUnknown answers a read with a message that the client does not know.
	SendUnknown
	// ReportConflict does nothing and answers that the stream is at another revision.
	ReportConflict
	// IndexAfter carries out the call, then releases the index (Cluster.HoldIndex), then answers.
	IndexAfter
	// Break ends a read as unavailable after its first event.
	Break
	// BreakAtCheckpoint ends a subscription as unavailable after its first checkpoint.
	BreakAtCheckpoint
)

// Call is a kind of call into which faults can be injected.
type Call int

// Calls of the protocol.
const (
	Append Call = iota + 1
	Read
	Subscribe
)

// faults holds the injected faults, each for one call, and counts calls.
type faults struct {
	mu    sync.Mutex
	armed map[Call][]Fault
	seen  map[Call]int
}

func newFaults() *faults { return &faults{armed: map[Call][]Fault{}, seen: map[Call]int{}} }

// next returns the fault of the incoming call, 0 for none.
func (f *faults) next(call Call) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[call]++
	armed := f.armed[call]
	if len(armed) == 0 {
		return 0
	}
	f.armed[call] = armed[1:]
	return armed[0]
}

// Fail injects faults into the next calls of a kind on any node: one fault per call, in order.
func (c *Cluster) Fail(call Call, next ...Fault) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.armed[call] = append(c.faults.armed[call], next...)
}

// Heal removes all injected faults that have not occurred yet.
func (c *Cluster) Heal() {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	clear(c.faults.armed)
}

// Calls returns how many calls of a kind have arrived.
func (c *Cluster) Calls(call Call) int {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	return c.faults.seen[call]
}

// Reads returns how many reads required the leader and how many did not.
func (c *Cluster) Reads() (leader, anyNode int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.required, c.unrequired
}

// before applies a fault that replaces the call; nil lets the call proceed.
func (n *Node) before(ctx context.Context, fault Fault) error {
	switch fault {
	case Refuse:
		return status.Error(codes.Unavailable, "Server Is Not Ready")
	case Stall:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	case NotLeader:
		return n.notLeader(ctx)
	}
	return nil
}

// after applies a fault that replaces the answer; nil lets the answer through.
func after(ctx context.Context, fault Fault) error {
	switch fault {
	case LoseReply:
		return status.Error(codes.Unavailable, "transport is closing")
	case TimeOut:
		return errCommitTimeout
	case StallAfter:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	return nil
}
