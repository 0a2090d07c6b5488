package agents

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"sync"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
)

// Limits on connections of agents that have not proved who they are. Anyone who can reach the port can open one.
const (
	// maxUnproven bounds their number. It admits a fleet of ten thousand agents that reconnect at the same time.
	maxUnproven = 16_384
	// maxUnprovenBytes bounds the memory of their hellos. A hello with fifty projects has 8 KB.
	maxUnprovenBytes = 64 << 20
	// maxHelloBytes bounds one hello, and a message that arrives while its agent is admitted.
	maxHelloBytes = client.MaxHelloBytes
	// firstHelloBytes is the first piece of memory for a hello. Most hellos are smaller.
	firstHelloBytes = 1 << 10
)

// unproven is the memory budget for connections that have not proved anything. One network can use three quarters of it, so
// that it does not keep out all others. Connections from this machine, such as those of a proxy, have no such share.
type unproven struct {
	maxNumber, maxBytes int

	mu    sync.Mutex // guards the fields below
	total usage
	by    map[netip.Prefix]*usage // without loopback
}

// usage is a number of connections, and how many bytes of memory their hellos use.
type usage struct{ number, bytes int }

func newUnproven(number, bytes int) *unproven {
	return &unproven{maxNumber: number, maxBytes: bytes, by: map[netip.Prefix]*usage{}}
}

// helloBudget is the share of one connection. Its methods must be called by one goroutine at a time.
type helloBudget struct {
	of    *unproven
	from  netip.Prefix
	bytes int
	done  bool
}

// enter counts a new connection. It returns false if there are too many.
func (u *unproven) enter(remote string) (*helloBudget, bool) {
	b := &helloBudget{of: u, from: access.NetworkOf(remote)}
	u.mu.Lock()
	defer u.mu.Unlock()
	return b, u.add(b.from, 1, 0)
}

// reserve takes memory for a hello. It returns false if too much is in use.
func (b *helloBudget) reserve(bytes int) bool {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if !b.of.add(b.from, 0, bytes) {
		return false
	}
	b.bytes += bytes
	return true
}

// release returns the share. The agent has proved who it is, or has left. Further calls do nothing.
func (b *helloBudget) release() {
	if b.done {
		return
	}
	b.done = true
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.total.number--
	b.of.total.bytes -= b.bytes
	if of := b.of.by[b.from]; of != nil {
		of.number--
		of.bytes -= b.bytes
		if of.number == 0 {
			delete(b.of.by, b.from)
		}
	}
}

// add adds to the usage of a network, unless that exceeds a limit. The caller holds mu.
func (u *unproven) add(from netip.Prefix, number, bytes int) bool {
	if u.total.number+number > u.maxNumber || u.total.bytes+bytes > u.maxBytes {
		return false
	}
	if from.IsValid() && !from.Addr().IsLoopback() {
		of := u.by[from]
		if of == nil {
			of = &usage{}
		}
		if of.number+number > u.maxNumber/4*3 || of.bytes+bytes > u.maxBytes/4*3 {
			return false
		}
		of.number += number
		of.bytes += bytes
		u.by[from] = of
	}
	u.total.number += number
	u.total.bytes += bytes
	return true
}

func (u *unproven) usage() usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// Unproven returns how many connections of agents have not proved who they are, and the bytes of their hellos.
func (h *Hub) Unproven() (connections, bytes int) {
	u := h.unproven.usage()
	return u.number, u.bytes
}

// errTooManyUnproven refuses a connection.
var errTooManyUnproven = problem.Unavailable(
	"this server has too many connections of agents that have not proved who they are").
	WithHint("the agent tries again; if it persists, look for programs that connect to this port and do not join")

// errHelloMemory ends a connection whose hello does not fit into the memory budget.
var errHelloMemory = errors.New("the hellos of other connections use all memory that is set aside for them")

// readHello reads the first message of a connection. Its memory counts towards the budget before it is used.
func readHello(ctx context.Context, conn *websocket.Conn, b *helloBudget) ([]byte, error) {
	_, r, err := conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
	var text []byte
	for {
		if len(text) == cap(text) {
			more := max(cap(text), firstHelloBytes)
			if !b.reserve(more) {
				_ = conn.Close(websocket.StatusTryAgainLater, errHelloMemory.Error())
				return nil, errHelloMemory
			}
			text = append(make([]byte, 0, cap(text)+more), text...)
		}
		n, err := r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
