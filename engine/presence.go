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

// presence is what one server measures itself: when it last heard from each of its sessions, and since when the lease
// of each other server is unchanged. None of it is in the log.
type presence struct {
	mu       sync.Mutex
	contacts contacts            // last contact with each session on this server
	leases   map[domain.ID]lease // of other servers
	lastLook time.Duration       // when the leases were last read
	readyAt  time.Duration
	isReady  bool
	beat     int64
	sharing  sharing
}

type lease struct {
	value string
	at    time.Duration
	gone  bool // the server has no lease any more
	// shown is what the clock of the lease's server showed when it wrote the lease. The lease was written before at, by at
	// most the time between two reads of the leases. shown is zero if unknown.
	shown time.Time
}

func (p *presence) init() {
	p.contacts, p.leases = newContacts(), map[domain.ID]lease{}
	p.sharing.heard, p.sharing.read = map[domain.ID]heard{}, map[string]int64{}
}

func (p *presence) ready(now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readyAt, p.isReady = now, true
	p.contacts.shift(func(time.Duration) time.Duration { return now })
}

// Heartbeat records that the session that began with connect was heard from now. Heartbeats are not written to the log.
func (e *Engine) Heartbeat(machine string, connect domain.ID) {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacts.record(machine, connect, e.cfg.Clock.Elapsed())
}

// HeartbeatOverHTTP is Heartbeat for a session over plain HTTP.
func (e *Engine) HeartbeatOverHTTP(machine string, connect domain.ID) {
	e.Heartbeat(machine, connect)
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacts.markOverHTTP(connect)
}

// sessionsBegan starts the timeout of new sessions when they are folded. The first heartbeat may
// still be on its way.
func (p *presence) sessionsBegan(touched []*projections.Record, self domain.ID, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range touched {
		if m := r.Machine; m != nil && m.Online && m.Server == self {
			p.contacts.add(m.Name, m.Connect, now)
		}
	}
}

// silence returns how long ago a machine was heard from, and false if server self does not hold its session.
func (p *presence) silence(m *projections.Machine, self domain.ID, now time.Duration) (d time.Duration, held bool) {
	if m.Server != self {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c, known := p.contacts.get(m.Connect)
	if !known || !p.isReady {
		return 0, false
	}
	return p.silenceOf(*c, now), true
}

// HoldsSession reports whether this server holds the session that began with connect, and heard from it within d.
func (e *Engine) HoldsSession(connect domain.ID, d time.Duration) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	at, known := p.contacts.last(connect)
	return known && e.cfg.Clock.Elapsed()-at <= d
}

// RestartTimeouts restarts all timeouts. The watchdog calls it after this server was suspended, because the server must
// not treat the machines as silent for that time.
func (e *Engine) RestartTimeouts() {
	now := e.cfg.Clock.Elapsed()
	e.mu.Lock()
	e.ages.Restart(now)
	e.mu.Unlock()
	e.presence.shift(func(time.Duration) time.Duration { return now })
}

// Paused excludes the last d from all timeouts, because this server did not run or could not use the log for that long.
func (e *Engine) Paused(d time.Duration) {
	now := e.cfg.Clock.Elapsed()
	e.mu.Lock()
	e.ages.Delay(d, now)
	e.mu.Unlock()
	e.presence.shift(func(at time.Duration) time.Duration { return min(at+d, now) })
}

// shift moves the start of all timeouts.
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

// decide ends the silent sessions of this server, and the sessions of servers that are gone.
func (p *presence) decide(v *projections.View, self domain.ID, now time.Duration,
	age projections.Age) []domain.Decision {
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

// silentSessions returns the sessions that this server holds according to the log, and that were silent for longer than
// the strictest policy allows. It drops the contacts of other sessions.
func (p *presence) silentSessions(v *projections.View, self domain.ID, now time.Duration) []policies.Contact {
	held := func(c contact) bool {
		m := v.Machines[c.machine]
		return m != nil && m.Online && m.Server == self && m.Connect == c.connect
	}
	var list []policies.Contact
	for _, c := range p.contacts.silentSince(now-v.StrictestOfflineAfter(), held) {
		list = append(list, policies.Contact{Machine: c.machine, Connect: c.connect, Silent: p.silenceOf(c, now)})
	}
	slices.SortFunc(list, func(a, b policies.Contact) int { return strings.Compare(a.Machine, b.Machine) })
	return list
}

// handedOverAfter is how long the lease of a server is unchanged until the server has closed its sessions, if it runs at
// all: it reads the log every second, waits CutOffAfter, and looks every second. The rest of LeaseStale is the time that
// a restarted agent has to connect to another server.
const handedOverAfter = CutOffAfter + 2*time.Second

// Abandoned reports whether a machine's session is without a server: the server that held it is gone since, or has handed
// its agents over. A restarted agent has another session, and may then connect to this server. Its machine goes offline
// only later, when that server counts as gone. age is the age of the session.
func (e *Engine) Abandoned(m *projections.Machine, age time.Duration) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	begun := e.cfg.Clock.Elapsed() - age
	return p.isReady && m.Server != e.cfg.Server && p.unchangedFor(m.Server, begun, handedOverAfter) > 0
}

