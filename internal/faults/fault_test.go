package faults

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// fault is a failure that is injected into a cluster.
type fault struct {
	name string
	// place is the affected component. At most one fault affects a place at a time.
	place string
	// span is the duration of the fault; 0 means that it is undone immediately.
	span func(*rand.Rand) time.Duration
	// do injects the fault. The returned function undoes it.
	do func(c *cluster, random *rand.Rand) (undo func())
}

// seconds returns a random duration between least and most seconds.
func seconds(least, most float64) func(*rand.Rand) time.Duration {
	return func(random *rand.Rand) time.Duration {
		return time.Duration((least + random.Float64()*(most-least)) * float64(time.Second))
	}
}

func noDuration(*rand.Rand) time.Duration { return 0 }

// outage returns how long PostgreSQL is down: up to two minutes in long runs.
func outage(random *rand.Rand) time.Duration {
	if long() && random.IntN(4) == 0 {
		return 2 * time.Minute
	}
	return seconds(2, 8)(random)
}

func nothing() {}

// onLog is a fault of the network between one server and its log.
func onLog(name string, span func(*rand.Rand) time.Duration, w conditions) fault {
	return fault{name, "log proxy", span, func(c *cluster, random *rand.Rand) func() {
		p := c.servers[random.IntN(len(c.servers))].toLog
		p.set(w)
		if w.refuse {
			p.cut()
		}
		return func() {
			p.set(conditions{})
			// Stalled and delayed data arrives later; after lost data a connection is unusable.
			if !w.stalled && w.delay == 0 {
				p.cut()
			}
		}
	}}
}

// onAgents is a fault of the network between one server and some agents.
func onAgents(name string, span func(*rand.Rand) time.Duration, w conditions) fault {
	return fault{name, "agents", span, func(c *cluster, random *rand.Rand) func() {
		server := random.IntN(len(c.servers))
		var proxies []*proxy
		for n := range c.agents {
			if random.IntN(2) == 0 {
				proxies = append(proxies, c.proxyTo(n, server))
			}
		}
		for _, p := range proxies {
			p.set(w)
			if w.refuse {
				p.cut()
			}
		}
		return func() {
			for _, p := range proxies {
				p.clear()
			}
		}
	}}
}

// onUsers is a fault of the network between users and a server.
func onUsers(name string, w conditions) fault {
	return fault{name, "users", seconds(1, 3), func(c *cluster, random *rand.Rand) func() {
		p := c.servers[random.IntN(len(c.servers))].users
		p.set(w)
		return p.clear
	}}
}

