package eventstoredbtest

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fault is what goes wrong with a call.
type Fault int

// Faults of a call.
const (
	// LoseReply does the work and answers that the server is unavailable.
	LoseReply Fault = iota + 1
	// TimeOut does the work and answers that it timed out, as the server does when its followers are slow.
	TimeOut
	// Refuse does nothing and answers that the server is unavailable.
	Refuse
	// Stall does nothing and never answers.
	Stall
	// StallAfter does the work and never answers.
	StallAfter
	// NotLeader does nothing and answers that another node leads.
	NotLeader
	// RefuseEarly answers before the request was read to its end.
	RefuseEarly
	// Babble answers a read with a message that the client does not know.
	Babble
	// Contradict does nothing and answers that the stream stands elsewhere, as it did just before.
	Contradict
	// Break ends a read as unavailable after its first event.
	Break
	// BreakAtCheckpoint ends a subscription as unavailable after its first checkpoint.
	BreakAtCheckpoint
)

// Call is a kind of call that a fault can be put on.
type Call int

// Calls of the protocol.
const (
	Append Call = iota + 1
	Read
	Subscribe
)

// faults are those that are switched on, each for a number of calls.
type faults struct {
	mu    sync.Mutex
	armed map[Call][]Fault
	seen  map[Call]int
}

func newFaults() *faults { return &faults{armed: map[Call][]Fault{}, seen: map[Call]int{}} }

// next returns the fault of the call that comes in now, 0 for none.
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

// Fail makes the next calls of a kind fail, on whatever node, one for each fault given.
func (c *Cluster) Fail(call Call, next ...Fault) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.armed[call] = append(c.faults.armed[call], next...)
}

// Heal switches off what Fail has switched on.
func (c *Cluster) Heal() {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	clear(c.faults.armed)
}

// Seen says how many calls of a kind came in.
func (c *Cluster) Seen(call Call) int {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	return c.faults.seen[call]
}

// Reads says how the reads that came in were sent: how many required the leader, how many did not.
func (c *Cluster) Reads() (leader, anyNode int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.required, c.unrequired
}

// before is what a fault does instead of the work; nil lets the work begin.
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

// after is what a fault does instead of the answer; nil lets it go out.
func after(ctx context.Context, fault Fault) error {
	switch fault {
	case LoseReply:
		return status.Error(codes.Unavailable, "transport is closing")
	case TimeOut:
		return status.Error(codes.Aborted, "Operation timed out: Commit phase timeout.")
	case StallAfter:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	return nil
}
