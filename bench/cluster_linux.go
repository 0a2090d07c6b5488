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

// cluster is several servers that share one log in PostgreSQL, each with a share of the fleet, which a process of its own holds.
type cluster struct {
	postgres *postgrestest.Server
	servers  []*stage // without fleets
	shares   []*fleet.Share
}

// clusterPatience is how long a share may take to connect. All of them share the cores with all servers.
const clusterPatience = 20 * time.Minute

// openCluster starts servers and shares of so many agents each, which are not connected yet.
func (o options) openCluster(servers, each int, s setting) (c *cluster, err error) {
	c = &cluster{}
	if c.postgres, err = postgrestest.Run(postgrestest.Config{}); err != nil {
		return nil, c.closed(err)
	}
	for i := range servers {
		if err := o.addServer(c, s); err != nil {
			return nil, c.closed(fmt.Errorf("server %d: %w", i+1, err))
		}
	}
	if err := c.servers[0].furnish(s); err != nil {
		return nil, c.closed(err)
	}
	for i, server := range c.servers {
		token, err := server.joinToken() // one each: a token is used by one agent after another, over all servers
		if err != nil {
			return nil, c.closed(err)
		}
		share, err := fleet.StartShare(shareWord, fleet.Config{Machines: each, First: i * each, Address: server.Address, Join: token,
			Environment: "production", Roles: s.roles, Heartbeat: s.heartbeat})
		if err != nil {
			return nil, c.closed(err)
		}
		c.shares = append(c.shares, share)
	}
	return c, nil
}

func (o options) addServer(c *cluster, s setting) error {
	folder, err := os.MkdirTemp(o.folder, "server-")
	if err != nil {
		return err
	}
	server, err := process.Start(process.Config{Binary: o.binary, Folder: folder, Tick: s.tick, Log: c.postgres.URL("schema=drover")})
	if err != nil {
		return err
	}
	c.servers = append(c.servers, &stage{Server: server})
	return nil
}

// close ends everything.
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

// all does something with each share at the same time.
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
	return c.all(func(s *fleet.Share) error { return s.Connect(atOnce/len(c.shares), clusterPatience) })
}

// state is that of all shares together.
func (c *cluster) state() (sum fleet.State, err error) {
	var mu sync.Mutex
	err = c.all(func(s *fleet.Share) error {
		one, err := s.State()
		mu.Lock()
		defer mu.Unlock()
		sum.Connected, sum.Offers, sum.Orders = sum.Connected+one.Connected, sum.Offers+one.Offers, sum.Orders+one.Orders
		sum.Ended, sum.Again, sum.Faults = sum.Ended+one.Ended, sum.Again+one.Again, sum.Faults+one.Faults
		return err
	})
	return sum, err
}

// until waits until the shares together are in a state.
func (c *cluster) until(what string, reached func(fleet.State) bool) error {
	var last fleet.State
	var fault error
	err := fleet.Until(patience, func() bool {
		time.Sleep(50 * time.Millisecond) // asking takes the cores from what is asked about
		last, fault = c.state()
		return fault != nil || reached(last)
	})
	if err != nil {
		err = fmt.Errorf("%s: %w; it stands at %+v", what, err, last)
	}
	return errors.Join(err, fault)
}

// offered are the moments at which parts were handed over since, for the first time, in order.
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

// cost is the processor time of the servers, and of PostgreSQL.
type cost struct{ servers, postgres time.Duration }

func (c *cluster) used() (now cost) {
	for _, server := range c.servers {
		now.servers += process.CPU(server.PID())
	}
	for _, pid := range process.Family(c.postgres.PID()) {
		now.postgres += process.CPU(pid)
	}
	return now
}

// spend is what something costs, and how long it takes.
func (c *cluster) spend(do func() error) (spent cost, took time.Duration, err error) {
	before, lap := c.used(), stopwatch()
	err = do()
	took = lap()
	after := c.used()
	return cost{after.servers - before.servers, after.postgres - before.postgres}, took, err
}

// decisions are how many deployments each server has queued.
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

// tickOf is when the tick began that gave the first order: that of the server that has queued deployments since before, the
// first one if there are several.
func (c *cluster) tickOf(order time.Time, before []float64) (begun time.Time, deciders int, err error) {
	ended := func() bool { // a server counts what it decided at the end of the tick
		now, failure := c.decisions()
		deciders, err = 0, failure
		for i := range now {
			if now[i] > before[i] {
				deciders++
			}
		}
		return failure == nil && deciders > 0
	}
	if err := fleet.Until(patience, ended); err != nil {
		return begun, 0, fmt.Errorf("no server says that it has queued a deployment: %w", err)
	}
	now, err := c.decisions()
	if err != nil {
		return begun, 0, err
	}
	for i, server := range c.servers {
		if now[i] <= before[i] {
			continue
		}
		at, err := server.tickOf(order)
		if err != nil {
			continue // its tick is not that of the first order
		}
		if begun.IsZero() || at.Before(begun) {
			begun = at
		}
	}
	if begun.IsZero() {
		return begun, deciders, errors.New("no server's tick is that of the first order")
	}
	return begun, deciders, nil
}

// memory is what the servers hold together, and what PostgreSQL does.
func (c *cluster) memory() (servers, postgres int64) {
	for _, server := range c.servers {
		servers += process.MemoryOf(server.PID()).RSS
	}
	for _, pid := range process.Family(c.postgres.PID()) {
		postgres += process.MemoryOf(pid).PSS
	}
	return servers, postgres
}
