package projections_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// verifying returns a history in which the automatic deployment d of release 1.0 to web-01 is verified, after one failed
// attempt.
func verifying(t *testing.T) (h *projectionstest.History, d domain.ID) {
	h = projectionstest.OneMachine(t)
	h.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
	d = h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
		HealthyFor: domain.Duration(time.Minute), MaxParallel: domain.Count(1),
		Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}, Reason: "retry"}}})
	h.Claim(d, "web-01")
	h.End(d, "web-01", domain.PartSucceeded, "")
	require.Equal(t, domain.PartVerifying, h.Deployments[d].Parts["web-01"].State)
	return h, d
}

func verify(h *projectionstest.History, d domain.ID, state domain.PartState, reason domain.PartReason) {
	h.Add(domain.PartStream(d, "web-01"), domain.PartVerified{Project: "shop", State: state, Reason: reason})
}

func unhealthy(h *projectionstest.History) {
	h.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Unhealthy, Session: projectionstest.Session})
}

func TestVerificationFreesTheMachineAndKeepsTheSlot(t *testing.T) {
	h, d := verifying(t)
	p, m := h.Projects["shop"], h.Machines["web-01"]
	require.Equal(t, "1.0", h.Actual(p, m))
	require.False(t, h.Dirty(p, m))
	require.Nil(t, m.Claimed)
	require.Equal(t, 1, p.Released("production"))
	require.Zero(t, h.Deployments[d].FreeSlots())
	require.Equal(t, domain.AlreadyClaimed, h.ClaimCheck(h.Deployments[d].Parts["web-01"], m.Session))
	count, _ := h.Attempts(p, m)
	require.Equal(t, 1, count, "only a verified success clears the count")

	verify(h, d, domain.PartSucceeded, "")
	require.Equal(t, domain.PartSucceeded, h.Deployments[d].Parts["web-01"].State)
	require.Zero(t, p.Released("production"))
	require.Zero(t, h.Deployments[d].OpenParts())
	count, _ = h.Attempts(p, m)
	require.Zero(t, count)
	require.Empty(t, h.Candidates(p, m))
	require.Empty(t, h.Inconsistencies())
}

func TestFailedVerificationIsAFailedAttempt(t *testing.T) {
	h, d := verifying(t)
	p, m := h.Projects["shop"], h.Machines["web-01"]
	unhealthy(h)
	verify(h, d, domain.PartSucceeded, "") // decided by a server that had not read the report
	require.Equal(t, domain.PartVerifying, h.Deployments[d].Parts["web-01"].State, "the success is void")
	verify(h, d, domain.PartFailed, domain.MachineIsUnhealthy)
	require.Equal(t, domain.PartFailed, h.Deployments[d].Parts["web-01"].State)
	require.Equal(t, 1, h.Deployments[d].Failures())
	require.Equal(t, "1.0", h.Actual(p, m), "the machine keeps what its agent proved")
	require.True(t, h.Dirty(p, m))
	count, _ := h.Attempts(p, m)
	require.Equal(t, 2, count)
	require.Len(t, h.Candidates(p, m), 1, "the cause is due again")
	verify(h, d, domain.PartSucceeded, "")
	require.Equal(t, domain.PartFailed, h.Deployments[d].Parts["web-01"].State, "it ends once")
	require.Empty(t, h.Inconsistencies())
}

func TestCauseDuringAVerificationIsKept(t *testing.T) {
	h, d := verifying(t)
	p, m := h.Projects["shop"], h.Machines["web-01"]
	h.Add("project/shop", domain.TriggerDefined{Trigger: "again", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.Enabled}, Environments: []string{"production"}}})
	h.Add("machine/web-01", domain.MachineDisabled{}, domain.MachineEnabled{})
	require.Len(t, h.Candidates(p, m), 2, "it waits for the end, although the machine has the release")
	unhealthy(h)
	verify(h, d, domain.PartFailed, domain.MachineIsUnhealthy)
	require.Len(t, h.Candidates(p, m), 2)
	require.Empty(t, h.Inconsistencies())
}

