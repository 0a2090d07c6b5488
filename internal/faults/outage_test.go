package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// outageGrace is offlineAfter of the machines in these tests. It is longer than an agent needs to connect again.
const outageGrace = 6 * time.Second

// outageShop is a fleet that a wrong decision would harm at once: absent machines are deleted after a minute, and a
// machine that returns from an absence is deployed to again. A step waits for the file $RAN.go.
var outageShop = strings.NewReplacer(
	"offlineAfter: 3s, lostAfter: 10s", "offlineAfter: 6s, lostAfter: 2m, cleanUp: {after: 1m, maxShare: 100%}",
	"timeout: 10s", "timeout: 5m",
	"sleep 0.05", `while [ ! -e "$RAN.go" ]; do sleep 0.1; done`,
	`environments: ["*"]`, `environments: ["*"], redeploy: true`).Replace(shop)

// brokenProgram returns a build in which a line of a file is replaced. It is a negative control.
func brokenProgram(t *testing.T, file, line, replacement string) *harnesstest.Program {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("../..", file))
	require.NoError(t, err)
	text, err := os.ReadFile(source)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), line), "%s no longer has the line %q once", file, line)
	folder := t.TempDir()
	changed, overlay := filepath.Join(folder, "changed.go"), filepath.Join(folder, "overlay.json")
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(text), line, replacement, 1)), 0o600))
	table, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, table, 0o600))
	return harnesstest.NewProgram("-overlay", overlay)
}

// newOutageCluster starts two servers and four agents that are connected to server 0, each with release 1.0.
func newOutageCluster(t *testing.T, program *harnesstest.Program) *cluster {
	c := newCluster(t, clusterConfig{servers: 2, agents: 4, program: program})
	c.apply(outageShop)
	require.NoError(t, os.WriteFile(c.ran+".go", nil, 0o600))
	for n, a := range c.agents {
		c.proxyTo(n, 1).set(conditions{refuse: true})
		a.start()
	}
	c.until("all machines are online", c.online)
	require.Len(t, c.onServer(c.servers[0]), len(c.agents))
	c.deploy("1.0")
	c.until("no deployment is open", func() error { return c.idle(c.servers[1]) })
	return c
}

func (c *cluster) deploy(version string) {
	c.write(c.servers[1], post("/projects/shop/releases", object{"version": version}))
	for _, environment := range []string{"production", "staging"} {
		c.write(c.servers[1], post("/deployments", object{"project": "shop", "release": version, "environment": environment}))
	}
}

// reachServer1 lets the agents reach server 1.
func (c *cluster) reachServer1() {
	for n := range c.agents {
		c.proxyTo(n, 1).clear()
	}
}

// seen returns the events of these names after a position.
func (c *cluster) seen(after eventlog.Position, names ...string) (all []string) {
	for _, e := range c.events() {
		if name := domain.NameOfType(e.Type); e.Position > after && slices.Contains(names, name) {
			all = append(all, fmt.Sprintf("#%s %s %s %s", e.Position, name, e.Stream, e.Data))
		}
	}
	return all
}

// happens waits until an event of this name is in the log after a position.
func (c *cluster) happens(after eventlog.Position, name string) {
	c.t.Helper()
	c.until(name+" happens", func() error {
		if len(c.seen(after, name)) == 0 {
			return errors.New("it is not in the log")
		}
		return nil
	})
}

// harm are the events of wrong decisions about living machines.
var harm = []string{"MachineWentOffline", "MachineDeleted", "MachineAdded", "DeploymentQueued", "PartsWithdrawn"}

// hang makes the log hang for all servers, until their agents are handed over and for longer than the grace.
func (c *cluster) hang() {
	for _, s := range c.servers {
		s.toLog.set(conditions{stalled: true})
	}
	for _, s := range c.servers {
		c.until("the server is cut off", func() error { return c.refuses(s, engine.ErrCutOff.Error()) })
	}
	time.Sleep(outageGrace + time.Second) // the outage lasts for longer than the grace
}

func (c *cluster) endHang() {
	for _, s := range c.servers {
		s.toLog.set(conditions{})
	}
}

// TestLogThatHangsTakesNoMachineOffline makes the log hang while each machine runs a part.
func TestLogThatHangsTakesNoMachineOffline(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	c := newOutageCluster(t, released)
	require.NoError(t, os.Remove(c.ran+".go"))
	c.deploy("1.1")
	c.until("each machine runs its part", func() error { return c.began("1.1") })
	before := c.head()
	c.hang()
	require.NoError(t, os.WriteFile(c.ran+".go", nil, 0o600)) // the parts end while no server accepts their results
	c.endHang()
	c.until("all servers are ready", c.ready)
	c.until("all machines are online", c.online)
	c.until("no deployment is open", func() error { return c.idle(c.servers[1]) })
	require.Empty(t, c.seen(before, harm...))
	count := map[string]int{}
	for _, l := range c.lines() {
		if l.what == "begin" && l.release == "1.1" {
			count[l.machine]++
		}
	}
	for _, a := range c.agents {
		require.Equal(t, 1, count[a.name], a.name)
	}
}

