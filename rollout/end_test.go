package rollout_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

func TestDeploymentEndsWithTheStateAndReasonOfItsParts(t *testing.T) {
	failing := func(d domain.DeploymentQueued) domain.DeploymentQueued {
		d.Unavailable = domain.FailUnavailable
		return d
	}
	for name, c := range map[string]struct {
		happens func(f *fleet) domain.ID
		state   domain.DeploymentState
		reason  string
	}{
		"no machine is in scope": {func(f *fleet) domain.ID {
			d := wide()
			d.Environment = "staging"
			return f.queue(d)
		}, domain.DeploymentSucceeded, ""},
		"all parts succeeded": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.run(d, domain.PartSucceeded, "web-01", "web-02")
			return d
		}, domain.DeploymentSucceeded, ""},
		"one part failed": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.run(d, domain.PartSucceeded, "web-01")
			f.run(d, domain.PartFailed, "web-02")
			return d
		}, domain.DeploymentFailed, "parts-failed"},
		"a failed part takes precedence over a skipped part and a cancellation": {func(f *fleet) domain.ID {
			d := f.queue(failing(wide()))
			f.run(d, domain.PartFailed, "web-01")
			f.End(d, "web-02", domain.PartSkipped, domain.MachineIsOffline)
			f.Add("project/shop", domain.DeploymentCancelled{Deployment: d})
			return d
		}, domain.DeploymentFailed, "parts-failed"},
		"lost parts up to the limit on failures": {func(f *fleet) domain.ID {
			limited := wide()
			limited.StopAfterFailures = 2
			d := f.queue(limited)
			f.run(d, domain.PartLost, "web-01", "web-02")
			return d
		}, domain.DeploymentFailed, "parts-failed"},
		"fewer lost parts than the limit on failures": {func(f *fleet) domain.ID {
			limited := wide()
			limited.StopAfterFailures = 2
			d := f.queue(limited)
			f.run(d, domain.PartLost, "web-01")
			f.run(d, domain.PartSucceeded, "web-02")
			return d
		}, domain.DeploymentSucceeded, ""},
		"an unavailable machine is skipped": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.run(d, domain.PartSucceeded, "web-01")
			f.End(d, "web-02", domain.PartSkipped, domain.MachineIsOffline)
			return d
		}, domain.DeploymentSucceeded, ""},
		"a skipped machine fails a deployment with unavailable=fail": {func(f *fleet) domain.ID {
			d := f.queue(failing(wide()))
			f.run(d, domain.PartSucceeded, "web-01")
			f.End(d, "web-02", domain.PartSkipped, domain.MachineIsOffline)
			return d
		}, domain.DeploymentFailed, "machines-unavailable"},
		"a lost machine fails a deployment with unavailable=fail": {func(f *fleet) domain.ID {
			d := f.queue(failing(wide()))
			f.run(d, domain.PartSucceeded, "web-01")
			f.run(d, domain.PartLost, "web-02")
			return d
		}, domain.DeploymentFailed, "machines-unavailable"},
		"a held machine is not unavailable": {func(f *fleet) domain.ID {
			f.Add("project/shop", domain.HoldSet{Machine: "web-02"})
			d := f.queue(failing(wide()))
			f.run(d, domain.PartSucceeded, "web-01")
			return d
		}, domain.DeploymentSucceeded, ""},
		"an unavailable machine takes precedence over a cancellation": {func(f *fleet) domain.ID {
			d := f.queue(failing(wide()))
			f.End(d, "web-02", domain.PartSkipped, domain.MachineIsOffline)
			f.Add("project/shop", domain.DeploymentCancelled{Deployment: d})
			return d
		}, domain.DeploymentFailed, "machines-unavailable"},
		"a person cancelled it": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.run(d, domain.PartSucceeded, "web-01")
			f.Add("project/shop", domain.DeploymentCancelled{Deployment: d})
			return d
		}, domain.DeploymentCancelledState, "cancelled"},
		"its project was deleted": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.Claim(d, "web-01")
			f.Add("project/shop", domain.ProjectDeleted{})
			f.End(d, "web-01", domain.PartSucceeded, "")
			return d
		}, domain.DeploymentCancelledState, "project-deleted"},
		"its environment was deleted": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.Add("environment/production", domain.EnvironmentDeleted{})
			return d
		}, domain.DeploymentCancelledState, "environment-deleted"},
		"a later environment-wide deployment superseded it": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.run(d, domain.PartSucceeded, "web-01")
			f.queue(wide())
			return d
		}, domain.DeploymentCancelledState, "superseded"},
		"it was cancelled before another one superseded it": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.Add("project/shop", domain.DeploymentCancelled{Deployment: d})
			f.queue(wide())
			return d
		}, domain.DeploymentCancelledState, "cancelled"},
		"all parts of an automatic one were withdrawn": {func(f *fleet) domain.ID {
			d := f.queue(automatic("web-01", "web-02"))
			f.Add("project/shop", domain.PartsWithdrawn{Deployment: d, Reason: domain.NotClaimed})
			return d
		}, domain.DeploymentCancelledState, "withdrawn"},
		"an automatic one was withdrawn because its machine is held": {func(f *fleet) domain.ID {
			d := f.queue(automatic("web-01"))
			f.Add("project/shop", domain.PartsWithdrawn{Deployment: d, Reason: domain.MachineIsHeld})
			return d
		}, domain.DeploymentCancelledState, "withdrawn"},
		"some parts of an automatic one were withdrawn": {func(f *fleet) domain.ID {
			d := f.queue(automatic("web-01", "web-02"))
			f.run(d, domain.PartSucceeded, "web-01")
			f.Add("project/shop", domain.PartsWithdrawn{Deployment: d, Reason: domain.NotClaimed})
			return d
		}, domain.DeploymentSucceeded, ""},
		"later deployments replaced all parts of a narrowed one": {func(f *fleet) domain.ID {
			d := f.queue(narrowed("web-01", "web-02"))
			f.queue(narrowed("web-01"))
			f.queue(narrowed("web-02"))
			return d
		}, domain.DeploymentCancelledState, "superseded"},
		"a later deployment replaced one part of a narrowed one": {func(f *fleet) domain.ID {
			d := f.queue(narrowed("web-01", "web-02"))
			f.run(d, domain.PartSucceeded, "web-01")
			f.queue(narrowed("web-02"))
			return d
		}, domain.DeploymentSucceeded, ""},
		"every machine of a narrowed one was skipped": {func(f *fleet) domain.ID {
			d := f.queue(narrowed("web-01"))
			f.End(d, "web-01", domain.PartSkipped, domain.MachineIsOffline)
			return d
		}, domain.DeploymentSucceeded, ""},
		"narrowed deployments replaced all parts of an environment-wide one": {func(f *fleet) domain.ID {
			d := f.queue(wide())
			f.queue(narrowed("web-01", "web-02"))
			return d
		}, domain.DeploymentSucceeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01", "web-02")
			d := c.happens(f)
			want := finished(d, c.state, c.reason)
			if c.reason == string(domain.Superseded) {
				ended := want.Events[0].(domain.DeploymentEnded)
				ended.SupersededBy = f.Deployments[d].SupersededBy
				require.False(t, ended.SupersededBy.IsZero(), "it names the deployment that replaced it")
				want.Events[0] = ended
			}
			require.Equal(t, []domain.Decision{want}, f.decide())
			f.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: c.state, Reason: c.reason})
			require.Empty(t, f.decide(), "it ends once")
		})
	}
}