func TestPersonEndsAVerification(t *testing.T) {
	wide := domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0",
		MaxParallel: domain.Count(1), Origin: domain.By("ann")}
	narrowed := wide
	narrowed.Kind, narrowed.Machines = domain.Narrowed, []domain.DeploymentMachine{{Name: "web-01"}}
	for name, c := range map[string]struct {
		stream  string
		happens func(d domain.ID) domain.Event
		reason  domain.PartReason
	}{
		"cancels it": {"project/shop", func(d domain.ID) domain.Event {
			return domain.DeploymentCancelled{Deployment: d, Origin: domain.By("ann")}
		}, domain.DeploymentStopped},
		"deploys to the environment": {"project/shop", func(domain.ID) domain.Event { return wide }, domain.Superseded},
		"deploys to the machine":     {"project/shop", func(domain.ID) domain.Event { return narrowed }, domain.Superseded},
		"deletes the project":        {"project/shop", func(domain.ID) domain.Event { return domain.ProjectDeleted{} }, domain.ProjectGone},
		"deletes the environment":    {"environment/production", func(domain.ID) domain.Event { return domain.EnvironmentDeleted{} }, domain.EnvironmentGone},
	} {
		for _, broken := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				h, d := verifying(t)
				p, m := h.Projects["shop"], h.Machines["web-01"]
				if broken {
					unhealthy(h)
				}
				h.Add(c.stream, c.happens(d))
				part := h.Deployments[d].Parts["web-01"]
				if broken {
					require.Equal(t, domain.PartFailed, part.State, "it had failed before")
					require.Equal(t, domain.MachineIsUnhealthy, part.Reason)
				} else {
					require.Equal(t, domain.PartCancelled, part.State)
					require.Equal(t, c.reason, part.Reason)
				}
				require.Zero(t, h.Deployments[d].OpenParts())
				require.Empty(t, h.Inconsistencies())
				if p.Gone {
					return
				}
				require.Equal(t, broken, h.Dirty(p, m))
				if c.reason == domain.DeploymentStopped {
					require.Equal(t, broken, m.HoldApplies("shop"), "automation leaves a machine alone that did not succeed")
				}
			})
		}
	}
}

func TestSuccessOfADeploymentThatAPersonEndedIsNotVerified(t *testing.T) {
	queued := domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		HealthyFor: domain.Duration(time.Minute), Machines: []domain.DeploymentMachine{{Name: "web-01"}}}
	for name, c := range map[string]struct {
		happens func(d domain.ID) domain.Event
		reason  domain.PartReason
	}{
		"cancelled": {func(d domain.ID) domain.Event { return domain.DeploymentCancelled{Deployment: d} }, domain.DeploymentStopped},
		"replaced":  {func(domain.ID) domain.Event { return queued }, domain.Superseded},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.OneMachine(t)
			d := h.Add("project/shop", queued)
			h.Claim(d, "web-01")
			h.Add("project/shop", c.happens(d))
			h.End(d, "web-01", domain.PartSucceeded, "")
			part, p, m := h.Deployments[d].Parts["web-01"], h.Projects["shop"], h.Machines["web-01"]
			require.Equal(t, domain.PartCancelled, part.State)
			require.Equal(t, c.reason, part.Reason)
			require.Equal(t, "1.0", h.Actual(p, m))
			require.False(t, h.Dirty(p, m))
			require.Empty(t, h.Inconsistencies())
		})
	}
}