// TestOutageThatCountsAsSilenceIsDetected is the negative control: with outages counted, machines go offline.
func TestOutageThatCountsAsSilenceIsDetected(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	c := newOutageCluster(t, brokenProgram(t, "engine/outages.go", "passed > 0 {", "passed < 0 {"))
	before := c.head()
	c.hang()
	c.endHang()
	c.happens(before, "MachineWentOffline")
}

// began returns an error unless the release began on each machine.
func (c *cluster) began(release string) error {
	begun := map[string]bool{}
	for _, l := range c.lines() {
		if l.what == "begin" && l.release == release {
			begun[l.machine] = true
		}
	}
	if len(begun) < len(c.agents) {
		return fmt.Errorf("%d of %d machines have begun", len(begun), len(c.agents))
	}
	return nil
}

// cutOffConditions are the ways in which a server loses its log.
var cutOffConditions = map[string]conditions{"refused": {refuse: true}, "hanging": {stalled: true}, "half-open": {dropDown: true}}

func (c *cluster) cutOff(w conditions) {
	c.servers[0].toLog.set(w)
	if w.refuse {
		c.servers[0].toLog.cut()
	}
}

// TestServerCutOffFromTheLogLosesNoMachine cuts one server off from the log. Its agents can reach the other one.
func TestServerCutOffFromTheLogLosesNoMachine(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	c := newOutageCluster(t, released)
	c.reachServer1()
	for what, w := range cutOffConditions {
		t.Run(what, func(t *testing.T) {
			c.t = t
			for n := range c.agents { // all agents connect to server 0 first
				c.proxyTo(n, 1).set(conditions{refuse: true})
				c.proxyTo(n, 1).cut()
			}
			c.until("server 0 has all agents", func() error {
				if got := c.onServer(c.servers[0]); len(got) < len(c.agents) {
					return fmt.Errorf("it has %v", got)
				}
				return c.online()
			})
			c.reachServer1()
			before := c.head()
			c.cutOff(w)
			c.until("the server reports it", func() error { return c.refuses(c.servers[0], engine.ErrCutOff.Error()) })
			c.until("server 1 has all agents", func() error {
				if got := c.onServer(c.servers[1]); len(got) < len(c.agents) {
					return fmt.Errorf("it has %v", got)
				}
				return nil
			})
			time.Sleep(outageGrace + 2*tick) // a machine that is still lost would go offline
			c.servers[0].toLog.clear()
			c.until("all servers are ready", c.ready)
			c.until("all machines are online", c.online)
			require.Empty(t, c.seen(before, harm...))
		})
	}
	c.t = t
}

// TestServerThatKeepsItsAgentsIsDetected is the negative control: the server that is cut off keeps its agents, and
// other servers call their machines offline.
func TestServerThatKeepsItsAgentsIsDetected(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	c := newOutageCluster(t, brokenProgram(t, "engine/outages.go", "if lasted < CutOffAfter {",
		"if lasted < 1000*CutOffAfter {"))
	c.reachServer1()
	before := c.head()
	c.cutOff(conditions{stalled: true})
	c.happens(before, "MachineWentOffline")
	require.Contains(t, c.seen(before, "MachineWentOffline")[0], domain.ServerGone)
}

// TestMachinesThatACleanUpDeletedReturnAsTheyWere cuts a server and its agents off from the other server and from the
// log, until the other server deletes their machines.
func TestMachinesThatACleanUpDeletedReturnAsTheyWere(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	c := newOutageCluster(t, released)
	c.write(c.servers[1], post("/machines/m-00/disable", object{}))
	c.write(c.servers[1], post("/holds", object{"project": "shop", "machine": "m-01", "reason": "lab"}))
	before := c.head()
	c.cutOff(conditions{refuse: true})
	c.happens(before, "MachineWentOffline")
	c.until("server 1 has watched for a span", func() error {
		if got := c.seen(before, "WatchPassed"); len(got) < 2 { // the first span began before the machines went offline
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	require.Empty(t, c.seen(before, "MachineDeleted"), "the machines were unknown")
	c.until("the other server deletes the machines", func() error {
		if got := c.seen(before, "MachineDeleted"); len(got) < len(c.agents) {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	c.servers[0].toLog.clear()
	c.until("all machines are online", c.online)
	time.Sleep(3 * tick) // a deployment would be queued now
	require.Empty(t, c.seen(before, "MachineAdded", "DeploymentQueued"))
	require.Len(t, c.seen(before, "MachineCleanUpUndone"), len(c.agents))
	machines := c.servers[1].machines()
	require.False(t, machines["m-00"].Enabled)
	require.NotNil(t, machines["m-01"].Wanted[0].Hold)
	for _, a := range c.agents {
		require.Equal(t, "1.0", machines[a.name].Installed[0].Release)
	}
}
