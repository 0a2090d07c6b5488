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
	y := newYard(t, shape{servers: 3, agents: 30, program: shipped})
	y.apply(shop)
	for _, a := range y.agents {
		a.start()
	}
	y.until("all machines are online", y.online)
	rounds := 3
	if long() {
		rounds = 20
	}
	for what, weather := range map[string]weather{"killed": {}, "vanished without a word": {still: true}} {
		var took []time.Duration
		for n := range rounds {
			took = append(took, y.failOver(fmt.Sprint(what[:6], "-", n), n, weather)...)
		}
		t.Logf("fail-over: %d servers %s, %d machines of theirs: the next deployment began p50 %s, p99 %s, longest %s later (grace and one tick: %s)",
			rounds, what, len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100), grace+tick)
	}
}

// failOver kills a server and deploys at once; it returns how long the server's machines waited. The weather is what
// their lines to it have from then on.
func (y *yard) failOver(version string, round int, w weather) (took []time.Duration) {
	victim, other := y.servers[round%3], y.servers[(round+1)%3]
	y.write(other, post("/projects/shop/releases", object{"version": version}))
	names := y.onServer(victim)
	for n := range y.agents {
		y.wireTo(n, round%3).set(w)
	}
	killed := time.Now()
	victim.stop(syscall.SIGKILL)
	for _, environment := range []string{"production", "staging"} {
		y.write(other, post("/deployments", object{"project": "shop", "release": version, "environment": environment}))
	}
	y.until("each machine has begun", func() error {
		begun := map[string]time.Time{}
		for _, l := range y.lines() {
			if l.what == "begin" && l.release == version {
				begun[l.machine] = l.at
			}
		}
		if len(begun) < len(y.agents) {
			return fmt.Errorf("%d of %d have begun", len(begun), len(y.agents))
		}
		for _, name := range names {
			took = append(took, begun[name].Sub(killed))
		}
		return nil
	})
	for n := range y.agents {
		y.wireTo(n, round%3).clear()
	}
	victim.start()
	y.until("the server is back and nothing is open", func() error { return errors.Join(y.ready(), y.idle(other)) })
	y.spread()
	return slices.Clip(took)
}

// spread lets some agents connect anew, each to the server that it tries first, so that one that came back has some.
func (y *yard) spread() {
	for n, a := range y.agents {
		if n%3 == 0 {
			a.stop(syscall.SIGTERM)
			a.start()
		}
	}
	y.until("all machines are online", y.online)
}
