package rollout_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// work returns the deployment whose part a machine is offered, or the zero id.
func (f *fleet) work(machine string) domain.ID {
	if part := rollout.Work(f.View, machine); part != nil {
		return part.Deployment.ID
	}
	return domain.ID{}
}

func TestMachineIsOfferedItsOldestReleasedPart(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	require.Zero(t, f.work("web-01"), "nothing is queued")
	require.Zero(t, f.work("unknown"))
	f.Project("blog", settings)
	f.Project("mail", settings)
	shop := f.queue(bounded(1, wide()))
	blog := f.Add("project/blog", wide())
	mail := f.Add("project/mail", wide())
	require.Equal(t, shop, f.work("web-01"))
	require.Equal(t, blog, f.work("web-02"), "its part of shop waits for a slot")

	f.Claim(shop, "web-01")
	require.Zero(t, f.work("web-01"), "a machine runs one part at a time")
	f.End(shop, "web-01", domain.PartSucceeded, "")
	require.Equal(t, blog, f.work("web-01"))
	f.Add("project/blog", domain.ProjectDisabled{})
	require.Equal(t, mail, f.work("web-01"), "a part that cannot be claimed now does not block later ones")
}

func TestMachineIsNotOfferedAPartThatItCannotClaim(t *testing.T) {
	for name, happens := range map[string]func(f *fleet, d domain.ID){
		"disabled": func(f *fleet, _ domain.ID) { f.Add("machine/web-01", domain.MachineDisabled{}) },
		"deleted":  func(f *fleet, _ domain.ID) { f.Add("machine/web-01", domain.MachineDeleted{}) },
		"offline":  func(f *fleet, _ domain.ID) { f.Disconnect("web-01") },
		"moved": func(f *fleet,
			_ domain.ID) {
			f.Add("machine/web-01", domain.MachineChanged{Environment: "staging"})
		},
		"cancelled": func(f *fleet, d domain.ID) { f.Add("project/shop", domain.DeploymentCancelled{Deployment: d}) },
		"skipped":   func(f *fleet, d domain.ID) { f.End(d, "web-01", domain.PartSkipped, domain.MachineIsOffline) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01")
			d := f.queue(wide())
			require.Equal(t, d, f.work("web-01"))
			happens(f, d)
			require.Zero(t, f.work("web-01"))
		})
	}
}

func TestMachineThatReconnectsIsOfferedItsPartInTheNewSession(t *testing.T) {
	f := newFleet(t, "web-01")
	d := f.queue(wide())
	f.Add("machine/web-01", domain.AgentConnected{Session: domain.ID{1: 99}, Instance: f.Machines["web-01"].Instance})
	require.Equal(t, d, f.work("web-01"))
}

func TestUnfinishedReturnsClaimedPartsThatHaveNotEnded(t *testing.T) {
	f := newFleet(t, "web-01")
	f.Project("blog", settings)
	shop := f.queue(wide())
	f.Add("project/blog", wide())
	require.Empty(t, rollout.Unfinished(f.View, "web-01"), "a released part is not claimed")
	require.Empty(t, rollout.Unfinished(f.View, "unknown"))
	f.Claim(shop, "web-01")
	f.Disconnect("web-01")
	require.Equal(t, []*projections.Part{f.Deployments[shop].Parts["web-01"]}, rollout.Unfinished(f.View, "web-01"))
	f.End(shop, "web-01", domain.PartSucceeded, "")
	require.Empty(t, rollout.Unfinished(f.View, "web-01"))
}

func TestMachineIsAskedToStopTheClaimedPartsOfAKilledDeployment(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03")
	d := f.queue(wide())
	f.Claim(d, "web-01")
	f.Claim(d, "web-02")
	asked := func() (machines []string) {
		for _, machine := range []string{"web-01", "web-02", "web-03", "unknown"} {
			for _, part := range rollout.Killed(f.View, machine) {
				require.Equal(t, d, part.Deployment.ID)
				machines = append(machines, machine)
			}
		}
		return machines
	}
	f.Add("project/shop", domain.DeploymentCancelled{Deployment: d})
	require.Empty(t, asked(), "a cancelled part finishes")
	f.Add("project/shop", domain.DeploymentCancelled{Deployment: d, Kill: true, Machine: "web-02", Origin: domain.By("ann")})
	require.Equal(t, []string{"web-02"}, asked())
	f.Add("project/shop", domain.DeploymentCancelled{Deployment: d, Kill: true, Origin: domain.By("bob")})
	require.Equal(t, []string{"web-01", "web-02"}, asked(), "web-03 had not claimed its part")
	require.Equal(t, "ann", f.Deployments[d].Parts["web-02"].Kill.By, "the first request counts")

	f.End(d, "web-01", domain.PartLost, domain.NoEndReported)
	require.Equal(t, []string{"web-01", "web-02"}, asked(), "its agent may still run the lost part")
	f.End(d, "web-01", domain.PartFailed, domain.KilledByPerson)
	f.End(d, "web-02", domain.PartSucceeded, "")
	require.Empty(t, asked(), "the agents have reported the ends")
}

func TestAnotherInstanceIsNotAskedToStop(t *testing.T) {
	f := newFleet(t, "web-01")
	d := f.queue(wide())
	f.Claim(d, "web-01")
	f.Add("project/shop", domain.DeploymentCancelled{Deployment: d, Kill: true})
	require.Len(t, rollout.Killed(f.View, "web-01"), 1)
	f.Disconnect("web-01")
	f.Connect("web-01", domain.ID{15: 1}, domain.ID{15: 77})
	require.Empty(t, rollout.Killed(f.View, "web-01"))
}

func TestDeletionOfTheProjectDoesNotHideAKillFromTheMachine(t *testing.T) {
	for name, happens := range map[string]func(f *fleet, kill domain.DeploymentCancelled){
		"before the kill": func(f *fleet, kill domain.DeploymentCancelled) {
			f.Add("project/shop", domain.ProjectDeleted{})
			f.Add("project/shop", kill)
		},
		"while the machine is offline": func(f *fleet, kill domain.DeploymentCancelled) {
			f.Disconnect("web-01")
			f.Add("project/shop", kill)
			f.Add("project/shop", domain.ProjectDeleted{})
			f.Connect("web-01", domain.ID{15: 9}, f.Machines["web-01"].Instance)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, "web-01")
			d := f.queue(wide())
			f.Claim(d, "web-01")
			happens(f, domain.DeploymentCancelled{Deployment: d, Kill: true})
			require.Equal(t, []*projections.Part{f.Deployments[d].Parts["web-01"]}, rollout.Killed(f.View, "web-01"))
			f.End(d, "web-01", domain.PartFailed, domain.KilledByPerson)
			require.Empty(t, rollout.Killed(f.View, "web-01"))
		})
	}
}
