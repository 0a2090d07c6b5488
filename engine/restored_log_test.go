package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// A log is restored and accepted, and then restored again to a state from before the acceptance. The server's snapshot
// has the id of the acceptance, which the log does not have.
func TestSecondRestoreBeforeTheAcceptanceIsDetectedBySnapshot(t *testing.T) {
	f, s := withSnapshot(t)
	cut := eventlog.Position(5)
	backup := prefixOf(t, f.log, cut)
	f.log = prefixOf(t, backup, cut)
	e, _ := f.openWith(s, nil)
	require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
	_, err := e.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(e.LogID()), At: f.clock.Now(),
		Origin: domain.By("ann")})
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background()))
	_, err = e.Tick(context.Background())
	require.NoError(t, err)
	require.NoError(t, e.Snapshot()) // an orderly stop
	// the same backup is restored again
	f.log = prefixOf(t, backup, cut)
	again, _ := f.openWith(s, nil)
	require.ErrorIs(t, again.LostEvents(), engine.ErrLostEvents,
		"the server of the snapshot has read events that the log has lost")
}

// Like the previous test, but with a running server.
func TestSecondRestoreBeforeTheAcceptanceIsDetectedByRunningServer(t *testing.T) {
	f, s := restored(t)
	require.Empty(t, f.tick().Appended)
	require.ErrorIs(t, f.LostEvents(), engine.ErrLostEvents)
	head, err := f.log.Head(context.Background())
	require.NoError(t, err)
	backup := prefixOf(t, f.log, head)
	_, err = f.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(f.LogID()), At: f.clock.Now(),
		Origin: domain.By("ann")})
	require.NoError(t, err)
	f.join("web-07", 7)
	s.Log = prefixOf(t, backup, head)
	f.log = s.Log
	f.tick()
	require.ErrorIs(t, f.LostEvents(), engine.ErrLostEvents, "this process has read events that the log has lost")
}

// claimPart lets a machine claim its part, and returns the success that it will report.
func (f *fixture) claimPart(machine string) domain.EndPart {
	f.t.Helper()
	end := domain.EndPart{Machine: machine, State: domain.PartSucceeded}
	f.Read(func(v *projections.View) {
		m := v.Machines[machine]
		end.Deployment, end.Session, end.Instance = v.OpenPartsOn(machine)[0].Deployment.ID, m.Session, m.Instance
	})
	_, err := f.Handle(context.Background(), domain.ID{}, domain.ClaimPart{Deployment: end.Deployment, Machine: machine,
		Session: end.Session, Instance: end.Instance})
	require.NoError(f.t, err)
	return end
}

// A checkpoint is a position and an id. The ids of reports and decisions derive from their own stream, so a restored
// log that has grown again may have an event with the same id at the same position, after other events.
func TestRepeatedReportAfterARestoreIsNotMistakenForTheOriginal(t *testing.T) {
	f, s := newFixture(t), &memorySnapshots{}
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	f.join("web-02", 2)
	f.tick()
	report := f.claimPart("web-01")
	f.claimPart("web-02")
	backup := prefixOf(t, f.log, f.Position())
	f.log = prefixOf(t, backup, f.Position())
	// a person disables web-02; web-01 reports its success; the server stops in an orderly way
	a, _ := f.openWith(&memorySnapshots{}, nil)
	_, err := a.Handle(context.Background(), f.id(),
		domain.SetMachineEnabled{Name: "web-02", Enabled: false, Origin: domain.By("ann")})
	require.NoError(t, err)
	_, err = a.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	first, _ := f.openWith(s, nil)
	require.NoError(t, first.Snapshot())
	f.clock.now += time.Minute
	// the log is restored; a server without a snapshot opens it, and web-01 reports from its journal
	f.log = prefixOf(t, backup, 1<<30)
	b, _ := f.openWith(&memorySnapshots{}, nil)
	require.NoError(t, b.Start(context.Background()))
	_, err = b.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	// the first server starts again with its data folder
	again, _ := f.openWith(s, nil)
	fresh, _ := f.openWith(&memorySnapshots{}, nil)
	require.Equal(t, viewOf(fresh).Machines["web-02"].Disabled, viewOf(again).Machines["web-02"].Disabled,
		"the state of web-02 in the log")
	require.Equal(t, viewOf(fresh), viewOf(again))
}

