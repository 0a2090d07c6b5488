package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/rollout"
)

func TestPartIsDueOnlyAfterItsTimeLeftHasPassed(t *testing.T) {
	for name, prepare := range map[string]func(f *fleet) domain.ID{
		"a released part of a person's deployment": func(f *fleet) domain.ID { return f.queue(narrowed("web-01")) },
		"a released automatic part":                func(f *fleet) domain.ID { return f.queue(automatic("web-01")) },
		"a part of a machine that was blocked before": func(f *fleet) domain.ID {
			f.block("web-01")
			f.Wait(time.Minute)
			return f.queue(narrowed("web-01"))
		},
		"a part of a machine that was blocked later": func(f *fleet) domain.ID {
			d := f.queue(automatic("web-01"))
			f.Wait(time.Minute)
			f.block("web-01")
			return d
		},
		"a running part": func(f *fleet) domain.ID {
			d := f.queue(narrowed("web-01"))
			f.Claim(d, "web-01")
			return d
		},
		"a part that is verified": func(f *fleet) domain.ID {
			d := f.queue(verify(narrowed("web-01")))
			f.Deployments[d].Facts.HealthyFor *= 10 // more than the minute below
			f.run(d, domain.PartSucceeded, "web-01")
			return d
		},
		"a part that is verified on a disconnected machine": func(f *fleet) domain.ID {
			d := f.queue(verify(narrowed("web-01")))
			f.run(d, domain.PartSucceeded, "web-01")
			f.Add("policy/default", domain.PolicyDefined{Settings: domain.PolicySettings{OfflineAfter: domain.Duration(time.Hour)}})
			goodbye(f)
			return d
		},
		"a part that is verified on an unhealthy machine": func(f *fleet) domain.ID {
			f.Add("policy/default", domain.PolicyDefined{Settings: domain.PolicySettings{HealthCheck: &domain.HealthCheck{
				Script: "true", Every: domain.Duration(time.Hour)}}})
			health(domain.Unhealthy)(f)
			d := f.queue(verify(narrowed("web-01")))
			f.run(d, domain.PartSucceeded, "web-01")
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01")
			part := f.Deployments[prepare(f)].Parts["web-01"]
			f.Wait(time.Minute)
			left, bounded := rollout.TimeLeft(f.View, part, f.measured())
			require.True(t, bounded)
			require.Positive(t, left)
			f.Wait(left)
			require.False(t, rollout.Due(f.View, part, f.measured()))
			f.Wait(1)
			require.True(t, rollout.Due(f.View, part, f.measured()))
		})
	}
}

func TestPartThatWaitsForNoAgentIsNotBounded(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	d := narrowed("web-01", "web-02")
	d.MaxParallel = domain.Count(1)
	queued := f.Deployments[f.queue(d)].Parts["web-02"]
	_, bounded := rollout.TimeLeft(f.View, queued, f.measured())
	require.False(t, bounded, "it waits for a slot")
	released := queued.Deployment.Parts["web-01"]
	f.Add("machine/web-01", domain.MachineDeleted{})
	_, bounded = rollout.TimeLeft(f.View, released, f.measured())
	require.False(t, bounded, "its machine is gone, so it is due at once")
}

func TestVerificationThatOnlyNeedsAHeartbeatHasNoTimeLeft(t *testing.T) {
	f, d := verifying(t)
	part := f.Deployments[d].Parts["web-01"]
	left := func() time.Duration {
		d, bounded := rollout.TimeLeft(f.View, part, f.measured())
		require.True(t, bounded)
		return d
	}
	f.silence = time.Hour
	f.Wait(healthyFor)
	require.Zero(t, left())
	f.Wait(1)
	require.Zero(t, left())
	m := f.Machines["web-01"]
	f.Add("machine/web-01", domain.AgentConnected{Server: f.server, Session: m.Session, Instance: m.Instance})
	require.Equal(t, time.Second, left(), "the new session has to last")
	f.Wait(400 * time.Millisecond)
	require.Equal(t, 600*time.Millisecond, left())
	f.server = domain.ID{7: 7}
	_, bounded := rollout.TimeLeft(f.View, part, f.measured())
	require.False(t, bounded, "another server decides")
}

func TestPatienceWithAnUnhealthyMachineCountsFromItsNewestSession(t *testing.T) {
	check := domain.PolicyDefined{Settings: domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true",
		Every: domain.Duration(time.Hour), Timeout: domain.Duration(time.Second)}}}
	f, d := verifying(t, func(f *fleet) { f.Add("policy/default", check) }, health(domain.Unhealthy))
	f.Wait(10 * time.Minute)
	m := f.Machines["web-01"]
	f.Add("machine/web-01", domain.AgentConnected{Server: f.server, Session: m.Session, Instance: m.Instance})
	left, bounded := rollout.TimeLeft(f.View, f.Deployments[d].Parts["web-01"], f.measured())
	require.True(t, bounded)
	require.Equal(t, time.Hour+time.Second, left)
}
