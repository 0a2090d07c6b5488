package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/rollout"
)

const (
	healthyFor = 20 * time.Second
	grace      = 30 * time.Second // the OfflineAfter of the default policy
)

// verify adds healthyFor to a deployment.
func verify(d domain.DeploymentQueued) domain.DeploymentQueued {
	d.HealthyFor = domain.Duration(healthyFor)
	return d
}

// verified returns the decision to end a verification.
func (f *fleet) verified(d domain.ID, machine string, state domain.PartState, reason domain.PartReason) domain.Decision {
	e := domain.PartVerified{Project: "shop", State: state, Reason: reason}
	if state == domain.PartSucceeded {
		e.Steady = f.Deployments[d].Parts[machine].SteadyFrom
	}
	return domain.Decision{Kind: "verify-part", Stream: domain.PartStream(d, machine), Causes: []domain.ID{d},
		Events: []domain.Event{e}}
}

// verifying returns a fleet with a part of web-01 that its agent has ended with a success.
func verifying(t *testing.T, prepare ...func(f *fleet)) (*fleet, domain.ID) {
	f := newFleet(t, "web-01")
	for _, p := range prepare {
		p(f)
	}
	f.Wait(time.Hour)
	d := f.queue(verify(narrowed("web-01")))
	f.run(d, domain.PartSucceeded, "web-01")
	require.Equal(t, domain.PartVerifying, f.Deployments[d].Parts["web-01"].State)
	return f, d
}

func health(status domain.Health) func(f *fleet) {
	return func(f *fleet) {
		f.Add("machine/web-01", domain.MachineHealthChanged{Status: status, Session: f.Machines["web-01"].Session})
	}
}

func goodbye(f *fleet) {
	f.Add("machine/web-01", domain.MachineWentOffline{Connect: f.Machines["web-01"].Connect, Reason: "said-goodbye"})
}

// wait returns a function that lets time pass while every agent is heard from.
func wait(d time.Duration) func(f *fleet) { return func(f *fleet) { f.Wait(d) } }

