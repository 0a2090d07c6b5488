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

// A log that was put back, accepted, and then put back again to before the acceptance: the server's snapshot has the id
// of the acceptance, which the log has never heard of.
func TestALogThatIsPutBackBehindAnAcceptedRestoreIsNoticedBySnapshot(t *testing.T) {
	f, s := pictured(t)
	cut := eventlog.Position(5)
	backup := until(t, f.log, cut)
	f.log = until(t, backup, cut)
	e, _ := f.begins(s, nil)
	require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
	_, err := e.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(e.LogID()), At: f.clock.Now(),
		Origin: domain.By("ann")})
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background()))
	_, err = e.Tick(context.Background())
	require.NoError(t, err)
	require.NoError(t, e.Snapshot()) // it stops in order
	// the same backup is put back once more
	f.log = until(t, backup, cut)
	again, _ := f.begins(s, nil)
	require.ErrorIs(t, again.LostEvents(), engine.ErrLostEvents,
		"the snapshot's server has read events that the log has lost")
}

// The same under a server that runs.
func TestALogThatIsPutBackBehindAnAcceptedRestoreIsNoticedByWhoRunsThroughIt(t *testing.T) {
	f, s := restored(t)
	require.Empty(t, f.tick().Appended)
	require.ErrorIs(t, f.LostEvents(), engine.ErrLostEvents)
	head, err := f.log.Head(context.Background())
	require.NoError(t, err)
	backup := until(t, f.log, head)
	_, err = f.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(f.LogID()), At: f.clock.Now(),
		Origin: domain.By("ann")})
	require.NoError(t, err)
	f.join("web-07", 7)
	s.Log = until(t, backup, head)
	f.log = s.Log
	f.tick()
	require.ErrorIs(t, f.LostEvents(), engine.ErrLostEvents, "this very process has read events that the log has lost")
}

// starts lets a machine claim its part, and returns the report of success that it will make.
func (f *fixture) starts(machine string) domain.EndPart {
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

// The witness is a position and an id, and ids of what agents report and servers decide are derived from their own
// stream alone: a log that was put back and has grown again may have the very same event in the very same place, behind
// other events.
func TestAReportThatIsWrittenAgainAfterARestoreIsNotTakenForTheOneOfBefore(t *testing.T) {
	f, s := newFixture(t), &memorySnapshots{}
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	f.join("web-02", 2)
	f.tick()
	report := f.starts("web-01")
	f.starts("web-02")
	backup := until(t, f.log, f.Position())
	f.log = until(t, backup, f.Position())
	// a person disables web-02; web-01 reports its success; the server stops in order
	a, _ := f.begins(&memorySnapshots{}, nil)
	_, err := a.Handle(context.Background(), f.id(),
		domain.SetMachineEnabled{Name: "web-02", Enabled: false, Origin: domain.By("ann")})
	require.NoError(t, err)
	_, err = a.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	kept, _ := f.begins(s, nil)
	require.NoError(t, kept.Snapshot())
	f.clock.now += time.Minute
	// the log is put back; a server elsewhere, that has no snapshot, takes it up, and web-01 reports from its journal
	f.log = until(t, backup, 1<<30)
	b, _ := f.begins(&memorySnapshots{}, nil)
	require.NoError(t, b.Start(context.Background()))
	_, err = b.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	// the first server comes back with its data folder
	again, _ := f.begins(s, nil)
	afresh, _ := f.begins(&memorySnapshots{}, nil)
	require.Equal(t, see(afresh).Machines["web-02"].Disabled, see(again).Machines["web-02"].Disabled,
		"what the log says of web-02")
	require.Equal(t, see(afresh), see(again))
}

// The same, and the event that was written again stands elsewhere: that is taken for an import, and nobody doubts the
// log.
func TestAReportThatIsWrittenAgainElsewhereDoesNotMakeALossAnImport(t *testing.T) {
	f, s := newFixture(t), &memorySnapshots{}
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	f.join("web-02", 2)
	f.tick()
	report := f.starts("web-01")
	backup := until(t, f.log, f.Position())
	f.log = until(t, backup, 1<<30)
	a, _ := f.begins(&memorySnapshots{}, nil)
	var err error
	for _, c := range []domain.Command{domain.SetMachineEnabled{Name: "web-02", Enabled: false,
		Origin: domain.By("ann")}, domain.SetHold{Project: "shop", Machine: "web-02", Origin: domain.By("ann")}} {
		_, err = a.Handle(context.Background(), f.id(), c)
		require.NoError(t, err)
	}
	_, err = a.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	kept, _ := f.begins(s, nil)
	require.NoError(t, kept.Snapshot())
	f.clock.now += time.Minute
	f.log = until(t, backup, 1<<30)
	b, _ := f.begins(&memorySnapshots{}, nil) // a server without a snapshot, or of another program, is the first
	require.NoError(t, b.Start(context.Background()))
	_, err = b.Handle(context.Background(), domain.ID{}, report)
	require.NoError(t, err)
	again, _ := f.begins(s, nil)
	require.ErrorIs(t, again.LostEvents(), engine.ErrLostEvents, "ann's words are lost, and this server has read them")
}
