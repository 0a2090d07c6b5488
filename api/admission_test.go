package api_test

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// hangingLog is a log whose reads wait while it hangs.
type hangingLog struct {
	*memory.Log
	hangs   atomic.Bool
	waiting chan struct{} // receives one value for each read that waits
	resumed chan struct{}
}

func (l *hangingLog) ReadAll(ctx context.Context, after eventlog.Position,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		if l.hangs.Load() {
			l.waiting <- struct{}{}
			select {
			case <-l.resumed:
			case <-ctx.Done():
				yield(eventlog.Recorded{}, ctx.Err())
				return
			}
		}
		l.Log.ReadAll(ctx, after, limit)(yield)
	}
}

func TestAgentThatLeavesWhileTheLogHangsIsNotAdmittedLater(t *testing.T) {
	log := &hangingLog{Log: memory.New(), waiting: make(chan struct{}, 100), resumed: make(chan struct{})}
	hung := newFixtureOn(t, log, &manualClock{})
	hung.shop()
	other := newFixtureOn(t, log.Log, hung.clock)
	h := hello("web-01", hung.join(1))
	receive(hung.dial(h), welcome)

	log.hangs.Store(true)
	tired := hung.dial(h)
	<-log.waiting
	receive(other.dial(h), welcome)
	require.NoError(t, tired.conn.CloseNow())
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	hung.agents.Drain(ctx) // until the server has noticed
	require.NoError(t, ctx.Err(), "the admission waits for the log although the agent has left")

	close(log.resumed)
	require.NoError(t, hung.engine.CatchUp(t.Context()))
	require.Equal(t, 1, hung.events("AgentConnected"), "the session stays on the other server")
}

// A machine in dev deletes itself, and a person adds another one under its name in production. The agent has a secret and a
// join token of dev only.
func TestAgentIsNotTheMachineThatAPersonAddedUnderItsName(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "dev"})
	h := hello("db-01", f.token(domain.TokenSettings{Join: true, Uses: 1, Environments: []string{"dev"}}))
	h.Environment, h.Ephemeral = "dev", true
	d := f.dial(h)
	receive(d, welcome)
	d.send(client.FromAgent{Goodbye: &client.Goodbye{Delete: true}})
	d.waitUntilClosed()
	require.Equal(t, 1, f.events("MachineDeleted"))

	f.do(domain.ApplyMachine{Name: "db-01", Environment: "production"})
	require.Contains(t, receive(f.dial(h), refusal).Reason, `does not allow environment "production"`)
	h.Join = ""
	require.Contains(t, receive(f.dial(h), refusal).Reason, `does not allow environment "production"`)
	require.Equal(t, "unknown", f.machine("db-01").Presence, "it has never been online")
}

func TestAgentOverHTTPIsNotTheMachineThatAPersonAddedUnderItsName(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "dev"})
	p := f.joinOverHTTP("db-01", f.token(domain.TokenSettings{Join: true, Uses: 1, Environments: []string{"production"}}))
	_, err := p.report("online")
	require.NoError(t, err)
	_, err = p.report("offline")
	require.NoError(t, err)
	f.do(domain.DeleteMachine{Name: "db-01"})
	f.do(domain.ApplyMachine{Name: "db-01", Environment: "dev"})
	_, err = p.report("online")
	require.Equal(t, client.Forbidden, client.KindOf(err))
	require.ErrorContains(t, err, `does not allow environment "dev"`)
}

// The place of a machine that will return belongs to its environment.
func TestNameOfAMachineThatMayReturnIsNotFreeInAnotherEnvironment(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "dev"})
	h := hello("prod-01", f.join(1))
	h.Ephemeral = true
	d := f.dial(h)
	receive(d, welcome)
	d.send(client.FromAgent{Goodbye: &client.Goodbye{Delete: true}})
	d.waitUntilClosed()
	dev := f.as(f.token(domain.TokenSettings{Permission: domain.Admin, Environments: []string{"dev"}}))
	err := dev.Post(context.Background(), "/machines", "", object{"name": "prod-01", "environment": "dev"}, nil)
	require.Equal(t, client.Forbidden, client.KindOf(err))
	require.NoError(t, dev.Post(context.Background(), "/machines", "", object{"name": "dev-01", "environment": "dev"}, nil))
	receive(f.dial(h), welcome)
}

func TestAgentGetsThePolicyOfItsJoinTokenAndAsksForOneOnlyWithoutIt(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyPolicy{Name: "strict"})
	f.do(domain.ApplyPolicy{Name: "lax"})
	given := f.token(domain.TokenSettings{Join: true, Policy: "strict", AnyEnvironment: true})
	free := f.token(domain.TokenSettings{Join: true, AnyEnvironment: true})
	for _, c := range []struct{ machine, join, asks, policy, from string }{
		{"a-01", given, "lax", "strict", "token"}, {"a-02", given, "missing", "strict", "token"},
		{"a-03", free, "lax", "lax", "agent"}, {"a-04", free, "", "default", "default"},
	} {
		h := hello(c.machine, c.join)
		h.Policy = c.asks
		warnings := receive(f.dial(h), welcome).Warnings
		require.Equal(t, c.from == "token", len(warnings) == 1, "%v", warnings)
		shown := f.machine(c.machine)
		require.Equal(t, []string{c.policy, c.from}, []string{shown.Policy, shown.PolicyFrom})
	}
	h := hello("a-05", free)
	h.Policy = "missing"
	require.Contains(t, receive(f.dial(h), refusal).Reason, `policy "missing" does not exist`)
}

func TestAgentOverHTTPGetsThePolicyOfItsJoinToken(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyPolicy{Name: "strict"})
	f.do(domain.ApplyPolicy{Name: "lax"})
	for machine, c := range map[string]struct{ given, policy string }{"a-01": {"strict", "strict"}, "a-02": {"", "lax"}} {
		join := f.token(domain.TokenSettings{Join: true, Policy: c.given, AnyEnvironment: true})
		_, err := f.asAgent(join).Write(context.Background(), "/machines", "", object{"name": machine,
			"environment": "production", "policy": "lax", "instance": uuid.NewString(), "secret": strings.Repeat("c3", 32)})
		require.NoError(t, err)
		require.Equal(t, c.policy, f.machine(machine).Policy)
	}
}
