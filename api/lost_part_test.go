package api_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// ranLostPart connects an agent that ran a part of a deployment that the log does not have.
func (f *fixture) ranLostPart(project string) (*fakeAgent, client.FromAgent) {
	f.t.Helper()
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	lost := uuid.NewString()
	d.send(client.FromAgent{Remembered: &client.Remembered{
		Unconfirmed: map[string]client.RanPart{lost: {Project: project, Release: "2.0"}}}})
	return d, client.FromAgent{End: &client.End{Deployment: lost, State: "failed"}}
}

func TestEndWithoutAPlaceInTheLogHoldsTheMachine(t *testing.T) {
	f := newFixture(t)
	d, end := f.ranLostPart("shop")
	d.send(end)
	require.Empty(t, receive(d, ended).Event)
	why := f.why("/why?machine=web-01&project=shop")
	require.Equal(t, "held", why.Reason)
	require.Contains(t, why.Sentence, "its agent ran deployment "+end.End.Deployment+" of release 2.0, which the log does not have")
	f.tick()
	require.Empty(t, f.machine("web-01").Installed, "automation deploys nothing over it")
	for range 3 { // a machine cannot fill the log with such ends
		end.End.Deployment = uuid.NewString()
		d.send(client.FromAgent{Remembered: &client.Remembered{
			Unconfirmed: map[string]client.RanPart{end.End.Deployment: {Project: "shop"}}}})
		d.send(end)
		receive(d, ended)
	}
	require.Equal(t, 1, f.events("HoldSet"))
	f.do(domain.LiftHold{Project: "shop", Machine: "web-01"})
	f.tick()
	require.Equal(t, "1.0", receive(d, offer).Release)
}

func TestEndThatIsNoEvidenceOfALostPartHoldsNothing(t *testing.T) {
	t.Run("the agent does not say what it ran", func(t *testing.T) {
		f := newFixture(t)
		d, end := f.ranLostPart("shop")
		end.End.Deployment = uuid.NewString()
		d.send(end)
		receive(d, ended)
		require.Zero(t, f.events("HoldSet"))
	})
	t.Run("the project is unknown", func(t *testing.T) {
		f := newFixture(t)
		d, end := f.ranLostPart("blog")
		d.send(end)
		receive(d, ended)
		require.Zero(t, f.events("HoldSet"))
	})
	t.Run("the log has the part", func(t *testing.T) {
		f := newFixture(t)
		d, work := f.startPart()
		d.send(client.FromAgent{Remembered: &client.Remembered{
			Unconfirmed: map[string]client.RanPart{work.Deployment: {Project: "shop"}}}})
		d.succeed(work.Deployment)
		d.succeed(work.Deployment)
		require.Zero(t, f.events("HoldSet"))
	})
}

// Until a person accepts the restore, the right log may return. It has a place for the end.
func TestEndWithoutAPlaceIsNotConfirmedWhileTheLogHasLostEvents(t *testing.T) {
	f := newFixture(t)
	d, end := f.ranLostPart("shop")
	f.engine.ReportLostEvents("a client remembers a later position")
	d.send(end)
	d.synchronize()
	f.post("/log/accept-restore", nil)
	d.waitUntilClosed()
	h := d.hello
	h.Join = ""
	d = f.dial(h)
	receive(d, welcome)
	d.send(client.FromAgent{Remembered: &client.Remembered{
		Unconfirmed: map[string]client.RanPart{end.End.Deployment: {Project: "shop"}}}})
	d.send(end)
	receive(d, ended)
	require.Equal(t, 1, f.events("HoldSet"))
}

func TestEndWithoutAPlaceOverPlainHTTPHoldsTheMachine(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	r, err := p.report("online")
	require.NoError(t, err)
	end := object{"session": r.Session, "state": "succeeded"}
	require.ErrorContains(t, p.part(uuid.NewString(), "end", end, nil), "has no part on machine")
	require.Zero(t, f.events("HoldSet"))
	end["project"] = "shop"
	require.ErrorContains(t, p.part(uuid.NewString(), "end", end, nil), "has no part on machine")
	require.Equal(t, 1, f.events("HoldSet"))
	f.engine.ReportLostEvents("a client remembers a later position")
	var problem *client.Problem
	require.ErrorAs(t, p.part(uuid.NewString(), "end", end, nil), &problem)
	require.Equal(t, client.Unavailable, problem.Kind, "the agent repeats it: %v", problem)
}
