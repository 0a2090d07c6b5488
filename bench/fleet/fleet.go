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

// portsEach is how many connections leave from one loopback address; there are not enough ports for all on one.
const portsEach = 20_000

// Config says what agents there are. Address, Join, Environment and Roles are required.
type Config struct {
	Machines int
	// First is the number of the first machine, where several fleets make one.
	First int
	// Address is HOST:PORT of the server; TLS is nil for plain connections.
	Address string
	TLS     *tls.Config `json:"-"`
	// Join is the text of a join token without a limit of uses.
	Join        string
	Environment string
	// Roles are given to the machines in turn, one each.
	Roles []string
	// Heartbeat is how often each agent says that it lives; 0: never.
	Heartbeat time.Duration
}

// Fleet is many agents of one server.
type Fleet struct {
	cfg    Config
	salt   uuid.UUID
	agents []*Agent

	connected, offers, orders, ended, beats atomic.Int64
	claims                                  atomic.Bool

	life context.Context
	end  context.CancelFunc
	all  sync.WaitGroup

	mu     sync.Mutex
	faults map[string]int
}

// New makes a fleet, of which nobody is connected yet.
func New(cfg Config) *Fleet {
	f := &Fleet{cfg: cfg, salt: uuid.New(), faults: map[string]int{}}
	for number := range cfg.Machines {
		f.agents = append(f.agents, newAgent(f, cfg.First+number))
	}
	f.claims.Store(true)
	f.begin()
	return f
}

// begin is a new life of the fleet.
func (f *Fleet) begin() {
	f.life, f.end = context.WithCancel(context.Background())
	if f.cfg.Heartbeat > 0 {
		life := f.life
		f.all.Go(func() { f.heartbeats(life) })
	}
}

// Connect lets agents from..to begin their lives, so many at a time, and returns once each was welcomed.
func (f *Fleet) Connect(ctx context.Context, from, to, atOnce int) error {
	room := make(chan struct{}, atOnce)
	for _, a := range f.agents[from:to] {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return f.short(ctx, to-from)
		}
		life := f.life
		a.mu.Lock()
		a.first = func() { <-room }
		a.mu.Unlock()
		f.all.Go(func() { a.live(life) })
	}
	for range cap(room) { // all places are free again
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return f.short(ctx, to-from)
		}
	}
	return nil
}

func (f *Fleet) short(ctx context.Context, want int) error {
	return fmt.Errorf("%d of %d agents are connected: %w; %s", f.Connected(), want, ctx.Err(), f.Faults())
}

// since is when the agent was welcomed last.
func (a *Agent) since() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.welcomed
}

// Goodbye ends all agents; each says so, and the server calls their machines offline at once. The fleet may connect again.
func (f *Fleet) Goodbye() {
	bye := message(client.FromAgent{Goodbye: &client.Goodbye{}})
	f.end()
	for _, a := range f.agents {
		a.say(bye)
	}
	f.all.Wait() // the server closes each connection
	f.begin()
}

// Stop drops all connections.
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

// beatSlots spreads the heartbeats over their interval.
const beatSlots = 200

func (f *Fleet) heartbeats(life context.Context) {
	beat := message(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	ticker := time.NewTicker(f.cfg.Heartbeat / beatSlots)
	defer ticker.Stop()
	for slot := 0; ; slot++ {
		for i := slot % beatSlots; i < len(f.agents); i += beatSlots {
			f.agents[i].say(beat)
			f.beats.Add(1)
		}
		select {
		case <-ticker.C:
		case <-life.Done():
			return
		}
	}
}

// Connected is how many agents were welcomed and have a connection.
func (f *Fleet) Connected() int { return int(f.connected.Load()) }

// Offers is how many parts were handed over so far, Ended how many of them are in the log as succeeded.
func (f *Fleet) Offers() int { return int(f.offers.Load()) }

// Orders is how many parts were handed over for the first time: what is not claimed is offered again with the next heartbeat.
func (f *Fleet) Orders() int { return int(f.orders.Load()) }

// Ended is how many parts the server has confirmed the end of.
func (f *Fleet) Ended() int { return int(f.ended.Load()) }

// Again is how often a machine was given work of another deployment than its first, or carried out a part after its first.
func (f *Fleet) Again() (sum int) {
	for _, a := range f.agents {
		a.mu.Lock()
		sum += max(0, a.orders-1, a.carried-1)
		a.mu.Unlock()
	}
	return sum
}

// Beats is how many heartbeats were sent.
func (f *Fleet) Beats() int { return int(f.beats.Load()) }

// Claims says whether agents claim what they are offered at once; else they wait for ClaimAll.
func (f *Fleet) Claims(atOnce bool) { f.claims.Store(atOnce) }

// ClaimAll lets all agents claim what they were offered.
func (f *Fleet) ClaimAll() {
	for _, a := range f.agents {
		_ = a.claim() // a connection that is lost comes back and is offered again
	}
}

// Offered are the moments at which parts were handed over since, for the first time, in order.
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

// Welcomed are the moments at which agents were welcomed since, in order.
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

// Attempts is how often the agents have tried to connect, all together.
func (f *Fleet) Attempts() (sum int) {
	for _, a := range f.agents {
		a.mu.Lock()
		sum += a.attempts
		a.mu.Unlock()
	}
	return sum
}

// Until waits until the condition holds, or for patience.
func Until(patience time.Duration, condition func() bool) error {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("it did not come about within %s", patience)
		}
	}
	return nil
}

func (f *Fleet) complain(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if text := err.Error(); len(f.faults) < 50 || f.faults[text] > 0 {
		f.faults[text]++
	}
}

// Faults are the reasons for which connections were lost or not made.
func (f *Fleet) Faults() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprint(f.faults)
}
