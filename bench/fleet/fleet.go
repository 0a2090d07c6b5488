package fleet

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
)

// portsPerAddress is how many connections use one loopback address as their source, because one address does not
// have enough ports.
const portsPerAddress = 20_000

// Config configures a fleet. Address, Join, Environment and Roles are required.
type Config struct {
	Machines int
	// First is the number of the first machine, for a fleet that is split into several.
	First int
	// Address is the HOST:PORT of the server. TLS is nil for plain connections.
	Address string
	TLS     *tls.Config `json:"-"`
	// Join is a join token that is valid for all agents.
	Join        string
	Environment string
	// Roles are assigned to the machines in turn, one each.
	Roles []string
	// Heartbeat is the interval of each agent's heartbeats; 0 means none.
	Heartbeat time.Duration
}

// Fleet is a set of agents of one server.
type Fleet struct {
	cfg    Config
	salt   uuid.UUID
	agents []*Agent

	connected, offers, firstOffers, ended, beats atomic.Int64
	claims                                       atomic.Bool

	running context.Context
	end     context.CancelFunc
	all     sync.WaitGroup

	mu     sync.Mutex
	errors map[string]int
}

// New creates a fleet. No agent is connected yet.
func New(cfg Config) *Fleet {
	f := &Fleet{cfg: cfg, salt: uuid.New(), errors: map[string]int{}}
	for number := range cfg.Machines {
		f.agents = append(f.agents, newAgent(f, cfg.First+number))
	}
	f.claims.Store(true)
	f.begin()
	return f
}

// begin makes the fleet ready to connect.
func (f *Fleet) begin() {
	f.running, f.end = context.WithCancel(context.Background())
	if f.cfg.Heartbeat > 0 {
		running := f.running
		f.all.Go(func() { f.heartbeats(running) })
	}
}

// Connect starts agents from..to, at most atOnce at a time, and returns when each was welcomed.
func (f *Fleet) Connect(ctx context.Context, from, to, atOnce int) error {
	slots := make(chan struct{}, atOnce)
	for _, a := range f.agents[from:to] {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return f.connectError(ctx, to-from)
		}
		running := f.running
		a.mu.Lock()
		a.first = func() { <-slots }
		a.mu.Unlock()
		f.all.Go(func() { a.run(running) })
	}
	for range cap(slots) { // until all slots are free
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return f.connectError(ctx, to-from)
		}
	}
	return nil
}

func (f *Fleet) connectError(ctx context.Context, want int) error {
	return fmt.Errorf("%d of %d agents are connected: %w; %s", f.Connected(), want, ctx.Err(), f.Errors())
}

// since returns when the agent was last welcomed.
func (a *Agent) since() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.welcomed
}

// Goodbye disconnects all agents with a goodbye, so that their machines go offline immediately. The fleet can connect
// again.
func (f *Fleet) Goodbye() {
	bye := message(client.FromAgent{Goodbye: &client.Goodbye{}})
	f.end()
	for _, a := range f.agents {
		a.send(bye)
	}
	f.all.Wait() // the server closes each connection
	f.begin()
}

// Stop drops all connections and ends all agents.
func (f *Fleet) Stop() {
	f.end()
	for _, a := range f.agents {
		a.mu.Lock()
		if a.wire != nil {
			a.wire.close()
		}
		a.mu.Unlock()
	}
	f.all.Wait()
}

// beatSlots is the number of groups over which heartbeats are spread within their interval.
const beatSlots = 200

func (f *Fleet) heartbeats(running context.Context) {
	beat := message(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	ticker := time.NewTicker(f.cfg.Heartbeat / beatSlots)
	defer ticker.Stop()
	for slot := 0; ; slot++ {
		for i := slot % beatSlots; i < len(f.agents); i += beatSlots {
			f.agents[i].send(beat)
			f.beats.Add(1)
		}
		select {
		case <-ticker.C:
		case <-running.Done():
			return
		}
	}
}

// Connected returns how many agents were welcomed and are connected.
func (f *Fleet) Connected() int { return int(f.connected.Load()) }

// Offers returns how many offers were received, including repeated ones.
func (f *Fleet) Offers() int { return int(f.offers.Load()) }

// FirstOffers returns how many parts were offered. The server repeats an offer with the next heartbeat if it is not
// claimed.
func (f *Fleet) FirstOffers() int { return int(f.firstOffers.Load()) }

// Ended returns how many ends of parts the server has confirmed.
func (f *Fleet) Ended() int { return int(f.ended.Load()) }

// Redeployed returns how many deployments were offered, or parts carried out, beyond the first one of each machine.
func (f *Fleet) Redeployed() (sum int) {
	for _, a := range f.agents {
		a.mu.Lock()
		sum += max(0, a.firstOffers-1, a.completed-1)
		a.mu.Unlock()
	}
	return sum
}

// Heartbeats returns how many heartbeats were sent.
func (f *Fleet) Heartbeats() int { return int(f.beats.Load()) }

// SetAutoClaim sets whether agents claim offers immediately. Otherwise they wait for ClaimAll.
func (f *Fleet) SetAutoClaim(atOnce bool) { f.claims.Store(atOnce) }

// ClaimAll makes all agents claim their offers.
func (f *Fleet) ClaimAll() {
	for _, a := range f.agents {
		_ = a.claim() // after a lost connection the server repeats the offer
	}
}

// Offered returns the times of the first offers of parts since the given time, in order.
func (f *Fleet) Offered(since time.Time) []time.Time {
	var when []time.Time
	for _, a := range f.agents {
		a.mu.Lock()
		if a.offered.After(since) {
			when = append(when, a.offered)
		}
		a.mu.Unlock()
	}
	slices.SortFunc(when, time.Time.Compare)
	return when
}

// Welcomed returns the times at which agents were welcomed since the given time, in order.
func (f *Fleet) Welcomed(since time.Time) []time.Time {
	var when []time.Time
	for _, a := range f.agents {
		if at := a.since(); at.After(since) {
			when = append(when, at)
		}
	}
	slices.SortFunc(when, time.Time.Compare)
	return when
}

// Attempts returns the total number of connection attempts of all agents.
func (f *Fleet) Attempts() (sum int) {
	for _, a := range f.agents {
		a.mu.Lock()
		sum += a.attempts
		a.mu.Unlock()
	}
	return sum
}

// Until polls condition until it returns true. It returns an error after timeout.
func Until(timeout time.Duration, condition func() bool) error {
	for deadline := time.Now().Add(timeout); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("timed out after %s", timeout)
		}
	}
	return nil
}

func (f *Fleet) recordError(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if text := err.Error(); len(f.errors) < 50 || f.errors[text] > 0 {
		f.errors[text]++
	}
}

// Errors lists the errors with which connections were lost or refused, with their counts.
func (f *Fleet) Errors() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprint(f.errors)
}
