package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

// checked is a policy with a health check. Its result is not known yet.
var checked = domain.PolicyDefined{Settings: domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true"}}}

// unavailable holds the ways in which machine web-01 becomes unavailable, with the expected reason.
var unavailable = map[string]struct {
	reason  domain.PartReason
	happens func(f *fleet)
}{
	"deleted": {domain.MachineGone, func(f *fleet) { f.Add("machine/web-01", domain.MachineDeleted{}) }},
	"deleted and added again": {domain.MachineGone, func(f *fleet) {
		f.Add("machine/web-01", domain.MachineDeleted{})
		f.Join("web-01")
	}},
	"moved to another environment": {domain.OutOfScope,
		func(f *fleet) { f.Add("machine/web-01", domain.MachineChanged{Environment: "staging"}) }},
	"without a role of the project": {domain.OutOfScope, func(f *fleet) {
		f.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Roles: []string{"db"}}})
	}},
	"disabled": {domain.MachineIsDisabled,
		func(f *fleet) { f.Add("machine/web-01", domain.MachineDisabled{}) }},
	"held by a person": {domain.MachineIsHeld, func(f *fleet) {
		f.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: f.Machines["web-01"].Instance, Origin: domain.By("ann")})
	}},
	"offline":             {domain.MachineIsOffline, func(f *fleet) { f.Disconnect("web-01") }},
	"with unknown health": {domain.HealthNotKnown, func(f *fleet) { f.Add("policy/default", checked) }},
}

func TestPartOfAPersonsDeploymentIsSkippedWhenItsMachineIsUnavailable(t *testing.T) {
	for name, c := range unavailable {
		for kind, queued := range map[string]domain.DeploymentQueued{"environment-wide": wide(),
			"narrowed": narrowed("web-01")} {
			t.Run(name+" "+kind, func(t *testing.T) {
				f := newFleet(t, "web-01")
				d := f.queue(queued)
				require.Empty(t, f.decide())
				c.happens(f)
				require.Equal(t, []domain.Decision{ended(d, "web-01", domain.PartSkipped, c.reason)}, f.decide())
			})
		}
	}
}

func TestPartOfAPersonsDeploymentThatWaitsForASlotIsNotSkipped(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	d := f.queue(bounded(1, wide()))
	f.Disconnect("web-02")
	require.Empty(t, f.decide(), "web-02 may have returned by its turn")
	f.run(d, domain.PartSucceeded, "web-01")
	require.Equal(t, []domain.Decision{released(d, "web-02")}, f.decide())
	f.Add("project/shop", f.decide()[0].Events...)
	require.Equal(t, []domain.Decision{ended(d, "web-02", domain.PartSkipped, domain.MachineIsOffline)}, f.decide())
}

func TestPartOfAPersonsDeploymentWaitsWhileItsProjectIsDisabled(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	d := f.queue(wide())
	f.Add("project/shop", domain.ProjectDisabled{})
	f.Disconnect("web-02")
	f.Wait(24 * time.Hour)
	require.Empty(t, f.decide())
	f.Add("project/shop", domain.ProjectEnabled{})
	require.Equal(t, []domain.Decision{ended(d, "web-02", domain.PartSkipped, domain.MachineIsOffline)}, f.decide())
}