func TestVerificationEndsWithTheFirstOfItsConditions(t *testing.T) {
	const yes, no = domain.PartSucceeded, domain.PartFailed
	slow := domain.PolicyDefined{Settings: domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true",
		Every: domain.Duration(time.Minute), Timeout: domain.Duration(time.Second)}}}
	check := func(f *fleet) { f.Add("policy/default", slow) }
	for name, c := range map[string]struct {
		before []func(f *fleet) // the deployment
		after  []func(f *fleet) // the success; nothing is due before the last of them
		state  domain.PartState
		reason domain.PartReason
	}{
		"healthy for long enough": {nil, []func(f *fleet){wait(healthyFor), wait(1)}, yes, ""},
		"a warning is not unhealthy, and does not restart the time": {[]func(f *fleet){check, health(domain.Healthy)},
			[]func(f *fleet){wait(healthyFor), health(domain.Warning), wait(1)}, yes, ""},
		"unhealthy": {[]func(f *fleet){check, health(domain.Healthy)},
			[]func(f *fleet){wait(time.Second), health(domain.Unhealthy)}, no, domain.MachineIsUnhealthy},
		"unhealthy and healthy again before a decision": {[]func(f *fleet){check, health(domain.Healthy)},
			[]func(f *fleet){func(f *fleet) { health(domain.Unhealthy)(f); health(domain.Healthy)(f) }},
			no, domain.MachineIsUnhealthy},
		"unhealthy before the success, then cured": {[]func(f *fleet){check, health(domain.Unhealthy)},
			[]func(f *fleet){wait(time.Minute), health(domain.Healthy), wait(healthyFor), wait(1)}, yes, ""},
		"unhealthy before the success, not cured": {[]func(f *fleet){check, health(domain.Unhealthy)},
			[]func(f *fleet){wait(61 * time.Second), wait(1)}, no, domain.MachineIsUnhealthy},
		"a new check without a result": {nil, []func(f *fleet){check, wait(61 * time.Second), wait(1)},
			no, domain.HealthNotKnown},
		"unhealthy under a check that is removed": {[]func(f *fleet){check, health(domain.Unhealthy)},
			[]func(f *fleet){wait(time.Second), func(f *fleet) { f.Add("policy/default", domain.PolicyDeleted{}) },
				wait(healthyFor), wait(1)}, yes, ""},
		"silent beyond the grace": {nil, []func(f *fleet){func(f *fleet) { f.Disconnect("web-01") }},
			no, domain.MachineIsOffline},
		"silent beyond the grace and online again": {nil, []func(f *fleet){func(f *fleet) {
			f.Disconnect("web-01")
			f.Connect("web-01", f.server, f.Machines["web-01"].Instance)
		}}, no, domain.MachineIsOffline},
		"disconnected for longer than the grace": {nil, []func(f *fleet){goodbye, wait(grace), wait(1)},
			no, domain.MachineIsOffline},
		"disconnected within the grace": {nil, []func(f *fleet){wait(healthyFor), goodbye, wait(grace), func(f *fleet) {
			f.Connect("web-01", f.server, f.Machines["web-01"].Instance)
		}, wait(healthyFor), wait(1)}, yes, ""},
		"deleted": {nil, []func(f *fleet){func(f *fleet) { f.Add("machine/web-01", domain.MachineDeleted{}) }},
			domain.PartLost, domain.MachineGone},
		"deleted and added again": {nil, []func(f *fleet){func(f *fleet) {
			f.Add("machine/web-01", domain.MachineDeleted{})
			f.Join("web-01")
		}}, domain.PartLost, domain.MachineGone},
		"another instance": {nil, []func(f *fleet){goodbye, func(f *fleet) {
			f.Connect("web-01", f.server, domain.ID{9: 9})
		}}, domain.PartLost, domain.MachineReplaced},
		"lost its state": {nil, []func(f *fleet){func(f *fleet) {
			installed := f.Machines["web-01"].Installed["shop"]
			f.Add("machine/web-01", domain.MachineLostState{Lost: []domain.LostSuccess{{Project: "shop",
				Deployment: installed.Deployment, Release: installed.Release}}})
		}}, domain.PartLost, domain.StateLost},
		"disabled, moved and out of scope": {nil, []func(f *fleet){func(f *fleet) {
			f.Add("machine/web-01", domain.MachineDisabled{}, domain.MachineChanged{Environment: "staging"})
			f.Add("project/shop", domain.ProjectDisabled{})
		}, wait(healthyFor), wait(1)}, yes, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, d := verifying(t, c.before...)
			for _, happens := range c.after {
				require.Empty(t, f.decide())
				happens(f)
			}
			require.Equal(t, []domain.Decision{f.verified(d, "web-01", c.state, c.reason)}, f.decide())
			require.True(t, rollout.Due(f.View, f.Deployments[d].Parts["web-01"], f.measured()))
		})
	}
}

func TestVerificationTimeRunsUpToTheLastContact(t *testing.T) {
	f, d := verifying(t)
	f.silence = time.Second
	f.Wait(healthyFor + time.Second)
	require.Empty(t, f.decide(), "it was last heard from at the end of the time, not after it")
	f.silence = time.Hour
	f.Wait(time.Minute)
	require.Empty(t, f.decide(), "nothing was heard since the success")
	f.silence = 0
	require.Equal(t, []domain.Decision{f.verified(d, "web-01", domain.PartSucceeded, "")}, f.decide())
}