func TestDeploymentDoesNotEndWhileOneOfItsPartsIsOpen(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	d := f.queue(bounded(1, wide()))
	require.Empty(t, f.decide(), "one part is released, one waits for a slot")
	f.run(d, domain.PartFailed, "web-01")
	require.Equal(t, []domain.Decision{released(d, "web-02")}, f.decide())
	f.Add("project/shop", f.decide()[0].Events...)
	f.Claim(d, "web-02")
	require.Empty(t, f.decide())
	f.End(d, "web-02", domain.PartSucceeded, "")
	require.Equal(t, []domain.Decision{finished(d, domain.DeploymentFailed, "parts-failed")}, f.decide())
}

func TestUnclaimedPartsAreWithdrawnAfterStopAfterFailures(t *testing.T) {
	for name, c := range map[string]struct {
		kind   func(...string) domain.DeploymentQueued
		second domain.PartState
	}{"narrowed": {narrowed, domain.PartFailed}, "automatic": {automatic, domain.PartFailed},
		"a lost part counts": {narrowed, domain.PartLost}} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01", "web-02", "web-03", "web-04", "web-05")
			queued := bounded(4, c.kind("web-01", "web-02", "web-03", "web-04", "web-05"))
			queued.StopAfterFailures = 2
			d := f.queue(queued)
			f.Claim(d, "web-03")
			f.run(d, domain.PartFailed, "web-01")
			require.Equal(t, []domain.Decision{released(d, "web-05")}, f.decide(), "one failure is allowed")

			f.run(d, c.second, "web-02")
			stop := withdrawn(d, domain.TooManyFailures)
			require.Equal(t, []domain.Decision{stop}, f.decide(), "no further part is released")
			f.Add(stop.Stream, stop.Events...)
			require.Empty(t, f.decide(), "the deployment waits for running parts")
			f.End(d, "web-03", domain.PartSucceeded, "")
			require.Equal(t, []domain.Decision{finished(d, domain.DeploymentFailed, "parts-failed")}, f.decide())
		})
	}
}