func TestAutomaticPartIsWithdrawnWhenItsMachineIsUnavailableOrNotWanted(t *testing.T) {
	cases := map[string]struct {
		reason  domain.PartReason
		happens func(f *fleet)
	}{
		"of a disabled project": {domain.ProjectIsDisabled,
			func(f *fleet) { f.Add("project/shop", domain.ProjectDisabled{}) }},
		"of a deleted trigger": {domain.TriggerGone,
			func(f *fleet) { f.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"}) }},
		"of a disabled trigger": {domain.TriggerGone,
			func(f *fleet) { f.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"}) }},
		"held": {domain.MachineIsHeld,
			func(f *fleet) { f.Add("project/shop", domain.HoldSet{Machine: "web-01"}) }},
		"that should have another release": {domain.NoLongerWanted, func(f *fleet) {
			f.Release("shop", "2.0")
			f.Add("project/shop", domain.PinSet{Environment: "production", Release: "2.0"})
		}},
	}
	for name, c := range unavailable {
		cases[name] = c
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01")
			d := f.queue(automatic("web-01"))
			require.Empty(t, f.decide())
			c.happens(f)
			require.Equal(t, []domain.Decision{withdrawn(d, c.reason, "web-01")}, f.decide())
		})
	}
}

func TestAutomaticPartIsNotWithdrawnForAConditionThatEndsByItself(t *testing.T) {
	for name, happens := range map[string]func(f *fleet){
		"the machine runs another part": func(f *fleet) { f.busy("web-01") },
		"the machine is set aside":      func(f *fleet) { f.SetAsideStream("machine/web-01") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01")
			f.queue(automatic("web-01"))
			happens(f)
			f.Wait(time.Hour)
			require.Empty(t, f.decide())
		})
	}
}

func TestPartsAreWithdrawnInOneDecisionPerReason(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03", "web-04", "web-05", "web-06", "web-07")
	d := f.queue(automatic("web-01", "web-02", "web-03", "web-04", "web-05", "web-06", "web-07"))
	f.Add("machine/web-01", domain.MachineChanged{Environment: "staging"})
	for _, name := range []string{"web-05", "web-02"} {
		f.Disconnect(name)
	}
	f.Add("project/shop", domain.HoldSet{Machine: "web-03"})
	f.Add("machine/web-04", domain.MachineDisabled{})
	f.Add("machine/web-06", domain.MachineDeleted{})
	require.Equal(t, []domain.Decision{
		withdrawn(d, domain.MachineIsHeld, "web-03"),
		withdrawn(d, domain.MachineGone, "web-06"),
		withdrawn(d, domain.MachineIsDisabled, "web-04"),
		withdrawn(d, domain.MachineIsOffline, "web-02", "web-05"),
		withdrawn(d, domain.OutOfScope, "web-01"),
	}, f.decide())
}

// busy lets a machine run a part of project blog.
func (f *fleet) busy(machine string) {
	f.Project("blog", settings)
	f.Claim(f.Add("project/blog", narrowed(machine)), machine)
}

// idle ends what busy began.
func (f *fleet) idle(machine string) {
	d := f.Machines[machine].Claimed.Deployment.ID
	f.End(d, machine, domain.PartSucceeded, "")
	f.Add("project/blog", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
}

func TestUnclaimedPartEndsLostAfterAfterItBecameClaimable(t *testing.T) {
	for name, c := range map[string]struct{ block, unblock func(f *fleet) }{
		"since it was released": {},
		"since its machine came online": {
			func(f *fleet) { f.Disconnect("web-01") },
			func(f *fleet) { f.Connect("web-01", domain.ID{}, f.Machines["web-01"].Instance) }},
		"since its machine was enabled": {
			func(f *fleet) { f.Add("machine/web-01", domain.MachineDisabled{}) },
			func(f *fleet) { f.Add("machine/web-01", domain.MachineEnabled{}) }},
		"since its machine ended another part": {
			func(f *fleet) { f.busy("web-01") },
			func(f *fleet) { f.idle("web-01") }},
		"since its project was enabled": {
			func(f *fleet) { f.Add("project/shop", domain.ProjectDisabled{}) },
			func(f *fleet) { f.Add("project/shop", domain.ProjectEnabled{}) }},
	} {
		for kind, queue := range map[string]func(...string) domain.DeploymentQueued{"narrowed": narrowed,
			"automatic": automatic} {
			t.Run(name+", "+kind, func(t *testing.T) {
				f := newFleet(t, "web-00", "web-01")
				d := f.queue(bounded(1, queue("web-00", "web-01")))
				f.run(d, domain.PartSucceeded, "web-00")
				f.Wait(time.Hour)
				if c.block != nil {
					c.block(f)
				}
				f.Add("project/shop", domain.PartsReleased{Deployment: d, Machines: []string{"web-01"}})
				if c.unblock != nil {
					f.Wait(time.Hour)
					c.unblock(f)
				}
				f.Wait(lostAfter)
				require.Empty(t, f.decide(), "the time has not passed")
				f.Wait(1)
				want := ended(d, "web-01", domain.PartSkipped, domain.NotClaimed)
				if kind == "automatic" {
					want = withdrawn(d, domain.NotClaimed, "web-01")
				}
				require.Equal(t, []domain.Decision{want}, f.decide())
			})
		}
	}
}

func TestPartOfABlockedMachineWaitsForLostAfterAndIsNoAttempt(t *testing.T) {
	for kind, queue := range map[string]func(...string) domain.DeploymentQueued{"narrowed": narrowed, "automatic": automatic} {
		end := func(d domain.ID, reason domain.PartReason) domain.Decision {
			if kind == "automatic" {
				return withdrawn(d, reason, "web-01")
			}
			return ended(d, "web-01", domain.PartSkipped, reason)
		}
		t.Run("blocked after the release, "+kind, func(t *testing.T) {
			f := newFleet(t, "web-01")
			d := f.queue(queue("web-01"))
			f.Wait(lostAfter - time.Minute)
			f.block("web-01")
			f.Wait(time.Minute)
			require.Empty(t, f.decide(), "the machine may recover")
			f.Wait(1)
			require.Equal(t, []domain.Decision{end(d, domain.MachineIsBlocked)}, f.decide())
		})
		t.Run("blocked for longer, "+kind, func(t *testing.T) {
			f := newFleet(t, "web-01")
			f.block("web-01")
			f.Wait(lostAfter)
			d := f.queue(queue("web-01"))
			require.Empty(t, f.decide())
			f.Wait(1)
			require.Equal(t, []domain.Decision{end(d, domain.MachineIsBlocked)}, f.decide(), "it does not keep its slot")
		})
		t.Run("recovered, "+kind, func(t *testing.T) {
			f := newFleet(t, "web-01")
			d := f.queue(queue("web-01"))
			f.block("web-01")
			f.Wait(lostAfter)
			f.Add("machine/web-01", domain.MachineConditionsChanged{})
			require.Empty(t, f.decide())
			f.Wait(1)
			require.Equal(t, []domain.Decision{end(d, domain.NotClaimed)}, f.decide(), "a flapping agent keeps no rollout open")
		})
		t.Run("a warning, "+kind, func(t *testing.T) {
			f := newFleet(t, "web-01")
			d := f.queue(queue("web-01"))
			f.Add("machine/web-01", domain.MachineConditionsChanged{Conditions: []domain.Condition{{Kind: domain.Leftovers}}})
			f.Wait(lostAfter + 1)
			require.Equal(t, []domain.Decision{end(d, domain.NotClaimed)}, f.decide())
		})
	}
}

func TestLostAfterComesFromTheMachinesOwnPolicy(t *testing.T) {
	f := newFleet(t)
	strict := domain.PolicySettings{LostAfter: domain.Duration(time.Minute)}
	f.Add("policy/strict", domain.PolicyDefined{Settings: strict})
	for _, name := range []string{"web-01", "web-02"} {
		f.Add("machine/"+name, domain.MachineAdded{Environment: "production", Policy: "strict"})
		f.Connect(name, domain.ID{}, projectionstest.ID(f.Position))
	}
	d := f.queue(wide())
	f.Claim(d, "web-02")
	f.Wait(time.Minute)
	require.Empty(t, f.decide())
	f.Wait(1)
	require.Equal(t, []domain.Decision{ended(d, "web-01", domain.PartSkipped, domain.NotClaimed)}, f.decide())
	f.Add(domain.PartStream(d, "web-01"), f.decide()[0].Events...)
	f.Wait(timeout)
	require.Equal(t, []domain.Decision{ended(d, "web-02", domain.PartLost, domain.NoEndReported)}, f.decide())
}

func TestAutomaticPartThatWaitsForASlotDoesNotTimeOut(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	d := f.queue(bounded(1, automatic("web-01", "web-02")))
	f.Claim(d, "web-01")
	f.Wait(timeout)
	require.Empty(t, f.decide())
}

func TestPartDoesNotTimeOutWhileItsMachineRunsAnotherPart(t *testing.T) {
	f := newFleet(t, "web-01")
	f.queue(wide())
	f.busy("web-01")
	f.Wait(timeout)
	require.Empty(t, f.decide())
}

func TestRunningPartIsLostAfterItsStepTimeoutsPlusLostAfter(t *testing.T) {
	for kind, queued := range map[string]domain.DeploymentQueued{"narrowed": narrowed("web-01"),
		"automatic": automatic("web-01")} {
		for name, happens := range map[string]func(f *fleet){
			"online":  func(*fleet) {},
			"offline": func(f *fleet) { f.Disconnect("web-01") },
			"disabled and held, with a disabled project": func(f *fleet) {
				f.Add("machine/web-01", domain.MachineDisabled{})
				f.Add("project/shop", domain.HoldSet{Machine: "web-01"}, domain.ProjectDisabled{})
			},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				f := newFleet(t, "web-01")
				d := f.queue(queued)
				f.Wait(lostAfter)
				f.Claim(d, "web-01")
				happens(f)
				f.Wait(timeout + lostAfter)
				require.Empty(t, f.decide())
				f.Wait(1)
				require.Equal(t, []domain.Decision{ended(d, "web-01", domain.PartLost, domain.NoEndReported)},
					f.decide())
			})
		}
	}
}

