package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// TestAnAgentThatRepeatsItsResultLongAfterIsToldWhatTheLogHas: an agent's success was recorded and the answer was lost (its machine was switched off). Before it comes back its machine was cleaned up and
// its deployment forgotten. It reports again. Were it told that there is no such part, it would remember
// something that the log does not have, and stop the whole fleet at its next connection.
func TestAnAgentThatRepeatsItsResultLongAfterIsToldWhatTheLogHas(t *testing.T) {
	y := newYard(t)
	y.shop()
	join := y.join(0)
	h := hello("web-01", join)
	d := y.dial(h)
	hears(d, welcome)
	y.tick()
	work := hears(d, offer)
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, hears(d, claimed).Counts)
	d.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	y.eventually("the end is recorded", func() bool { return y.events("PartEnded") == 1 })
	_ = d.conn.CloseNow() // the answer never came
	y.eventually("the deployment ends", func() bool { return y.events("DeploymentEnded") >= 1 })
	y.do(domain.DeleteMachine{Name: "web-01", Reason: "clean-up"})

	// a night of joins
	for n := range projections.RetainedDeployments + 1 {
		name := "spot"
		session, instance := domain.ID{1: 9, 2: byte(n)}, domain.ID{2: 9, 3: byte(n)}
		y.do(domain.ApplyMachine{Name: name, Environment: "production", Roles: []string{"web"}})
		y.do(domain.ConnectMachine{Name: name, Server: y.engine.Server(), Session: session, Instance: instance})
		y.tick()
		var id domain.ID
		y.engine.Read(func(v *projections.View) {
			for _, part := range v.OpenPartsOn(name) {
				id = part.Deployment.ID
			}
		})
		require.False(t, id.IsZero())
		y.do(domain.ClaimPart{Deployment: id, Machine: name, Session: session, Instance: instance})
		y.do(domain.EndPart{Deployment: id, Machine: name, Session: session, Instance: instance, State: domain.PartSucceeded})
		_, err := y.engine.React(t.Context())
		require.NoError(t, err)
		y.do(domain.DeleteMachine{Name: name, Reason: "ephemeral"})
	}
	id, err := domain.ParseID(work.Deployment)
	require.NoError(t, err)
	y.engine.Read(func(v *projections.View) {
		_, forgotten := v.Pruned(id)
		require.True(t, forgotten)
	})

	h.Session = domain.ID{1: 77}.String()
	back := y.dial(h)
	hears(back, welcome)
	back.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}})
	answer := hears(back, ended)
	remembered := answer.Event
	if remembered == "" {
		remembered = work.Deployment // agent/part.go, confirmed
	}
	_ = back.conn.CloseNow()
	h.Memory = &client.Memory{Machine: "web-01", Log: y.engine.LogID().String(), Made: y.engine.Made().String(),
		Successes: map[string]string{"shop": remembered}, Deployments: map[string]string{"shop": work.Deployment}}
	again := y.dial(h)
	hears(again, welcome)
	require.NotErrorIs(t, y.engine.LostEvents(), engine.ErrLostEvents, "the log has lost nothing")
}
