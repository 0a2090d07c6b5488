package api_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog/memory"
)

// installed returns an agent that has installed release 1.0 on web-01, with its last connection and the deployment.
func (f *fixture) installed() (client.Hello, *fakeAgent, string) {
	f.t.Helper()
	d, work := f.startPart()
	d.succeed(work.Deployment)
	h := d.hello
	h.Join = ""
	return h, d, work.Deployment
}

func (d *fakeAgent) succeed(deployment string) {
	d.t.Helper()
	d.send(client.FromAgent{End: &client.End{Deployment: deployment, State: "succeeded"}})
	receive(d, ended)
}

// states sends a statement about project shop, and waits until the server has handled it. Without deployments, the
// statement has no entry for the project.
func (d *fakeAgent) states(p client.Remembered, deployments ...string) {
	d.t.Helper()
	p.Projects = map[string]client.RememberedProject{}
	if len(deployments) > 0 {
		p.Projects["shop"] = client.RememberedProject{Release: "0.9", Deployments: deployments}
	}
	d.send(client.FromAgent{Remembered: &p})
	d.synchronize()
}

func TestAgentThatRemembersLessThanTheLogMakesItsMachineDirtyOnce(t *testing.T) {
	f := newFixture(t)
	h, d, _ := f.installed()
	for range 3 {
		d.send(client.FromAgent{Goodbye: &client.Goodbye{}})
		d.waitUntilClosed()
		h.Session = uuid.NewString()
		d = f.dial(h)
		receive(d, welcome)
		d.states(client.Remembered{}, uuid.NewString())
	}
	require.Equal(t, 1, f.events("MachineLostState"))
	why := f.why("/why?machine=web-01&project=shop")
	require.Empty(t, why.Actual)
	require.Contains(t, why.Sentence, "Its agent remembers only release 0.9, but the log recorded release 1.0")
}

func TestAgentThatRemembersWhatTheLogRecordedIsUpToDate(t *testing.T) {
	for name, state := range map[string]func(d *fakeAgent, deployment string){
		"all":      func(d *fakeAgent, deployment string) { d.states(client.Remembered{}, uuid.NewString(), deployment) },
		"nothing":  func(d *fakeAgent, _ string) { d.synchronize() }, // an older version
		"partial":  func(d *fakeAgent, _ string) { d.states(client.Remembered{Partial: true}) },
		"nonsense": func(d *fakeAgent, _ string) { d.states(client.Remembered{}, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			h, _, deployment := f.installed()
			d := f.dial(h)
			receive(d, welcome)
			state(d, deployment)
			require.Zero(t, f.events("MachineLostState"))
			require.Equal(t, "up-to-date", f.why("/why?machine=web-01&project=shop").Reason)
		})
	}
}

// The first server reads the hello and freezes. Meanwhile the agent succeeds with another deployment through the second
// server. Then the statement of the first connection arrives.
func TestStatementOfAnEarlierConnectionDoesNotMakeTheMachineDirty(t *testing.T) {
	log, clock := memory.New(), &manualClock{}
	f := newFixtureOn(t, log, clock)
	h, d, first := f.installed()
	f2 := newFixtureOn(t, log, clock)
	moved := f2.dial(h)
	receive(moved, welcome)
	f2.do(domain.CreateRelease{Project: "shop", Version: "1.1"})
	f2.do(domain.Deploy{Project: "shop", Release: "1.1", Environment: "production"})
	work := receive(moved, offer)
	moved.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	require.True(t, receive(moved, claimed).Counts)
	moved.succeed(work.Deployment)

	d.states(client.Remembered{})
	again := f.dial(h) // takes the session back
	receive(again, welcome)
	again.states(client.Remembered{}, first, work.Deployment)
	require.Zero(t, f.events("MachineLostState"))
	require.Equal(t, "1.1", f.machine("web-01").Installed[0].Release)
}

// The success is recorded after the welcome, and the statement was made before it.
func TestStatementFromBeforeASuccessDoesNotMakeTheMachineDirty(t *testing.T) {
	f := newFixture(t)
	_, d, _ := f.installed()
	d.states(client.Remembered{}) // at the welcome, the log had no success
	require.Zero(t, f.events("MachineLostState"))
}

func TestStatementIsComparedOnceTheStreamOfTheMachineIsClear(t *testing.T) {
	f := newFixture(t)
	h, _, _ := f.installed()
	d := f.dial(h)
	receive(d, welcome)
	f.appendInvalidEvent("machine/web-01", "machine.added/v1")
	d.states(client.Remembered{})
	require.Zero(t, f.events("MachineLostState"))
	f.do(domain.ClearStream{Name: "machine/web-01"})
	d.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	f.eventually("the loss is recorded", func() bool { return f.events("MachineLostState") == 1 })
}

func TestAgentOverPlainHTTPStatesWhatItRemembers(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p, work := f.joinAndOffer("box-01")
	before, err := p.report("online")
	require.NoError(t, err)
	require.NoError(t, p.part(work.Deployment, "claim", object{"session": p.session}, &client.Claimed{}))
	require.NoError(t, p.part(work.Deployment, "end", object{"session": p.session, "state": "succeeded"}, &client.Ended{}))
	known, err := p.report("online")
	require.NoError(t, err)

	state := func(asOf string, deployments ...string) error {
		remembered := client.Remembered{AsOf: asOf, Projects: map[string]client.RememberedProject{"shop": {Deployments: deployments}}}
		return p.Post(context.Background(), "/machines/box-01/reports", "",
			object{"status": "online", "session": p.session, "remembered": remembered}, nil)
	}
	require.ErrorContains(t, state(""), "invalid asOf")
	require.NoError(t, state(before.Position), "a request that was delayed since before the success")
	require.NoError(t, state(known.Position, work.Deployment))
	require.Zero(t, f.events("MachineLostState"))
	require.NoError(t, state(known.Position))
	require.NoError(t, state(known.Position))
	require.Equal(t, 1, f.events("MachineLostState"))
	require.Equal(t, "behind", f.why("/why?machine=box-01&project=shop").Reason)
}
