package api_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

func TestKillReachesTheAgentOnEachConnectionUntilItReportsTheEnd(t *testing.T) {
	f := newFixture(t)
	d, work := f.startPart()
	f.post("/deployments/"+work.Deployment+"/cancel", nil)
	f.post("/deployments/"+work.Deployment+"/kill", object{"reason": "it hangs"})
	asked := receive(d, killed)
	require.Equal(t, work.Deployment, asked.Deployment)
	require.Equal(t, "it hangs", asked.Reason)
	require.Contains(t, asked.By, "token ")
	require.Empty(t, f.post("/deployments/"+work.Deployment+"/kill", object{}).Events, "a repeated request is no change")

	again := f.dial(d.hello) // the message may be lost with the connection
	receive(again, welcome)
	require.Equal(t, asked, receive(again, killed))
	again.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: domain.PartFailed,
		Reason: domain.KilledByPerson, Detail: "stopped"}})
	require.NotEmpty(t, receive(again, ended).Event)

	last := f.dial(d.hello)
	receive(last, welcome)
	last.send(client.FromAgent{Claim: &client.Claim{Deployment: "mark"}})
	for m := range last.inbox {
		require.Nil(t, m.Kill, "the end is reported")
		if m.Claimed != nil {
			break
		}
	}
	// The server ends the deployment after its last part; a request in between is no change. The first one that ended is that
	// of the fixture.
	f.eventually("the deployment has ended", func() bool { return f.events("DeploymentEnded") == 2 })
	refused := f.rejected("/deployments/"+work.Deployment+"/kill", object{})
	require.Equal(t, client.Conflict, refused.Kind)
	require.Contains(t, refused.Detail, "has ended: failed")
}

func TestKillReachesAnAgentOverPlainHTTP(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p, work := f.joinAndOffer("box-01")
	var counts client.Claimed
	require.NoError(t, p.part(work.Deployment, "claim", object{"session": p.session}, &counts))
	require.True(t, counts.Counts)
	f.post("/deployments/"+work.Deployment+"/kill", object{"machine": "box-01", "reason": "it hangs"})

	var answer api.WorkAnswer
	_, err := p.Get(t.Context(), "/machines/box-01/work", nil, &answer)
	require.NoError(t, err)
	require.Nil(t, answer.Work)
	require.Len(t, answer.Kill, 1)
	require.Equal(t, work.Deployment, answer.Kill[0].Deployment)
	r, err := p.report("online") // its heartbeat
	require.NoError(t, err)
	require.Equal(t, answer.Kill, r.Kill)
}

func TestDeploymentShowsWhichAgentsAreTooOldToStop(t *testing.T) {
	f := newFixture(t)
	d, work := f.startPart()
	shown := func() explain.DeploymentMachine {
		var list explain.Deployment
		f.get("/deployments/"+work.Deployment, &list)
		return list.Machines[0]
	}
	require.False(t, shown().CannotStop)
	old := d.hello
	f.leave(d)
	old.ObeysKill, old.Session = false, uuid.NewString() // an earlier version of the agent
	older := f.dial(old)
	receive(older, welcome)
	require.True(t, shown().CannotStop)

	older.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: domain.PartSucceeded}})
	require.NotEmpty(t, receive(older, ended).Event)
	require.False(t, shown().CannotStop, "nothing runs any more")
}
