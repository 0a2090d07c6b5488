package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
)

// presence is what one server has measured itself: when it last heard of each session it holds, and since
// when the lease of each other server stands still. None of it is in the log.
type presence struct {
	mu       sync.Mutex
	contacts contacts            // of the sessions here
	leases   map[domain.ID]lease // of other servers
	lastLook time.Duration       // when the leases were last seen
	readyAt  time.Duration
	isReady  bool
	beat     int64
}

type lease struct {
	value string
	at    time.Duration
	gone  bool // it has no lease at all
	// ahead is by how much the clock of the server that wrote the lease was ahead when it was seen: up to the time between
	// two looks too little.
	ahead time.Duration
	timed bool // the lease said what time it was
}

func (p *presence) init() {
	p.contacts, p.leases = newContacts(), map[domain.ID]lease{}
}

func (p *presence) ready(now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readyAt, p.isReady = now, true
	p.contacts.shift(func(time.Duration) time.Duration { return now })
}

// Heard notes that the session which began with connect was heard of now. Heartbeats end here: they
// never reach the log.
func (e *Engine) Heartbeat(machine string, connect domain.ID) {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacts.heard(machine, connect, e.cfg.Clock.Elapsed())
}

// began counts the silence of sessions from where they were folded, until they are heard of: an agent may have connected
// a moment ago, and its first heartbeat be on the way.
func (p *presence) sessionsBegan(touched []*projections.Record, self domain.ID, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range touched {
		if m := r.Machine; m != nil && m.Online && m.Server == self {
			p.contacts.add(m.Name, m.Connect, now)
		}
	}
}

// Holds says whether this server holds the session that began with connect and has heard of it within d.
func (e *Engine) HoldsSession(connect domain.ID, d time.Duration) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	at, known := p.contacts.last(connect)
	return known && e.cfg.Clock.Elapsed()-at <= d
}

// RestartTimeouts begins every count of silence anew. A server whose own watchdog was late was stopped; it
// must not blame its machines for that.
func (e *Engine) RestartTimeouts() {
	now := e.cfg.Clock.Elapsed()
	e.mu.Lock()
	e.ages.Restart(now)
	e.mu.Unlock()
	e.presence.shift(func(time.Duration) time.Duration { return now })
}

// Paused notes that this server did not run for d: that time is nobody's silence.
func (e *Engine) Paused(d time.Duration) {
	now := e.cfg.Clock.Elapsed()
	e.presence.shift(func(at time.Duration) time.Duration { return min(at+d, now) })
}

// move puts all moments from which silence is counted later.
func (p *presence) shift(later func(at time.Duration) time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacts.shift(later)
	for server, c := range p.leases {
		c.at = later(c.at)
		p.leases[server] = c
	}
	p.readyAt = later(p.readyAt)
}

// decide ends the sessions of this server that are silent, and those of servers that are gone.
func (p *presence) decide(v *projections.View, self domain.ID, now time.Duration, age projections.Age) []domain.Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isReady {
		return nil
	}
	all := policies.Offline(v, p.silentSessions(v, self, now))
	gone := func(server domain.ID) bool { return p.staleFor(server, 0) > 0 }
	return append(all, policies.Orphans(v, self, gone, func(m *projections.Machine) time.Duration {
		return p.staleFor(m.Server, now-age(m.Connected))
	})...)
}

// contacts are the sessions that the log says this server holds and that have been silent for longer than the strictest
// policy allows. What it has heard of and the log says otherwise of is forgotten.
func (p *presence) silentSessions(v *projections.View, self domain.ID, now time.Duration) []policies.Contact {
	held := func(c contact) bool {
		m := v.Machines[c.machine]
		return m != nil && m.Online && m.Server == self && m.Connect == c.connect
	}
	var list []policies.Contact
	for _, c := range p.contacts.silentSince(now-v.StrictestOfflineAfter(), held) {
		list = append(list, policies.Contact{Machine: c.machine, Connect: c.connect, Silent: now - c.at})
	}
	slices.SortFunc(list, func(a, b policies.Contact) int { return strings.Compare(a.Machine, b.Machine) })
	return list
}

// Abandoned says whether nobody keeps a machine's session any more, as far as this server sees: the server that held it
// has been gone since. age is that of the machine's session.
func (e *Engine) Abandoned(m *projections.Machine, age time.Duration) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isReady && m.Server != e.cfg.Server && p.staleFor(m.Server, e.cfg.Clock.Elapsed()-age) > 0
}