// Time counts for a verification only while the machine is online and its health check finds nothing.
func TestTimeOfAVerificationCountsFromWhenTheMachineIsSteady(t *testing.T) {
	h, d := verifying(t)
	part, m := h.Deployments[d].Parts["web-01"], h.Machines["web-01"]
	steady := part.Verifying
	require.Equal(t, h.Position, steady)
	report := func(status domain.Health) {
		h.Add("machine/web-01", domain.MachineHealthChanged{Status: status, Session: m.Session})
	}
	connect := func(instance domain.ID) { h.Connect("web-01", projectionstest.Server, instance) }
	for _, c := range []struct {
		what    string
		happens func()
		steady  int // 1: from this position, 0: from the former one, -1: not now
	}{
		{"it is healthy", func() { report(domain.Healthy) }, 0},
		{"a warning", func() { report(domain.Warning) }, 0},
		{"it says goodbye", func() {
			h.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: "said-goodbye"})
		}, -1},
		{"it returns", func() { connect(m.Instance) }, 1},
		{"a check is added", func() { policy(h, domain.DefaultPolicy, checked) }, 0},
		{"its health becomes unknown", func() { connect(domain.ID{9: 9}) }, -1},
		{"a policy without a check", func() {
			h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Policy: "none"})
			policy(h, "none", domain.PolicySettings{})
		}, 1},
		{"a policy with a check", func() { h.Add("machine/web-01", domain.MachineChanged{Environment: "production"}) }, -1},
		{"the first result", func() { report(domain.Healthy) }, 1},
		{"unhealthy", func() { report(domain.Unhealthy) }, -1},
		{"healthy again", func() { report(domain.Healthy) }, 1},
		{"its policy changes", func() {
			h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Policy: "p"})
		}, 0},
		{"a policy without a check", func() { policy(h, "p", domain.PolicySettings{}) }, 0},
	} {
		c.happens()
		switch c.steady {
		case 1:
			steady = h.Position
		case -1:
			require.Zero(t, part.Steady, c.what)
			continue
		}
		require.Equal(t, steady, part.Steady, c.what)
	}
	require.Equal(t, domain.MachineIsUnhealthy, part.Broken)
}

func TestVerificationFailsForTheFirstReason(t *testing.T) {
	silent := func(h *projectionstest.History) {
		h.Add("machine/web-01", domain.MachineWentOffline{Connect: h.Machines["web-01"].Connect, Reason: domain.Silent})
	}
	for name, c := range map[string]struct {
		happens []func(h *projectionstest.History)
		reason  domain.PartReason
	}{
		"silent, then unhealthy": {[]func(*projectionstest.History){silent, func(h *projectionstest.History) {
			h.Connect("web-01", projectionstest.Server, projectionstest.Instance)
		}, unhealthy}, domain.MachineIsOffline},
		"unhealthy, then silent": {[]func(*projectionstest.History){unhealthy, silent}, domain.MachineIsUnhealthy},
		"the silence of an older session": {[]func(*projectionstest.History){func(h *projectionstest.History) {
			h.Add("machine/web-01", domain.MachineWentOffline{Connect: domain.ID{7: 7}, Reason: domain.Silent})
		}}, ""},
		"it says goodbye": {[]func(*projectionstest.History){func(h *projectionstest.History) {
			h.Add("machine/web-01", domain.MachineWentOffline{Connect: h.Machines["web-01"].Connect})
		}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, d := verifying(t)
			for _, happens := range c.happens {
				happens(h)
			}
			require.Equal(t, c.reason, h.Deployments[d].Parts["web-01"].Broken)
		})
	}
}

func TestForgottenSuccessIsNotVerified(t *testing.T) {
	for name, c := range map[string]struct {
		happens   func(h *projectionstest.History, d domain.ID)
		forgotten bool
	}{
		"the agent forgot it": {func(h *projectionstest.History, d domain.ID) {
			h.Add("machine/web-01", domain.MachineLostState{Lost: []domain.LostSuccess{{Project: "shop", Deployment: d}}})
		}, true},
		"the agent remembers it": {func(*projectionstest.History, domain.ID) {}, false},
		"another machine has the name": {func(h *projectionstest.History, d domain.ID) {
			h.Add("machine/web-01", domain.MachineDeleted{})
			h.Join("web-01")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, d := verifying(t)
			c.happens(h, d)
			part := h.Deployments[d].Parts["web-01"]
			require.Equal(t, c.forgotten, part.Forgotten(h.MachineOf(part)))
			verify(h, d, domain.PartSucceeded, "")
			require.Equal(t, c.forgotten, part.State == domain.PartVerifying, "the success is void if it was forgotten")
			require.Empty(t, h.Inconsistencies())
		})
	}
}

