package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// everything is a position after all facts of a test.
const everything eventlog.Position = 1 << 20

func proves(deployments ...domain.ID) projections.Remembered {
	proven := projections.RememberedProject{Release: "0.9", Deployments: deployments}
	return projections.Remembered{AsOf: everything, Projects: map[string]projections.RememberedProject{"shop": proven}}
}

// queue queues a narrowed deployment of release 1.0 to web-01.
func queue(h *projectionstest.History) domain.ID {
	return h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})
}

// start queues a deployment to web-01 and claims its part.
func start(h *projectionstest.History) domain.ID {
	d := queue(h)
	h.Add("project/shop", domain.PartsReleased{Deployment: d, Machines: []string{"web-01"}})
	h.Add(domain.PartStream(d, "web-01"), domain.PartClaimed{Project: "shop", Session: projectionstest.Session,
		Instance: projectionstest.Instance})
	return d
}

// end records the end of a part on web-01.
func end(h *projectionstest.History, d domain.ID, state domain.PartState) {
	e := domain.PartEnded{Project: "shop", State: state}
	if e.ByAgent() {
		e.Session = projectionstest.Session
	}
	h.Add(domain.PartStream(d, "web-01"), e)
}

func succeed(h *projectionstest.History) domain.ID {
	d := start(h)
	end(h, d, domain.PartSucceeded)
	return d
}

// The success of d1 counts in the log. The cases are what the agent can state then.
func TestForgottenSuccesses(t *testing.T) {
	h := projectionstest.OneMachine(t)
	require.Empty(t, h.Forgotten("web-01", projections.Remembered{AsOf: everything}), "nothing was installed yet")
	old := succeed(h)
	before := h.Position
	d1 := succeed(h)
	lost := []domain.LostSuccess{{Project: "shop", Deployment: d1, Release: "1.0", Proven: "0.9"}}
	require.Equal(t, lost, h.Forgotten("web-01", proves(old)))
	require.Empty(t, h.Forgotten("web-01", proves(d1)))
	require.Empty(t, h.Forgotten("web-01", proves(d1, old)))
	require.Empty(t, h.Forgotten("web-02", proves()), "the machine does not exist")

	none := projections.Remembered{AsOf: everything}
	require.Len(t, h.Forgotten("web-01", none), 1, "an empty record means that nothing was installed")
	none.Partial = true
	require.Empty(t, h.Forgotten("web-01", none), "the agent kept no record of the project")
	partial := proves(old)
	partial.Partial = true
	require.Len(t, h.Forgotten("web-01", partial), 1)

	stale := proves(old)
	stale.AsOf = before
	require.Empty(t, h.Forgotten("web-01", stale), "the statement is older than the success")

	h.Add("machine/web-01", domain.MachineWentOffline{Connect: h.Machines["web-01"].Connect},
		domain.MachineCameOnline{Instance: domain.ID{2: 9}})
	require.Empty(t, h.Forgotten("web-01", proves()), "nothing is installed on the new disk")
}

// A success that does not count in the log is not required. A late one can be newer or older than the one that counts.
func TestForgottenSuccessesWithLateResults(t *testing.T) {
	h := projectionstest.OneMachine(t)
	d1 := succeed(h)
	late := start(h)
	end(h, late, domain.PartLost)
	failed := start(h)
	end(h, failed, domain.PartFailed)
	end(h, late, domain.PartSucceeded)
	require.Empty(t, h.Forgotten("web-01", proves(d1, late)), "the log still counts d1, and the agent remembers both")

	counted := start(h)
	end(h, counted, domain.PartLost)
	end(h, counted, domain.PartSucceeded)
	require.Len(t, h.Forgotten("web-01", proves(d1, late)), 1, "a late success counts if no later part has started")
	require.Empty(t, h.Forgotten("web-01", proves(d1, late, counted)))
}