// gone reports whether a server has been gone for so long that others take over its work. seen is the time of its last
// activity besides its lease, on this server's clock.
func (e *Engine) gone(server domain.ID, seen time.Duration) bool {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isReady && p.staleFor(server, seen) > 0
}

// staleFor returns how long a server has been gone; negative while it is alive.
func (p *presence) staleFor(server domain.ID, begun time.Duration) time.Duration {
	return p.unchangedFor(server, begun, policies.LeaseStale)
}

// unchangedFor returns for how much longer than after the lease of a server has been unchanged; negative if it changed
// later. It does not count from before this server was ready or from before begun, when the server was last seen active.
// It counts up to the last read of the leases: a server that cannot read them must not treat others as gone.
func (p *presence) unchangedFor(server domain.ID, begun, after time.Duration) time.Duration {
	since := max(p.readyAt, begun)
	if c, ok := p.leases[server]; ok && !c.gone {
		since = max(since, c.at+after)
	} else if ok {
		since = max(since, c.at)
	}
	return p.lastLook - since
}

// RenewLease renews this server's lease and reads those of the others.
func (e *Engine) RenewLease(ctx context.Context, beside eventlog.Store) error {
	p := &e.presence
	p.mu.Lock()
	p.beat++
	beat := p.beat
	p.mu.Unlock()
	var leases map[uuid.UUID][]byte
	err := e.measure(ctx, writing, func() error {
		err := beside.Put(ctx, eventlog.Leases, eventlog.Lease(uuid.UUID(e.cfg.Server), e.leaseContent(beat)))
		if err != nil {
			e.faults.append(ctx, err)
			return err
		}
		leases, err = eventlog.ReadLeases(ctx, beside)
		return err
	})
	if err != nil {
		return err
	}
	e.faults.append(ctx, nil)
	p.updateLeases(leases, e.cfg.Clock.Elapsed())
	e.readClocks()
	e.adoptLostEvents(leases)
	e.refreshDoubts(leases)
	e.checkDoubts()
	for _, server := range p.expiredLeases() {
		for _, c := range []eventlog.Collection{eventlog.Contacts, eventlog.Leases} {
			if err := beside.Drop(ctx, c, server.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaseRetention is how long the lease of a killed server is retained, so that people see it as gone. Its sessions have
// ended long before.
const leaseRetention = time.Hour

// expiredLeases returns the servers whose lease has been unchanged for longer than leaseRetention.
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

// updateLeases records which leases have changed.
func (p *presence) updateLeases(leases map[uuid.UUID][]byte, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastLook = now
	for id, value := range leases {
		if c, known := p.leases[domain.ID(id)]; !known || c.value != string(value) || c.gone {
			seen := lease{value: string(value), at: now}
			if at, ok := leaseTime(value); ok && known { // the first value that is read may be old
				seen.shown = at
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

// LeaseState is what this server knows about the lease of another server.
type LeaseState struct {
	Server domain.ID
	// Unchanged is how long the lease has not changed.
	Unchanged time.Duration
	// Alive is set if the lease has changed recently.
	Alive bool
	// Ahead is how far the other clock is ahead of this one, within a few seconds. It is valid if Timed is set.
	Ahead time.Duration
	Timed bool
}

// Leases returns the state of the leases of other servers, including killed ones until leaseRetention has passed.
func (e *Engine) Leases() (list []LeaseState) {
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	now, wall := e.cfg.Clock.Elapsed(), e.cfg.Clock.Now()
	for server, c := range p.leases {
		if server == e.cfg.Server || c.gone {
			continue
		}
		unchanged := max(0, p.lastLook-c.at)
		list = append(list, LeaseState{Server: server, Unchanged: unchanged, Alive: unchanged <= policies.LeaseStale,
			Ahead: c.shown.Add(now - c.at).Sub(wall), Timed: !c.shown.IsZero()})
	}
	slices.SortFunc(list, func(a, b LeaseState) int { return strings.Compare(a.Server.String(), b.Server.String()) })
	return list
}

// TailStart returns a position from which to read about the last most events. It is the position of an event.
func (e *Engine) TailStart(most eventlog.Position) eventlog.Position {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.ages.AtOrBelow(e.view.Position - min(e.view.Position, most))
}
