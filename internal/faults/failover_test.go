package faults

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestTheMachinesOfAKilledServerGetTheNextDeploymentFromTheOthers measures how long it takes, from the kill to the
// first line that the step writes on each machine.
func TestTheMachinesOfAKilledServerGetTheNextDeploymentFromTheOthers(t *testing.T) {
	needsTime(t)
	c := newCluster(t, shape{servers: 3, agents: 30, program: shipped})
	c.apply(shop)
	for _, a := range c.agents {
		a.start()
	}
	c.until("all machines are online", c.online)
	rounds := 3
	if long() {
		rounds = 20
	}
	for what, weather := range map[string]weather{"killed": {}, "vanished without a word": {still: true}} {
		var took []time.Duration
		for n := range rounds {
			took = append(took, c.failOver(fmt.Sprint(what[:6], "-", n), n, weather)...)
		}
		t.Logf("fail-over: %d servers %s, %d machines of theirs: the next deployment began p50 %s, p99 %s, longest %s later (grace and one tick: %s)",
			rounds, what, len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100), grace+tick)
	}
}

// failOver kills a server and deploys at once; it returns how long the server's machines waited. The weather is what
// their lines to it have from then on.
func (c *cluster) failOver(version string, round int, w weather) (took []time.Duration) {
	victim, other := c.servers[round%3], c.servers[(round+1)%3]
	c.write(other, post("/projects/shop/releases", object{"version": version}))
	names := c.onServer(victim)
	for n := range c.agents {
		c.wireTo(n, round%3).set(w)
	}
	killed := time.Now()
	victim.stop(syscall.SIGKILL)
	for _, environment := range []string{"production", "staging"} {
		c.write(other, post("/deployments", object{"project": "shop", "release": version, "environment": environment}))
	}
	c.until("each machine has begun", func() error {
		begun := map[string]time.Time{}
		for _, l := range c.lines() {
			if l.what == "begin" && l.release == version {
				begun[l.machine] = l.at
			}
		}
		if len(begun) < len(c.agents) {
			return fmt.Errorf("%d of %d have begun", len(begun), len(c.agents))
		}
		for _, name := range names {
			took = append(took, begun[name].Sub(killed))
		}
		return nil
	})
	for n := range c.agents {
		c.wireTo(n, round%3).clear()
	}
	victim.start()
	c.until("the server is back and nothing is open", func() error { return errors.Join(c.ready(), c.idle(other)) })
	c.spread()
	return slices.Clip(took)
}

// spread lets some agents connect anew, each to the server that it tries first, so that one that came back has some.
func (c *cluster) spread() {
	for n, a := range c.agents {
		if n%3 == 0 {
			a.stop(syscall.SIGTERM)
			a.start()
		}
	}
	c.until("all machines are online", c.online)
}