func TestMachineThatLostItsStateIsDirtyUntilItsNextSuccess(t *testing.T) {
	h := projectionstest.OneMachine(t)
	d1 := succeed(h)
	p, m := h.Projects["shop"], h.Machines["web-01"]
	require.False(t, h.Behind(p, m))
	lose := func(d domain.ID) {
		h.Add("machine/web-01", domain.MachineLostState{Session: projectionstest.Session,
			Lost: []domain.LostSuccess{{Project: "gone", Deployment: d}, {Project: "shop", Deployment: d, Release: "1.0"}}})
	}
	lose(d1)
	require.Empty(t, h.Actual(p, m))
	require.True(t, h.Dirty(p, m))
	require.True(t, h.Behind(p, m))
	require.Equal(t, d1, m.LostState("shop").Deployment)
	require.Empty(t, h.Forgotten("web-01", proves()), "it is reported once")
	require.Len(t, h.Candidates(p, m), 1, "the trigger asks for machines that come online")
	require.Empty(t, h.Inconsistencies())

	d2 := succeed(h)
	require.Equal(t, "1.0", h.Actual(p, m))
	require.Nil(t, m.LostState("shop"))
	lose(d1)
	require.Equal(t, "1.0", h.Actual(p, m), "the statement is older than this success")
	require.Empty(t, h.Candidates(p, m))
	lose(d2)
	require.True(t, h.Dirty(p, m))
	h.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect},
		domain.MachineCameOnline{Instance: domain.ID{2: 9}})
	require.Nil(t, m.LostState("shop"), "another disk")
}

func TestStatementMadeAtASuccessKnowsIt(t *testing.T) {
	h := projectionstest.OneMachine(t)
	d := succeed(h)
	statement := proves()
	statement.AsOf = h.Machines["web-01"].Installed["shop"].Success
	require.Equal(t, []domain.LostSuccess{{Project: "shop", Deployment: d, Release: "1.0", Proven: "0.9"}},
		h.Forgotten("web-01", statement))
	statement.AsOf--
	require.Empty(t, h.Forgotten("web-01", statement))
}

// A statement of the former instance, or about a project that was deleted, arrives late.
func TestLostStateConcernsOnlyWhatIsInstalled(t *testing.T) {
	for what, happens := range map[string]func(h *projectionstest.History){
		"another disk": func(h *projectionstest.History) {
			h.Disconnect("web-01")
			h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
		},
		"deleted project": func(h *projectionstest.History) { h.Add("project/shop", domain.ProjectDeleted{}) },
	} {
		h := projectionstest.OneMachine(t)
		d := succeed(h)
		happens(h)
		h.Add("machine/web-01", domain.MachineLostState{Lost: []domain.LostSuccess{{Project: "shop", Deployment: d}}})
		if i := h.Machines["web-01"].Installed["shop"]; i != nil {
			require.Nil(t, i.Lost, what)
			require.Equal(t, "1.0", i.Release)
		}
		require.Empty(t, h.Inconsistencies(), what)
	}
}

func TestLostStateIsACauseForItsProjectOnly(t *testing.T) {
	h := projectionstest.OneMachine(t)
	d := succeed(h)
	h.Project("blog", domain.ProjectSettings{}, domain.TriggerDefined{Trigger: "posts", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.CameOnline}, Environments: []string{"*"}}})
	h.Add("project/blog", domain.PinSet{Environment: "production", Release: "1.0", Origin: domain.By("ann")})
	lost := h.Add("machine/web-01", domain.MachineLostState{Lost: []domain.LostSuccess{{Project: "shop", Deployment: d}}})
	require.Equal(t, lost, candidatesOf(h)[0].Causes[0].ID)
	require.Empty(t, h.Candidates(h.Projects["blog"], h.Machines["web-01"]))
	require.NotEmpty(t, h.Projects["blog"].Sweep())
}

func TestMachineThatLostItsStateIsSweptWithoutATrigger(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"})
	d := succeed(h)
	require.Empty(t, h.Projects["shop"].Sweep())
	h.Add("machine/web-01", domain.MachineLostState{Lost: []domain.LostSuccess{{Project: "shop", Deployment: d}}})
	require.Equal(t, []string{"web-01"}, h.Projects["shop"].Sweep())
}