func TestDeploymentWithoutStopAfterFailuresContinuesAfterAnyNumberOfFailures(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03")
	d := f.queue(bounded(2, wide()))
	f.run(d, domain.PartFailed, "web-01", "web-02")
	require.Equal(t, []domain.Decision{released(d, "web-03")}, f.decide())
}

func TestMaxFailuresDecidesWhetherADeploymentSucceeds(t *testing.T) {
	allow := func(d domain.DeploymentQueued, limit domain.Amount) domain.DeploymentQueued {
		d.MaxFailures = &limit
		return d
	}
	for name, c := range map[string]struct {
		limit   domain.Amount
		change  func(d *domain.DeploymentQueued)
		happens func(f *fleet, d domain.ID)
		state   domain.DeploymentState
		reason  string
	}{
		"no failure": {domain.Count(0), nil, func(f *fleet, d domain.ID) {
			f.run(d, domain.PartSucceeded, "web-01", "web-02", "web-03")
		}, domain.DeploymentSucceeded, ""},
		"as many failures as allowed": {domain.Percent(67), nil, func(f *fleet, d domain.ID) {
			f.run(d, domain.PartFailed, "web-01")
			f.run(d, domain.PartLost, "web-02")
			f.run(d, domain.PartSucceeded, "web-03")
		}, domain.DeploymentSucceeded, "with-failures"},
		"all machines failed, which are fewer than allowed": {domain.Count(16), nil, func(f *fleet, d domain.ID) {
			f.run(d, domain.PartFailed, "web-01", "web-02")
			f.run(d, domain.PartLost, "web-03")
		}, domain.DeploymentFailed, "parts-failed"},
		"a percentage is rounded down": {domain.Percent(66), nil, func(f *fleet, d domain.ID) {
			f.run(d, domain.PartFailed, "web-01")
			f.run(d, domain.PartLost, "web-02")
			f.run(d, domain.PartSucceeded, "web-03")
		}, domain.DeploymentFailed, "too-many-failures"},
		"a skipped machine that need not be reached": {domain.Count(0), nil, func(f *fleet, d domain.ID) {
			f.End(d, "web-01", domain.PartSkipped, domain.MachineIsOffline)
			f.run(d, domain.PartSucceeded, "web-02", "web-03")
		}, domain.DeploymentSucceeded, ""},
		"a skipped machine that must be reached": {domain.Count(0),
			func(d *domain.DeploymentQueued) { d.Unavailable = domain.FailUnavailable }, func(f *fleet, d domain.ID) {
				f.End(d, "web-01", domain.PartSkipped, domain.MachineIsOffline)
				f.Add("project/shop", domain.PartsWithdrawn{Deployment: d, Reason: domain.MaxFailuresPassed})
			}, domain.DeploymentFailed, "too-many-failures"},
		"a held machine": {domain.Count(0),
			func(d *domain.DeploymentQueued) { d.Unavailable = domain.FailUnavailable }, func(f *fleet, d domain.ID) {
				f.End(d, "web-01", domain.PartSkipped, domain.MachineIsHeld)
				f.run(d, domain.PartSucceeded, "web-02", "web-03")
			}, domain.DeploymentSucceeded, ""},
		"cancelled within the limit": {domain.Count(1), nil, func(f *fleet, d domain.ID) {
			f.run(d, domain.PartFailed, "web-01")
			f.Add("project/shop", domain.DeploymentCancelled{Deployment: d})
		}, domain.DeploymentCancelledState, "cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01", "web-02", "web-03")
			queued := allow(wide(), c.limit)
			if c.change != nil {
				c.change(&queued)
			}
			d := f.queue(queued)
			c.happens(f, d)
			require.Equal(t, []domain.Decision{finished(d, c.state, c.reason)}, f.decide())
		})
	}
	f := newFleet(t, "web-01", "web-02", "web-03")
	d := f.queue(allow(bounded(1, wide()), domain.Count(0)))
	f.run(d, domain.PartLost, "web-01")
	withdrawn := f.decide()
	require.Equal(t, []domain.Event{domain.PartsWithdrawn{Deployment: d, Reason: domain.MaxFailuresPassed}},
		withdrawn[0].Events, "and no further part is released")
	require.Len(t, withdrawn, 1)
}
