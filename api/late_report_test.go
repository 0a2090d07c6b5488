package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// TestLateRepeatedResultIsConfirmedWithItsRecordedEvent covers an agent whose success was recorded, but which never
// received the confirmation because its machine was switched off. In the meantime its machine was deleted and its
// deployment pruned. The agent then reports the success again. If the server answered without the recorded event, the
// agent would store another event for the success. At the next connection, the server would conclude that the log has
// lost an event, and would stop deciding for the whole fleet.
func TestLateRepeatedResultIsConfirmedWithItsRecordedEvent(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	h := hello("web-01", join)
	d := f.dial(h)
	receive(d, welcome)
	f.tick()
	work := receive(d, offer)
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, receive(d, claimed).Counts)
	d.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	f.eventually("the end is recorded", func() bool { return f.events("PartEnded") == 1 })
	_ = d.conn.CloseNow() // the agent never receives the answer
	f.eventually("the deployment ends", func() bool { return f.events("DeploymentEnded") >= 1 })
	f.do(domain.DeleteMachine{Name: "web-01", Reason: "retired"})

	// join many machines
	for n := range projections.RetainedDeployments + 1 {
		name := "spot"
		session, instance := domain.ID{1: 9, 2: byte(n)}, domain.ID{2: 9, 3: byte(n)}
		f.do(domain.ApplyMachine{Name: name, Environment: "production", Roles: []string{"web"}})
		f.do(domain.ConnectMachine{Name: name, Server: f.engine.Server(), Session: session, Instance: instance})
		f.tick()
		var id domain.ID
		f.engine.Read(func(v *projections.View) {
			for _, part := range v.OpenPartsOn(name) {
				id = part.Deployment.ID
			}
		})
		require.False(t, id.IsZero())
		f.do(domain.ClaimPart{Deployment: id, Machine: name, Session: session, Instance: instance})
		f.do(domain.EndPart{Deployment: id, Machine: name, Session: session, Instance: instance, State: domain.PartSucceeded})
		_, err := f.engine.React(t.Context())
		require.NoError(t, err)
		f.do(domain.DeleteMachine{Name: name, Reason: "ephemeral"})
	}
	id, err := domain.ParseID(work.Deployment)
	require.NoError(t, err)
	f.engine.Read(func(v *projections.View) {
		_, pruned := v.Pruned(id)
		require.True(t, pruned)
	})

	h.Session = domain.ID{1: 77}.String()
	back := f.dial(h)
	receive(back, welcome)
	back.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	answer := receive(back, ended)
	stored := answer.Event
	if stored == "" {
		stored = work.Deployment // agent/part.go, confirmed
	}
	_ = back.conn.CloseNow()
	h.Memory = &client.Memory{Machine: "web-01", Log: f.engine.LogID().String(), Made: f.engine.OriginalID().String(),
		Successes: map[string]string{"shop": stored}, Deployments: map[string]string{"shop": work.Deployment}}
	again := f.dial(h)
	receive(again, welcome)
	require.NotErrorIs(t, f.engine.LostEvents(), engine.ErrLostEvents, "the log has lost nothing")
}
