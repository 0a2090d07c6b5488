package agents

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/droverhq/drover/api/client"
)

const (
	// maxInbox is how many messages of an agent may wait to be handled. Heartbeats do not wait.
	maxInbox = 64
	// heardEvery is how often a session with a full inbox counts as heard.
	heardEvery = 500 * time.Millisecond
)

// inbox holds the messages of a session that are read and not handled yet, in the order in which they arrived. Handling
// one may wait for the log, and reading must not: the heartbeats of an agent would stay unread. The goroutine that
// handles messages exists only while there are any.
type inbox struct {
	mu        sync.Mutex
	waiting   []client.FromAgent
	heartbeat bool // one arrived while messages were handled; it follows them
	handling  bool
	ended     bool          // the session has ended; further messages are dropped
	changed   chan struct{} // closed at the next change; nil: nobody waits for one
}

// push adds a message and reports whether the caller must handle the messages now. If the inbox is full, it returns
// false for added and a channel that is closed when the inbox changes.
func (b *inbox) push(m client.FromAgent) (added, handle bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return true, false, nil
	}
	if len(b.waiting) >= maxInbox {
		return false, false, b.change()
	}
	b.waiting = append(b.waiting, m)
	handle, b.handling = !b.handling, true
	return true, handle, nil
}

// change returns a channel that is closed at the next change. The caller holds mu.
func (b *inbox) change() <-chan struct{} {
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

func (b *inbox) announce() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// next removes the first message. It returns false if the inbox is empty. The caller must then stop handling.
func (b *inbox) next() (m client.FromAgent, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announce()
	if len(b.waiting) == 0 {
		if b.heartbeat {
			b.heartbeat = false
			return client.FromAgent{Heartbeat: &client.Heartbeat{}}, true
		}
		b.waiting, b.handling = nil, false
		return m, false
	}
	m, b.waiting = b.waiting[0], b.waiting[1:]
	return m, true
}

// end drops the waiting messages and all later ones. The session has ended with the last one that was handled.
func (b *inbox) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announce()
	b.waiting, b.heartbeat, b.handling, b.ended = nil, false, false, true
}

// idle returns nil if no message waits or is being handled, else a channel that is closed at the next change.
func (b *inbox) idle() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.handling {
		return nil
	}
	return b.change()
}

// postpone makes a heartbeat follow the messages that wait or are being handled. waits is false without such messages, and
// first is false if another heartbeat follows them already.
func (b *inbox) postpone() (waits, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.handling {
		return false, false
	}
	first, b.heartbeat = !b.heartbeat, true
	return true, first
}

// readMessages reads messages until the connection ends, and waits until they are handled. Each message counts as a
// heartbeat as soon as it is read.
func (s *session) readMessages(first *earlyRead) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for text, err := first.wait(); err == nil; _, text, err = s.conn.Read(ctx) {
		s.recordMessage()
		s.throttle(ctx, len(text))
		var m client.FromAgent
		if err := json.Unmarshal(text, &m); err != nil {
			s.refuse(client.Refused{Reason: "invalid message: " + err.Error()})
			break
		}
		s.receive(ctx, m)
		if m.Goodbye != nil { // reading on would confirm the agent's close before its departure is recorded
			break
		}
	}
	expired := time.AfterFunc(requestTimeout, cancel) // what was read is still handled, unless the log hangs
	defer expired.Stop()
	for changed := s.inbox.idle(); changed != nil; changed = s.inbox.idle() {
		<-changed
	}
}

// receive passes a message to the goroutine that handles the messages of the session. While the inbox is full, nothing
// more is read. The agent is not silent then: this server does not listen, so the session counts as heard.
func (s *session) receive(ctx context.Context, m client.FromAgent) {
	if s.heartbeatDuringWork(m) {
		return
	}
	if m.Heartbeat != nil && !s.owes() { // nearly all of them: they are not worth another goroutine
		s.recordHeartbeat(*m.Heartbeat)
		return
	}
	for {
		added, handle, changed := s.inbox.push(m)
		if handle {
			s.hub.workers.do(func() { s.handleMessages(ctx) })
		}
		if added || s.isEnding() { // the agent repeats what is not confirmed
			return
		}
		select {
		case <-changed:
		case <-time.After(heardEvery):
		}
		s.recordMessage()
	}
}

// heartbeatDuringWork reports whether a message is a heartbeat that arrives while others are handled. One heartbeat
// follows them, because it repeats what the session still owes. The others have nothing to add.
func (s *session) heartbeatDuringWork(m client.FromAgent) bool {
	if m.Heartbeat == nil {
		return false
	}
	waits, first := s.inbox.postpone()
	if waits && !first {
		s.hub.messages["heartbeat"].Add(1)
	}
	return waits
}

// handleMessages handles the waiting messages in order, until none is left.
func (s *session) handleMessages(ctx context.Context) {
	defer func() {
		if fault := recover(); fault != nil {
			s.hub.reportPanic(s.machine, fault)
			s.inbox.end()
			_ = s.conn.CloseNow()
		}
	}()
	for {
		m, ok := s.inbox.next()
		if !ok {
			return
		}
		if !s.handleMessage(ctx, m) {
			s.inbox.end()
			return
		}
	}
}
