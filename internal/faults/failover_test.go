package faults

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// TestMachinesOfKilledServerGetNextDeploymentFromOthers measures the time from the kill to the first line that the
// step writes on each machine.
func TestMachinesOfKilledServerGetNextDeploymentFromOthers(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 3, agents: 30, program: released})
	c.apply(shop)
	for _, a := range c.agents {
		a.start()
	}
	c.until("all machines are online", c.online)
	rounds := 3
	if long() {
		rounds = 20
	}
	for what, conditions := range map[string]conditions{"killed": {}, "vanished silently": {stalled: true}} {
		var took []time.Duration
		for n := range rounds {
			took = append(took, c.failOver(fmt.Sprint(what[:6], "-", n), n, conditions)...)
		}
		t.Logf("failover: %d servers %s, with %d machines: their next deployment began after p50 %s, p99 %s, max %s "+
			"(grace and one tick: %s)",
			rounds, what, len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100), grace+tick)
	}
}

// failOver kills a server, deploys immediately, and returns how long the server's machines waited. w is the state of
// their proxies to that server after the kill.
func (c *cluster) failOver(version string, round int, w conditions) (took []time.Duration) {
	victim, other := c.servers[round%3], c.servers[(round+1)%3]
	c.write(other, post("/projects/shop/releases", object{"version": version}))
	names := c.onServer(victim)
	for n := range c.agents {
		c.proxyTo(n, round%3).set(w)
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
		c.proxyTo(n, round%3).clear()
	}
	victim.start()
	c.until("the server is ready and no deployment is open",
		func() error { return errors.Join(c.ready(), c.idle(other)) })
	c.spread()
	return slices.Clip(took)
}

// spread reconnects some agents to the server that each tries first, so that a restarted server has some agents.
func (c *cluster) spread() {
	for n, a := range c.agents {
		if n%3 == 0 {
			a.stop(syscall.SIGTERM)
			a.start()
		}
	}
	c.until("all machines are online", c.online)
}

// TestRestartedServerReleasesTheSessionsOfItsKilledPredecessor checks that other servers need not wait until the lease of
// the killed process is stale. A machine whose agent was killed at the same moment would be offline that long.
func TestRestartedServerReleasesTheSessionsOfItsKilledPredecessor(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 2, agents: 0})
	c.until("both servers are ready", c.ready)
	before, err := c.log.Newest(t.Context(), eventlog.Leases)
	require.NoError(t, err)
	require.Len(t, before, 2)
	c.servers[0].signal(syscall.SIGKILL)
	c.until("the lease of the killed server is replaced", func() error {
		leases, err := c.log.Newest(t.Context(), eventlog.Leases)
		if err != nil {
			return err
		}
		kept := 0
		for server := range leases {
			if _, known := before[server]; known {
				kept++
			}
		}
		if kept != 1 || len(leases) != 2 { // otherwise the lease of the killed server stays for an hour
			return fmt.Errorf("%d servers have a lease, %d of them as before", len(leases), kept)
		}
		return nil
	})
}
