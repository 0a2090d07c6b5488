package faults

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// fault is something that goes wrong.
type fault struct {
	name string
	// place is what it is done to; no two faults are done to one place at once.
	place string
	// span is how long it lasts; 0: it is over at once.
	span func(*rand.Rand) time.Duration
	// do makes it happen; what it returns undoes it.
	do func(c *cluster, random *rand.Rand) (undo func())
}

// seconds is a span of so many seconds.
func seconds(least, most float64) func(*rand.Rand) time.Duration {
	return func(random *rand.Rand) time.Duration {
		return time.Duration((least + random.Float64()*(most-least)) * float64(time.Second))
	}
}

func atOnce(*rand.Rand) time.Duration { return 0 }

// away is how long PostgreSQL is away: two minutes where there is time.
func away(random *rand.Rand) time.Duration {
	if long() && random.IntN(4) == 0 {
		return 2 * time.Minute
	}
	return seconds(2, 8)(random)
}

func nothing() {}

// onLog is a fault of the line between one server and its log.
func onLog(name string, span func(*rand.Rand) time.Duration, w weather) fault {
	return fault{name, "log line", span, func(c *cluster, random *rand.Rand) func() {
		line := c.servers[random.IntN(len(c.servers))].toLog
		line.set(w)
		if w.refuse {
			line.cut()
		}
		return func() {
			line.set(weather{})
			if !w.still && w.delay == 0 { // what is late arrives at last; where something was lost nothing fits any more
				line.cut()
			}
		}
	}}
}

// onAgents is a fault of the lines between one server and some agents.
func onAgents(name string, span func(*rand.Rand) time.Duration, w weather) fault {
	return fault{name, "agents", span, func(c *cluster, random *rand.Rand) func() {
		server := random.IntN(len(c.servers))
		var lines []*wire
		for n := range c.agents {
			if random.IntN(2) == 0 {
				lines = append(lines, c.wireTo(n, server))
			}
		}
		for _, line := range lines {
			line.set(w)
			if w.refuse {
				line.cut()
			}
		}
		return func() {
			for _, line := range lines {
				line.clear()
			}
		}
	}}
}

// onPeople is a fault of the line on which a server is commanded.
func onPeople(name string, w weather) fault {
	return fault{name, "people", seconds(1, 3), func(c *cluster, random *rand.Rand) func() {
		line := c.servers[random.IntN(len(c.servers))].people
		line.set(w)
		return line.clear
	}}
}

// faults are all that is done, each as often as the others.
var faults = []fault{
	{"server killed", "server", atOnce, func(c *cluster, random *rand.Rand) func() {
		c.servers[random.IntN(len(c.servers))].signal(syscall.SIGKILL)
		return nothing
	}},
	{"server told to stop", "server", atOnce, func(c *cluster, random *rand.Rand) func() {
		s := c.servers[random.IntN(len(c.servers))]
		s.stop(syscall.SIGTERM)
		s.start()
		return nothing
	}},
	{"server killed before an append", "server", atOnce, atPoint("before-append")},
	{"server killed after an append", "server", atOnce, atPoint("after-append")},
	{"server killed after an answer", "server", atOnce, atPoint("after-answer")},
	{"server stopped", "server", seconds(3, 8), func(c *cluster, random *rand.Rand) func() {
		s := c.servers[random.IntN(len(c.servers))]
		s.signal(syscall.SIGSTOP)
		return func() { s.signal(syscall.SIGCONT) }
	}},
	{"server stopped before an append", "server", seconds(3, 8), func(c *cluster, random *rand.Rand) func() {
		s := c.servers[random.IntN(len(c.servers))]
		s.with(fmt.Sprintf("DROVER_FAILPOINT=before-append:%d:stop", 2+random.IntN(20)))
		deadline := time.Now().Add(10 * time.Second)
		for !s.stopped() && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if !s.stopped() {
			s.signal(syscall.SIGKILL) // or it would stop some time later, and nobody would wake it
			return nothing
		}
		c.hits.Add(1)
		return func() { s.signal(syscall.SIGCONT) }
	}},
	onLog("log cut off", seconds(1, 6), weather{refuse: true}),
	onLog("log half-open", seconds(2, 12), weather{still: true}),
	onLog("log's answers lost", seconds(1, 4), weather{deafDown: true}),
	onLog("log does not hear", seconds(1, 4), weather{deafUp: true}),
	onLog("log slow", seconds(2, 5), weather{delay: 300 * time.Millisecond}),
	onAgents("agents cut off", seconds(1, 8), weather{refuse: true}),
	onAgents("agents half-open", seconds(2, 8), weather{still: true}),
	onAgents("agents do not hear", seconds(2, 8), weather{deafDown: true}),
	onAgents("agents are not heard", seconds(2, 8), weather{deafUp: true}),
	onPeople("answers to people lost", weather{deafDown: true}),
	onPeople("people half-open", weather{still: true}),
	{"agents killed", "agents", atOnce, func(c *cluster, random *rand.Rand) func() {
		for _, a := range someAgents(c, random) {
			a.signal(syscall.SIGKILL)
		}
		return nothing
	}},
	{"agents away", "agents", seconds(1, 8), func(c *cluster, random *rand.Rand) func() {
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
	{"PostgreSQL restarted", "PostgreSQL", atOnce, func(c *cluster, _ *rand.Rand) func() {
		c.stopLog(postgrestest.Immediate)
		c.startLog()
		return nothing
	}},
	{"PostgreSQL killed", "PostgreSQL", atOnce, func(c *cluster, _ *rand.Rand) func() {
		c.stopLog(postgrestest.Kill)
		c.startLog()
		return nothing
	}},
	{"PostgreSQL away", "PostgreSQL", away, func(c *cluster, _ *rand.Rand) func() {
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
			c.stopLog(postgrestest.Immediate) // it may have ended itself
			c.startLog()
		}
	}},
}

// atPoint is the end of a server at a named point, a few times after its next start.
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

// startLog starts PostgreSQL. After a kill -9 the rest of its processes take a moment to go, and until then it does not start.
func (c *cluster) startLog() {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = c.pg.Start(); err == nil {
			return
		}
	}
	c.t.Errorf("start PostgreSQL: %v", err)
}
