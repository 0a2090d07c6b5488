package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/bench/fleet"
	"github.com/droverhq/drover/bench/process"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// cluster is a set of servers that share one log in PostgreSQL. Each serves a share of the fleet, which runs in its
// own process.
type cluster struct {
	postgres *postgrestest.Server
	servers  []*fixture // without fleet
	shares   []*fleet.Share
}

// clusterTimeout limits how long a share may take to connect. All shares and servers compete for the same cores.
const clusterTimeout = 20 * time.Minute

// openCluster starts servers and shares with the given number of agents each. The agents are not connected yet.
func (o options) openCluster(servers, each int, s setup) (c *cluster, err error) {
	c = &cluster{}
	if c.postgres, err = postgrestest.Run(postgrestest.Config{}); err != nil {
		return nil, c.closed(err)
	}
	for i := range servers {
		if err := o.addServer(c, s); err != nil {
			return nil, c.closed(fmt.Errorf("server %d: %w", i+1, err))
		}
	}
	if err := c.servers[0].prepare(s); err != nil {
		return nil, c.closed(err)
	}
	for i, server := range c.servers {
		// One per server, because agents with the same token join one at a time, on all servers.
		token, err := server.joinToken()
		if err != nil {
			return nil, c.closed(err)
		}
		share, err := fleet.StartShare(shareWord, fleet.Config{Machines: each, First: i * each, Address: server.Address,
			Join:        token,
			Environment: "production", Roles: s.roles, Heartbeat: s.heartbeat})
		if err != nil {
			return nil, c.closed(err)
		}
		c.shares = append(c.shares, share)
	}
	return c, nil
}

func (o options) addServer(c *cluster, s setup) error {
	folder, err := os.MkdirTemp(o.folder, "server-")
	if err != nil {
		return err
	}
	server, err := process.Start(process.Config{Binary: o.binary, Folder: folder, Tick: s.tick,
		Log: c.postgres.URL("schema=drover")})
	if err != nil {
		return err
	}
	c.servers = append(c.servers, &fixture{Server: server})
	return nil
}

// close stops the shares, the servers and PostgreSQL.
func (c *cluster) close() { _ = c.closed(nil) }

func (c *cluster) closed(err error) error {
	for _, share := range c.shares {
		share.Stop()
	}
	for _, server := range c.servers {
		server.close()
	}
	if c.postgres != nil {
		c.postgres.Remove()
	}
	return err
}

// all calls do for each share concurrently.
func (c *cluster) all(do func(*fleet.Share) error) error {
	var running sync.WaitGroup
	faults := make([]error, len(c.shares))
	for i, share := range c.shares {
		running.Go(func() { faults[i] = do(share) })
	}
	running.Wait()
	return errors.Join(faults...)
}

// join connects all agents.
func (c *cluster) join() error {
	return c.all(func(s *fleet.Share) error { return s.Connect(atOnce/len(c.shares), clusterTimeout) })
}

// state returns the sum of the states of all shares.
func (c *cluster) state() (sum fleet.State, err error) {
	var mu sync.Mutex
	err = c.all(func(s *fleet.Share) error {
		one, err := s.State()
		mu.Lock()
		defer mu.Unlock()
		sum.Connected, sum.Offers, sum.FirstOffers = sum.Connected+one.Connected, sum.Offers+one.Offers,
			sum.FirstOffers+one.FirstOffers
		sum.Ended, sum.Redeployed, sum.Errors = sum.Ended+one.Ended, sum.Redeployed+one.Redeployed, sum.Errors+one.Errors
		return err
	})
	return sum, err
}

// until waits until the summed state satisfies reached.
func (c *cluster) until(what string, reached func(fleet.State) bool) error {
	var last fleet.State
	var fault error
	err := fleet.Until(timeout, func() bool {
		time.Sleep(50 * time.Millisecond) // polling competes with the servers for the cores
		last, fault = c.state()
		return fault != nil || reached(last)
	})
	if err != nil {
		err = fmt.Errorf("%s: %w; state %+v", what, err, last)
	}
	return errors.Join(err, fault)
}

// offered returns the times of the first offers of parts since the given time, in order.
func (c *cluster) offered(since time.Time) (all []time.Time, err error) {
	var mu sync.Mutex
	err = c.all(func(s *fleet.Share) error {
		some, err := s.Offered(since)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, some...)
		return err
	})
	slices.SortFunc(all, time.Time.Compare)
	return all, err
}

// cost is the processor time of the servers and of PostgreSQL.
type cost struct{ servers, postgres time.Duration }

func (c *cluster) used() (now cost) {
	for _, server := range c.servers {
		now.servers += process.CPU(server.PID())
	}
	for _, pid := range process.ProcessTree(c.postgres.PID()) {
		now.postgres += process.CPU(pid)
	}
	return now
}

// spend returns the cost of do and its duration.
func (c *cluster) spend(do func() error) (spent cost, took time.Duration, err error) {
	before, lap := c.used(), stopwatch()
	err = do()
	took = lap()
	after := c.used()
	return cost{after.servers - before.servers, after.postgres - before.postgres}, took, err
}

// decisions returns how many deployments each server has queued.
func (c *cluster) decisions() (each []float64, err error) {
	for _, server := range c.servers {
		all, err := server.Metrics()
		if err != nil {
			return nil, err
		}
		each = append(each, all[`drover_decisions_total{event="DeploymentQueued"}`])
	}
	return each, nil
}

// tickOf returns the start time of the tick that led to the first offer: the earliest tick of the servers that have
// queued deployments since before.
func (c *cluster) tickOf(offer time.Time, before []float64) (begun time.Time, deciders int, err error) {
	ended := func() bool { // a server updates its counter at the end of the tick
		now, failure := c.decisions()
		deciders, err = 0, failure
		for i := range now {
			if now[i] > before[i] {
				deciders++
			}
		}
		return failure == nil && deciders > 0
	}
	if err := fleet.Until(timeout, ended); err != nil {
		return begun, 0, fmt.Errorf("no server has reported a queued deployment: %w", err)
	}
	now, err := c.decisions()
	if err != nil {
		return begun, 0, err
	}
	for i, server := range c.servers {
		if now[i] <= before[i] {
			continue
		}
		at, err := server.tickOf(offer)
		if err != nil {
			continue // not the tick of the first offer
		}
		if begun.IsZero() || at.Before(begun) {
			begun = at
		}
	}
	if begun.IsZero() {
		return begun, deciders, errors.New("no tick found for the first offer")
	}
	return begun, deciders, nil
}

// memory returns the memory of all servers and of PostgreSQL, in bytes.
func (c *cluster) memory() (servers, postgres int64) {
	for _, server := range c.servers {
		servers += process.MemoryOf(server.PID()).RSS
	}
	for _, pid := range process.ProcessTree(c.postgres.PID()) {
		postgres += process.MemoryOf(pid).PSS
	}
	return servers, postgres
}