// Like the previous test, but the repeated event is at another position. That is treated as an import, and not as lost
// events.
func TestRepeatedReportAtAnotherPositionDoesNotHideLostEvents(t *testing.T) {
	f, s := newFixture(t), &memorySnapshots{}
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	f.join("web-02", 2)
	f.tick()
	report := f.claimPart("web-01")
	backup := prefixOf(t, f.log, f.Position())
	f.log = prefixOf(t, backup, 1<<30)
	a, _ := f.openWith(&memorySnapshots{}, nil)
	var err error
	for _, c := range []domain.Command{domain.SetMachineEnabled{Name: "web-02", Enabled: false,
		Origin: domain.By("ann")}, domain.SetHold{Project: "shop", Machine: "web-02", Origin: domain.By("ann")}} {
		_, err = a.Handle(context.Background(), f.id(), c)
		require.NoError(t, err)
	}
	_, err = a.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	first, _ := f.openWith(s, nil)
	require.NoError(t, first.Snapshot())
	f.clock.now += time.Minute
	f.log = prefixOf(t, backup, 1<<30)
	b, _ := f.openWith(&memorySnapshots{}, nil) // the first server has no snapshot, or one of another build
	require.NoError(t, b.Start(context.Background()))
	_, err = b.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	again, _ := f.openWith(s, nil)
	require.ErrorIs(t, again.LostEvents(), engine.ErrLostEvents,
		"ann's commands are lost, and this server has read them")
}

// A backup is restored and accepted, machines are deployed to, and the same backup is restored again. The servers that
// knew of the first acceptance are gone; only the agents remember its id.
func TestSecondRestoreOfTheSameBackupHoldsTheMachines(t *testing.T) {
	ctx := context.Background()
	f, _ := restored(t)
	backup := prefixOf(t, f.log, f.Position())
	require.Empty(t, f.tick().Appended)
	accept := func(e *engine.Engine) {
		t.Helper()
		_, err := e.Handle(ctx, f.id(), domain.AcceptRestore{Was: domain.ID(e.LogID()), At: f.clock.Now(),
			Origin: domain.By("ann")})
		require.NoError(t, err)
	}
	accept(f.Engine)
	second := engine.AgentMemory{Log: f.LogID(), OriginalID: f.OriginalID(), Successes: map[string]domain.ID{"shop": {9}},
		Deployments: map[string]domain.ID{"shop": {8}}}

	f.log = prefixOf(t, backup, 1<<30)
	a, b := f.server(5), f.server(6)
	require.NoError(t, a.LostEvents())
	f.Engine = a
	f.join("web-01", 1)
	f.join("web-02", 2)
	require.NoError(t, a.CheckAgentMemory(ctx, "web-01", second))
	require.NoError(t, b.CatchUp(ctx))
	for _, e := range []*engine.Engine{a, b} {
		require.NoError(t, e.RenewLease(ctx, f.log))
	}
	require.NotNil(t, doubtOf(b, "web-01"))
	accept(b) // the other server knows the lost id from the lease

	require.NoError(t, a.CatchUp(ctx))
	for _, machine := range []string{"web-01", "web-02"} {
		require.NoError(t, a.CheckAgentMemory(ctx, machine, second), "an agent that still has its memory")
		require.Nil(t, doubtOf(a, machine), "the same loss is not reported again")
		require.NotNil(t, viewOf(a).Machines[machine].Hold("shop"))
	}
	second.Log[0]++
	require.NoError(t, a.CheckAgentMemory(ctx, "web-01", second))
	require.NotNil(t, doubtOf(a, "web-01"), "another id is evidence of another loss")
}

// Like the previous test, but a server has detected the loss, and the agents connect after a person has accepted it.
func TestServerRemembersTheLostIDsOfARestore(t *testing.T) {
	f, s := restored(t)
	require.Empty(t, f.tick().Appended)
	backup := prefixOf(t, f.log, 1<<30)
	accept := func() {
		t.Helper()
		_, err := f.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(f.LogID()),
			At: f.clock.Now(), Origin: domain.By("ann")})
		require.NoError(t, err)
	}
	accept()
	lost := f.LogID()
	s.Log = prefixOf(t, backup, 1<<30)
	f.log = s.Log
	require.Empty(t, f.tick().Appended)
	accept()
	f.join("web-01", 1)
	require.NoError(t, f.CheckAgentMemory(context.Background(), "web-01", engine.AgentMemory{Log: lost,
		Successes: map[string]domain.ID{"shop": {9}}}))
	require.NoError(t, f.LostEvents())
	require.NotNil(t, viewOf(f.Engine).Machines["web-01"].Hold("shop"))
}