func TestVerificationBlocksOnlyItsProject(t *testing.T) {
	h, d := verifying(t)
	h.Project("blog", domain.ProjectSettings{})
	m := h.Machines["web-01"]
	part := h.Deployments[d].Parts["web-01"]
	require.Equal(t, []*projections.Part{part}, h.BlockingParts(h.Projects["shop"], m))
	require.Empty(t, h.BlockingParts(h.Projects["blog"], m))
	other := h.Add("project/blog", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
	require.Empty(t, h.BlockingParts(h.Projects["blog"], m), "it is not claimed")
	h.Claim(other, "web-01")
	running := h.Deployments[other].Parts["web-01"]
	require.Equal(t, []*projections.Part{running}, h.BlockingParts(h.Projects["blog"], m))
	require.Equal(t, []*projections.Part{part, running}, h.BlockingParts(h.Projects["shop"], m))
}

// running returns a history in which web-01 runs its part of a person's deployment that is verified after its success.
func running(t *testing.T) (h *projectionstest.History, part *projections.Part) {
	h = projectionstest.OneMachine(t)
	h.Join("web-02")
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.0", HealthyFor: domain.Duration(time.Minute)})
	h.Claim(d, "web-01")
	return h, h.Deployments[d].Parts["web-01"]
}

// succeeded reports the success of the agent that runs a part, whatever happened to its machine since.
func succeeded(h *projectionstest.History, part *projections.Part) {
	h.Add(domain.PartStream(part.Deployment.ID, part.Machine), domain.PartEnded{
		Project: part.Deployment.Project.Name, State: domain.PartSucceeded, Session: part.Session})
}

func TestSuccessOfAMachineThatIsGoneIsNotThatOfItsSuccessor(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(h *projectionstest.History)
		broken  domain.PartReason
	}{
		"deleted": {func(*projectionstest.History) {}, ""},
		"added again": {func(h *projectionstest.History) {
			h.Join("web-01")
			h.Add("machine/web-01", domain.MachineLostState{})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, part := running(t)
			h.Add("machine/web-01", domain.MachineDeleted{Origin: domain.By("ann")})
			c.happens(h)
			succeeded(h, part)
			require.Equal(t, domain.PartVerifying, part.State)
			require.False(t, part.Forgotten(h.MachineOf(part)))
			if m := h.Machines["web-01"]; m != nil {
				require.Empty(t, h.Actual(h.Projects["shop"], m))
				unhealthy(h)
			}
			require.Empty(t, part.Broken, "the health of another machine says nothing")
			require.Empty(t, h.Inconsistencies())
		})
	}
}

func TestSuccessForADeletedProjectIsNotRecorded(t *testing.T) {
	h, part := running(t)
	h.Add("project/shop", domain.ProjectDeleted{})
	succeeded(h, part)
	require.Equal(t, domain.PartCancelled, part.State)
	require.Empty(t, h.Machines["web-01"].Installed)
}

func TestVerifiedMachineIsNotBehind(t *testing.T) {
	h, part := running(t)
	h.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"})
	require.Equal(t, []string{"web-01", "web-02"}, h.Projects["shop"].Sweep())
	succeeded(h, part)
	require.Equal(t, []string{"web-02"}, h.Projects["shop"].Sweep())
}

func TestLaterRolloutThatExcludesAMachineEndsItsVerification(t *testing.T) {
	h, part := running(t)
	exclude(h)
	succeeded(h, part)
	require.Equal(t, domain.PartCancelled, part.State)
	require.Equal(t, domain.Superseded, part.Reason)
}