// gone says whether a server has been gone for so long that others do its work. seen is when it showed a sign of life other
// than its lease, on this server's clock.
func (e *Engine) gone(server domain.ID, seen time.Duration) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isReady && p.staleFor(server, seen) > 0
}

// stale is how long a server has been gone: since its lease stood still for policies.LeaseStale, at the earliest since
// this server was ready, or since it read that a session began there: that was a sign of life. Negative while it lives. It
// counts up to the last look at the leases: a server that does not see them must not take its own blindness for the
// silence of others.
func (p *presence) staleFor(server domain.ID, begun time.Duration) time.Duration {
	since := max(p.readyAt, begun)
	if c, ok := p.leases[server]; ok && !c.gone {
		since = max(since, c.at+policies.LeaseStale)
	} else if ok {
		since = max(since, c.at)
	}
	return p.lastLook - since
}

// Lease renews this server's lease and looks at those of the others.
func (e *Engine) RenewLease(ctx context.Context, beside eventlog.Store) error {
	p := &e.presence
	p.mu.Lock()
	p.beat++
	beat := p.beat
	p.mu.Unlock()
	if err := beside.Put(ctx, eventlog.Leases, eventlog.Lease(uuid.UUID(e.cfg.Server), e.leaseContent(beat))); err != nil {
		e.faults.append(ctx, err)
		return err
	}
	leases, err := eventlog.ReadLeases(ctx, beside)
	if err != nil {
		return err
	}
	e.faults.append(ctx, nil)
	p.updateLeases(leases, e.cfg.Clock.Elapsed(), e.cfg.Clock.Now())
	e.adoptLostEvents(leases)
	for _, server := range p.expiredLeases() {
		if err := beside.Drop(ctx, eventlog.Leases, server.String()); err != nil {
			return err
		}
	}
	return nil
}

// leaseRetention is how long the lease of a server that was killed stays, so that people see it gone. Its sessions have ended long before.
const leaseRetention = time.Hour

// forgotten are the servers whose lease has stood still for so long that nobody needs it any more.
func (p *presence) expiredLeases() (servers []domain.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for server, c := range p.leases {
		switch {
		case p.lastLook-c.at <= leaseRetention:
		case c.gone:
			delete(p.leases, server)
		default:
			servers = append(servers, server)
		}
	}
	return servers
}

// compare notes which leases have changed.
func (p *presence) updateLeases(leases map[uuid.UUID][]byte, now time.Duration, wall time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastLook = now
	for id, value := range leases {
		if c, known := p.leases[domain.ID(id)]; !known || c.value != string(value) || c.gone {
			seen := lease{value: string(value), at: now}
			if at, ok := leaseTime(value); ok && known { // the first one seen may be old
				seen.ahead, seen.timed = at.Sub(wall), true
			}
			p.leases[domain.ID(id)] = seen
		}
	}
	for id, c := range p.leases {
		if _, there := leases[uuid.UUID(id)]; !there && !c.gone {
			p.leases[id] = lease{at: now, gone: true}
		}
	}
}

// Pulse is what this server has seen of the lease of another.
type LeaseState struct {
	Server domain.ID
	// Still is for how long the lease has not changed.
	Unchanged time.Duration
	// Alive says that it has changed a moment ago.
	Alive bool
	// Ahead is by how much the other's clock is ahead of this one, within a few seconds; it counts if Timed.
	Ahead time.Duration
	Timed bool
}

// Pulses are the leases of other servers, those that were killed included, until nobody needs them any more.
func (e *Engine) Leases() (list []LeaseState) {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	for server, c := range p.leases {
		if server == e.cfg.Server || c.gone {
			continue
		}
		unchanged := max(0, p.lastLook-c.at)
		list = append(list, LeaseState{Server: server, Unchanged: unchanged, Alive: unchanged <= policies.LeaseStale, Ahead: c.ahead, Timed: c.timed})
	}
	slices.SortFunc(list, func(a, b LeaseState) int { return strings.Compare(a.Server.String(), b.Server.String()) })
	return list
}

// Back is a place to read the end of the log from: about most events before the last one folded, and never between two.
func (e *Engine) TailStart(most eventlog.Position) eventlog.Position {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.ages.AtOrBelow(e.view.Position - min(e.view.Position, most))
}