// faults lists all faults. Each is injected equally often.
var faults = []fault{
	{"server killed", "server", noDuration, func(c *cluster, random *rand.Rand) func() {
		c.servers[random.IntN(len(c.servers))].signal(syscall.SIGKILL)
		return nothing
	}},
	{"server restarted by SIGTERM", "server", noDuration, func(c *cluster, random *rand.Rand) func() {
		s := c.servers[random.IntN(len(c.servers))]
		s.stop(syscall.SIGTERM)
		s.start()
		return nothing
	}},
	{"server killed before an append", "server", noDuration, atPoint("before-append")},
	{"server killed after an append", "server", noDuration, atPoint("after-append")},
	{"server killed after an answer", "server", noDuration, atPoint("after-answer")},
	{"server suspended", "server", seconds(3, 8), func(c *cluster, random *rand.Rand) func() {
		s := c.servers[random.IntN(len(c.servers))]
		s.signal(syscall.SIGSTOP)
		return func() { s.signal(syscall.SIGCONT) }
	}},
	{"server suspended before an append", "server", seconds(3, 8), func(c *cluster, random *rand.Rand) func() {
		s := c.servers[random.IntN(len(c.servers))]
		s.with(fmt.Sprintf("DROVER_FAILPOINT=before-append:%d:stop", 2+random.IntN(20)))
		deadline := time.Now().Add(10 * time.Second)
		for !s.stopped() && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if !s.stopped() {
			s.signal(syscall.SIGKILL) // otherwise it could be suspended later, and nothing would resume it
			return nothing
		}
		c.hits.Add(1)
		return func() { s.signal(syscall.SIGCONT) }
	}},
	onLog("log disconnected", seconds(1, 6), conditions{refuse: true}),
	onLog("log half-open", seconds(2, 12), conditions{stalled: true}),
	onLog("answers from the log lost", seconds(1, 4), conditions{dropDown: true}),
	onLog("requests to the log lost", seconds(1, 4), conditions{dropUp: true}),
	onLog("log slow", seconds(2, 5), conditions{delay: 300 * time.Millisecond}),
	onAgents("agents disconnected", seconds(1, 8), conditions{refuse: true}),
	onAgents("agents half-open", seconds(2, 8), conditions{stalled: true}),
	onAgents("messages to agents lost", seconds(2, 8), conditions{dropDown: true}),
	onAgents("messages from agents lost", seconds(2, 8), conditions{dropUp: true}),
	onUsers("answers to users lost", conditions{dropDown: true}),
	onUsers("users half-open", conditions{stalled: true}),
	{"agents killed", "agents", noDuration, func(c *cluster, random *rand.Rand) func() {
		for _, a := range someAgents(c, random) {
			a.signal(syscall.SIGKILL)
		}
		return nothing
	}},
	{"agents down", "agents", seconds(1, 8), func(c *cluster, random *rand.Rand) func() {
		gone := someAgents(c, random)
		for _, a := range gone {
			a.stop(syscall.SIGKILL)
		}
		return func() {
			for _, a := range gone {
				a.start()
			}
		}
	}},
	{"PostgreSQL restarted", "PostgreSQL", noDuration, func(c *cluster, _ *rand.Rand) func() {
		c.stopLog(postgrestest.Immediate)
		c.startLog()
		return nothing
	}},
	{"PostgreSQL killed", "PostgreSQL", noDuration, func(c *cluster, _ *rand.Rand) func() {
		c.stopLog(postgrestest.Kill)
		c.startLog()
		return nothing
	}},
	{"PostgreSQL down", "PostgreSQL", outage, func(c *cluster, _ *rand.Rand) func() {
		c.stopLog(postgrestest.Immediate)
		return c.startLog
	}},
	{"disk full", "PostgreSQL", seconds(2, 6), func(c *cluster, _ *rand.Rand) func() {
		if c.disk == "" {
			return nothing
		}
		empty := fill(c.disk)
		return func() {
			empty()
			c.stopLog(postgrestest.Immediate) // it may have stopped by itself
			c.startLog()
		}
	}},
}

// atPoint ends a server at a failpoint, some calls after its next start.
func atPoint(name string) func(*cluster, *rand.Rand) func() {
	return func(c *cluster, random *rand.Rand) func() {
		s := c.servers[random.IntN(len(c.servers))]
		before := s.started()
		s.with(fmt.Sprintf("DROVER_FAILPOINT=%s:%d", name, 2+random.IntN(20)))
		deadline := time.Now().Add(10 * time.Second)
		for s.started() < before+2 && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if s.started() >= before+2 {
			c.hits.Add(1)
		}
		return nothing
	}
}

func someAgents(c *cluster, random *rand.Rand) (some []*agent) {
	for _, a := range c.agents {
		if random.IntN(3) == 0 {
			some = append(some, a)
		}
	}
	return some
}

func (c *cluster) stopLog(mode postgrestest.Mode) {
	if err := c.pg.Stop(mode); err != nil {
		c.t.Errorf("stop PostgreSQL: %v", err)
	}
}

// startLog starts PostgreSQL. After kill -9 its other processes take a moment to end, and until then the start
// fails.
func (c *cluster) startLog() {
	var err error
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = c.pg.Start(); err == nil {
			return
		}
	}
	c.t.Errorf("start PostgreSQL: %v", err)
}