func TestOnlyTheServerOfTheSessionDecidesThatAMachineStayedHealthy(t *testing.T) {
	f, d := verifying(t)
	f.server = domain.ID{7: 7}
	f.Wait(time.Hour)
	require.Empty(t, f.decide())
	require.Empty(t, rollout.Decide(f.View, rollout.Measured{Age: f.Age}), "a server without sessions")
	m := f.Machines["web-01"]
	f.Add("machine/web-01", domain.AgentConnected{Server: f.server, Session: m.Session, Instance: m.Instance})
	f.Wait(800 * time.Millisecond)
	f.silence = 300 * time.Millisecond
	require.Empty(t, f.decide(), "it was last heard from half a second after it connected")
	f.Wait(200 * time.Millisecond)
	f.silence = 0
	require.Empty(t, f.decide(), "its agent has not been heard from in this session")
	f.Wait(1)
	require.Equal(t, []domain.Decision{f.verified(d, "web-01", domain.PartSucceeded, "")}, f.decide(), "it keeps its time")
	f.server = domain.ID{7: 8}
	f.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: domain.ServerGone})
	f.Wait(grace)
	require.Empty(t, f.decide(), "its agent may reach another server")
	f.Wait(1)
	require.Equal(t, []domain.Decision{f.verified(d, "web-01", domain.PartFailed, domain.MachineIsOffline)}, f.decide(),
		"any server decides a failure")
}

func TestMachineThatIsSetAsideIsNotVerified(t *testing.T) {
	f, _ := verifying(t)
	f.SetAsideStream("machine/web-01")
	f.Wait(time.Hour)
	require.Empty(t, f.decide())
}

func TestAgentThatReturnsAgainAndAgainDoesNotKeepTheSlot(t *testing.T) {
	f, d := verifying(t)
	for range int(2 * (healthyFor + lostAfter) / healthyFor) {
		require.Empty(t, f.decide())
		f.Wait(healthyFor / 2)
		goodbye(f)
		f.Connect("web-01", f.server, f.Machines["web-01"].Instance)
	}
	require.Empty(t, f.decide())
	left, _ := rollout.TimeLeft(f.View, f.Deployments[d].Parts["web-01"], f.measured())
	require.Zero(t, left)
	f.Wait(1)
	require.Equal(t, []domain.Decision{f.verified(d, "web-01", domain.PartFailed, domain.MachineIsOffline)}, f.decide())
}

func TestUnhealthyMachineWhoseAgentReturnsAgainAndAgainDoesNotKeepTheSlot(t *testing.T) {
	check := domain.PolicyDefined{Settings: domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true",
		Every: domain.Duration(time.Minute), Timeout: domain.Duration(time.Second)}}}
	f, d := verifying(t, func(f *fleet) { f.Add("policy/default", check) }, health(domain.Unhealthy))
	const patience = 61 * time.Second
	for left := patience + lostAfter; left > 0; left -= healthyFor {
		require.Empty(t, f.decide())
		goodbye(f)
		f.Connect("web-01", f.server, f.Machines["web-01"].Instance)
		least, _ := rollout.TimeLeft(f.View, f.Deployments[d].Parts["web-01"], f.measured())
		require.Equal(t, min(left, patience), least)
		f.Wait(min(left, healthyFor))
	}
	require.Empty(t, f.decide())
	f.Wait(1)
	require.Equal(t, []domain.Decision{f.verified(d, "web-01", domain.PartFailed, domain.MachineIsUnhealthy)}, f.decide())
}

func TestVerificationKeepsItsSlotAndDecidesTheDeployment(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03")
	d := f.queue(verify(bounded(1, wide())))
	f.run(d, domain.PartSucceeded, "web-01")
	require.Empty(t, f.decide(), "web-02 waits for the slot")
	f.Wait(healthyFor + 1)
	f.Add(domain.PartStream(d, "web-01"), f.decide()[0].Events...)
	require.Equal(t, []domain.Decision{released(d, "web-02")}, f.decide())
	f.Add("project/shop", f.decide()[0].Events...)
	f.run(d, domain.PartSucceeded, "web-02")
	f.Disconnect("web-02")
	require.Equal(t, []domain.Decision{f.verified(d, "web-02", domain.PartFailed, domain.MachineIsOffline)}, f.decide())
	f.Add(domain.PartStream(d, "web-02"), f.decide()[0].Events...)
	f.Add("project/shop", domain.PartsWithdrawn{Deployment: d, Reason: domain.TooManyFailures})
	require.Equal(t, []domain.Decision{finished(d, domain.DeploymentFailed, "parts-failed")}, f.decide())
}
