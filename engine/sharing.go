package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/policies"
)

// sharing passes on heartbeats that reach another server than the one that holds the session. A program that acts as an
// agent over plain HTTP sends each request to any server, for example through a proxy. Moving the session with each of
// them would write an event per heartbeat, and without news from other servers the holder would call the machine
// silent. Each server therefore lists the sessions that it has heard from beside the log, and the holders read the
// lists. presence.mu guards all fields.
type sharing struct {
	// heard contains the sessions of other servers that this server has heard from.
	heard map[domain.ID]heard
	// sequence numbers the lists of this server; read contains the number of each server's list that was read last.
	sequence int64
	read     map[string]int64
	// err is the error of the last list that this server could not store.
	err error
	// on is set while other servers run, so that heartbeats may be on their way through them.
	on bool
	// lookedAt is when the lists of the others were read last.
	lookedAt time.Duration
}

// heard is a heartbeat of a session that another server holds.
type heard struct {
	at     time.Duration
	listed bool // in a list that was stored
}

const (
	// ShareEvery is how often ShareContacts is called.
	ShareEvery = time.Second
	// shareDelay is how late the holder may learn of a heartbeat: the list waits up to ShareEvery to be stored, and up to
	// ShareEvery to be read.
	shareDelay = 2 * ShareEvery
	// listFor is how long a heartbeat stays listed, so that a holder that reads late does not miss it.
	listFor = 5 * time.Second
	// entryBytes is the size of a list's entry: the event that began the session, and the age of the heartbeat in
	// milliseconds.
	entryBytes = 16 + 2
)

// ForwardHeartbeat records a heartbeat of a session that another server holds. ShareContacts lets that server know. If
// this server could not pass on heartbeats last time, the error wraps eventlog.ErrUnavailable, so that the agent tries
// another server.
func (e *Engine) ForwardHeartbeat(connect domain.ID) error {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sharing.heard[connect] = heard{at: e.cfg.Clock.Elapsed()}
	if err := p.sharing.err; err != nil {
		return fmt.Errorf("%w: heartbeats cannot be passed on: %w", eventlog.ErrUnavailable, err)
	}
	return nil
}

// ShareContacts stores which sessions of other servers this server has heard from, and reads which of its own sessions
// the others have heard from. It does neither without plain HTTP agents, and reads nothing while no other server runs.
func (e *Engine) ShareContacts(ctx context.Context, beside eventlog.Store) error {
	p := &e.presence
	list, ids := p.list(e.cfg.Clock.Elapsed())
	if list.Data != nil {
		list.Key, list.Time = uuid.UUID(e.cfg.Server).String(), e.cfg.Clock.Now().UTC()
		err := e.measure(ctx, writing, func() error { return beside.Put(ctx, eventlog.Contacts, list) })
		if p.listed(ids, err); err != nil {
			return err
		}
	}
	if !p.expectsLists(e.cfg.Server, e.cfg.Clock.Elapsed()) {
		return nil
	}
	begun := e.cfg.Clock.Elapsed()
	lists, err := beside.Newest(ctx, eventlog.Contacts)
	if err != nil {
		return err
	}
	p.receive(lists, begun, e.cfg.Clock.Elapsed())
	return nil
}

// DropContacts deletes this server's list when the server stops.
func (e *Engine) DropContacts(ctx context.Context, beside eventlog.Store) error {
	p := &e.presence
	p.mu.Lock()
	stored := p.sharing.sequence > 0
	p.mu.Unlock()
	if !stored {
		return nil
	}
	return beside.Drop(ctx, eventlog.Contacts, uuid.UUID(e.cfg.Server).String())
}

// list returns this server's list without its key, newest heartbeats first, and its sessions. Its data is nil if there
// is nothing to list.
func (p *presence) list(now time.Duration) (list eventlog.Item, ids []domain.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.sharing
	maps.DeleteFunc(s.heard, func(_ domain.ID, h heard) bool { return h.listed && now-h.at > listFor })
	if len(s.heard) == 0 {
		return list, nil
	}
	ids = slices.SortedFunc(maps.Keys(s.heard), func(a, b domain.ID) int {
		return cmp.Compare(s.heard[b].at, s.heard[a].at)
	})
	ids = ids[:min(len(ids), eventlog.Contacts.MaxBytes()/entryBytes)]
	for _, id := range ids {
		age := min((now - s.heard[id].at).Milliseconds(), math.MaxUint16)
		list.Data = append(list.Data, id[:]...)
		list.Data = binary.BigEndian.AppendUint16(list.Data, uint16(age)) //nolint:gosec // bounded above
	}
	s.sequence++
	list.Sequence = s.sequence
	return list, ids
}

// listed records the outcome of storing a list.
func (p *presence) listed(ids []domain.ID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sharing.err = err
	if err != nil {
		return
	}
	for _, id := range ids {
		h := p.sharing.heard[id]
		h.listed = true
		p.sharing.heard[id] = h
	}
}

// expectsLists reports whether this server holds sessions over plain HTTP while other servers run.
func (p *presence) expectsLists(self domain.ID, now time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sharing.on = false
	for server, c := range p.leases {
		p.sharing.on = p.sharing.on || server != self && !c.gone && now-c.at <= policies.LeaseStale
	}
	return p.sharing.on && p.contacts.overHTTP > 0
}

// receive records the heartbeats that other servers have listed. begun is when the read of the lists began.
func (p *presence) receive(lists map[string]eventlog.Item, begun, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sharing.lookedAt = begun
	for server, list := range lists {
		if p.sharing.read[server] == list.Sequence {
			continue
		}
		p.sharing.read[server] = list.Sequence
		for entry := range slices.Chunk(list.Data, entryBytes) {
			if len(entry) < entryBytes {
				break
			}
			age := time.Duration(binary.BigEndian.Uint16(entry[16:])) * time.Millisecond
			p.contacts.heardElsewhere(domain.ID(entry[:16]), now-age, now)
		}
	}
	maps.DeleteFunc(p.sharing.read, func(server string, _ int64) bool {
		_, stored := lists[server]
		return !stored
	})
}

// silenceOf returns for how long a session has been silent. The silence of a session over plain HTTP counts up to the
// last read of the lists, and without the time that a heartbeat may be on its way through another server.
func (p *presence) silenceOf(c contact, now time.Duration) time.Duration {
	if c.overHTTP && p.sharing.on {
		now = min(now, p.sharing.lookedAt) - shareDelay
	}
	return max(0, now-c.at)
}