func TestRunningPartOfAMissingReleaseIsLostAfterLostAfter(t *testing.T) {
	f := newFleet(t, "web-01")
	queued := narrowed("web-01")
	queued.Release = "9.0"
	d := f.queue(queued)
	f.Claim(d, "web-01")
	f.Wait(lostAfter)
	require.Empty(t, f.decide())
	f.Wait(1)
	require.Equal(t, []domain.Decision{ended(d, "web-01", domain.PartLost, domain.NoEndReported)}, f.decide())
}

func TestRunningPartIsLostAtOnceWhenItsMachineIsDeletedOrReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		reason  domain.PartReason
		happens func(f *fleet)
	}{
		"deleted":                 unavailable["deleted"],
		"deleted and added again": unavailable["deleted and added again"],
		"another instance": {domain.MachineReplaced, func(f *fleet) {
			f.Disconnect("web-01")
			f.Connect("web-01", domain.ID{}, domain.ID{2: 99})
		}},
	} {
		for kind, queued := range map[string]domain.DeploymentQueued{"narrowed": narrowed("web-01"),
			"automatic": automatic("web-01")} {
			t.Run(name+" "+kind, func(t *testing.T) {
				f := newFleet(t, "web-01")
				d := f.queue(queued)
				f.Claim(d, "web-01")
				c.happens(f)
				require.Equal(t, []domain.Decision{ended(d, "web-01", domain.PartLost, c.reason)}, f.decide())
			})
		}
	}
}

func TestRunningPartContinuesWhenItsMachineReconnects(t *testing.T) {
	f := newFleet(t, "web-01")
	d := f.queue(wide())
	f.Claim(d, "web-01")
	f.Disconnect("web-01")
	f.Connect("web-01", domain.ID{}, f.Machines["web-01"].Instance)
	require.Empty(t, f.decide())
}