func TestDeploymentOfAnotherProjectEndsNoVerification(t *testing.T) {
	h, part := running(t)
	h.Project("blog", domain.ProjectSettings{})
	h.Add("project/blog", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0"})
	succeeded(h, part)
	require.Equal(t, domain.PartVerifying, part.State)
}

func TestOnlyAVerificationCanBeDecided(t *testing.T) {
	h, part := running(t)
	verify(h, part.Deployment.ID, domain.PartFailed, domain.MachineIsUnhealthy)
	require.Equal(t, domain.PartRunning, part.State, "the agent has not succeeded yet")
	succeeded(h, part)
	verify(h, part.Deployment.ID, domain.PartSucceeded, "")
	verify(h, part.Deployment.ID, domain.PartFailed, domain.MachineIsUnhealthy)
	require.Equal(t, domain.PartSucceeded, part.State, "it ends once")
	require.Zero(t, part.Deployment.Failures())
}

func TestHealthBeforeTheSuccessSaysNothingAboutTheRelease(t *testing.T) {
	h, part := running(t)
	unhealthy(h)
	succeeded(h, part)
	require.Empty(t, part.Broken, "the release may cure it")
	require.Equal(t, domain.PartVerifying, part.State)
	require.Zero(t, part.Steady)
}

// The machine has the release, so the cause needs nothing.
func TestOnlyAVerificationOfItsProjectKeepsACause(t *testing.T) {
	for name, happens := range map[string]func(b *fleet){
		"nothing runs": func(*fleet) {},
		"an automatic part is open": func(b *fleet) {
			b.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
				Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
		},
		"a machine that was deleted is verified": func(b *fleet) {
			d := b.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production",
				Release: "1.0", HealthyFor: domain.Duration(time.Minute),
				Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
			b.runPart(d, "web-01", domain.PartSucceeded)
			b.Add("machine/web-01", domain.MachineDeleted{Origin: domain.By("ann")})
			b.Join("web-01")
			b.Attempt("web-01", "1.0", domain.PartSucceeded, "")
			require.Equal(t, domain.PartVerifying, b.Deployments[d].Parts["web-01"].State)
			require.Equal(t, "1.0", b.Actual(b.Projects["shop"], b.Machines["web-01"]))
		},
		"another project is verified": func(b *fleet) {
			b.narrowed(domain.PartSucceeded, "web-01")
			d := b.Add("project/blog", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production",
				Release: "1.0", HealthyFor: domain.Duration(time.Minute),
				Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
			b.runPart(d, "web-01", domain.PartSucceeded)
			require.Equal(t, domain.PartVerifying, b.Deployments[d].Parts["web-01"].State)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := returned(t)
			if name == "nothing runs" {
				b.narrowed(domain.PartSucceeded, "web-01")
			}
			happens(b)
			b.Add("project/shop", domain.TriggerDefined{Trigger: "enabled", Settings: domain.TriggerSettings{
				Events: []domain.Category{domain.Enabled}, Environments: []string{"production"}}})
			b.Add("machine/web-01", domain.MachineDisabled{}, domain.MachineEnabled{})
			for _, c := range b.Candidates(b.Projects["shop"], b.Machines["web-01"]) {
				require.NotEqual(t, "enabled", c.Trigger)
			}
		})
	}
}

// The rest of the history leads to the same view from a snapshot that was taken at any position of a verification.
func TestSnapshotKeepsAVerification(t *testing.T) {
	h, d := verifying(t)
	m := h.Machines["web-01"]
	h.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: "said-goodbye"})
	h.Connect("web-01", projectionstest.Server, m.Instance)
	unhealthy(h)
	verify(h, d, domain.PartSucceeded, "")
	verify(h, d, domain.PartFailed, domain.MachineIsUnhealthy)
	v := projections.New()
	for _, rec := range h.Log {
		v.Apply(rec)
		var saved bytes.Buffer
		require.NoError(t, v.Save(&saved))
		loaded, err := projections.Load(saved.Bytes())
		require.NoError(t, err)
		require.Equal(t, v.Deployments[d], loaded.Deployments[d])
		v = loaded
	}
	require.Equal(t, h.Deployments[d].Parts["web-01"].State, v.Deployments[d].Parts["web-01"].State)
	require.Equal(t, domain.PartFailed, v.Deployments[d].Parts["web-01"].State)
}

// A server decides that the machine stayed healthy, and is frozen before it writes that.
func TestSuccessThatWasDecidedBeforeTheAgentDisconnectedIsVoid(t *testing.T) {
	h, d := verifying(t)
	part, m := h.Deployments[d].Parts["web-01"], h.Machines["web-01"]
	verified := domain.PartVerified{Project: "shop", State: domain.PartSucceeded, Steady: part.SteadyFrom}
	h.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: "said-goodbye"})
	h.Add(domain.PartStream(d, "web-01"), verified)
	require.Equal(t, domain.PartVerifying, part.State, "it is not connected")
	h.Add("machine/web-01", domain.MachineCameOnline{Session: m.Session, Instance: m.Instance})
	h.Add(domain.PartStream(d, "web-01"), verified)
	require.Equal(t, domain.PartVerifying, part.State, "it has been healthy for a moment only")
	verified.Steady = part.SteadyFrom
	h.Add(domain.PartStream(d, "web-01"), verified)
	require.Equal(t, domain.PartSucceeded, part.State)
}
