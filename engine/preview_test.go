package engine_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// heldAtOld sets up two machines that are held at 1.0 while 1.1 is wanted.
func heldAtOld(t *testing.T) *fixture {
	f := newFixture(t)
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	for i, name := range []string{"web-01", "web-02"} {
		f.join(name, byte(i+1))
	}
	f.tick()
	f.do(domain.CreateRelease{Project: "shop", Version: "1.1"})
	for _, name := range []string{"web-01", "web-02"} {
		require.True(t, f.work(name, domain.PartSucceeded))
		f.do(domain.SetHold{Project: "shop", Machine: name})
	}
	f.do(domain.Deploy{Project: "shop", Release: "1.1", Environment: "production"})
	f.tick()
	return f
}

func (f *fixture) preview(commands ...domain.Command) *engine.Preview {
	f.t.Helper()
	p, err := f.Preview(context.Background(), commands...)
	require.NoError(f.t, err)
	return p
}

func dueMachines(verdicts []triggers.Verdict) (names []string) {
	for _, v := range verdicts {
		names = append(names, v.Machine+" "+v.Release)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestPreviewOfACommandThatChangesNothingIsEmpty(t *testing.T) {
	f := heldAtOld(t)
	p := f.preview(domain.SetProjectEnabled{Name: "shop", Enabled: true})
	require.Empty(t, p.Events)
	require.Empty(t, p.After.Due)
}

func TestPreviewSaysWhatTheNextTickDeploys(t *testing.T) {
	f := heldAtOld(t)
	unhold := domain.LiftHold{Project: "shop", Machine: "web-02"}
	p := f.preview(unhold)
	require.Equal(t, []string{"HoldLifted"}, p.Events)
	require.Empty(t, p.Before.Due)
	require.Equal(t, []string{"web-02 1.1"}, dueMachines(p.After.Due))

	f.do(unhold)
	require.Equal(t, []string{"web-02 1.1"}, queuedBy(f.tick()))
}

// queuedBy returns the machines and releases of the deployments that a tick queued.
func queuedBy(r engine.Report) (names []string) {
	for _, written := range r.Appended {
		if queued, ok := written.Event.(domain.DeploymentQueued); ok {
			for _, m := range queued.Machines {
				names = append(names, m.Name+" "+queued.Release)
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestPreviewChangesNothing(t *testing.T) {
	f := heldAtOld(t)
	at := f.Position()
	f.preview(domain.LiftHold{Project: "shop", Machine: "web-01"}, domain.LiftHold{Project: "shop", Machine: "web-02"})
	require.Equal(t, at, f.Position())
	f.Read(func(v *projections.View) { require.NotNil(t, v.Machines["web-01"].Hold("shop")) })
	require.Empty(t, queuedBy(f.tick()))
}

func TestPreviewOfARollbackNamesItsOwnDeployment(t *testing.T) {
	f := heldAtOld(t)
	f.do(domain.LiftHold{Project: "shop", Machine: "web-01"})
	f.tick()
	require.True(t, f.work("web-01", domain.PartSucceeded))
	p := f.preview(domain.Rollback{Project: "shop", Environment: "production"})
	require.Len(t, p.Deployments, 1)
	require.Equal(t, "1.0", p.Deployments[0].Release)
	require.Empty(t, p.After.Due, "machines wait for the end of the rollback")
}

func TestPreviewIsRefusedLikeTheCommand(t *testing.T) {
	f := heldAtOld(t)
	for _, c := range []domain.Command{domain.LiftHold{Project: "shop", Machine: "nobody"},
		domain.LiftPin{Project: "shop", Environment: "production"}} {
		_, want := f.Handle(context.Background(), f.id(), c)
		_, err := f.Preview(context.Background(), c)
		require.Equal(t, want, err)
	}
}

func TestEachPreviewSaysWhatItsCommandAddsToTheEarlierOnes(t *testing.T) {
	f := heldAtOld(t)
	commands := []domain.Command{
		domain.LiftHold{Project: "shop", Machine: "web-01"},
		domain.SetHold{Project: "shop", Machine: "web-02"}, // unchanged: it is held
		domain.LiftHold{Project: "shop", Machine: "web-02"},
	}
	var seen [][]string
	see := func(i int, p *engine.Preview) {
		require.Equal(t, len(seen)/2, i)
		seen = append(seen, dueMachines(p.Before.Due), dueMachines(p.After.Due))
		require.Equal(t, len(p.Events) == 0, p.After.View == nil)
	}
	whole, err := f.PreviewEach(context.Background(), 2, see, commands...)
	require.NoError(t, err)
	both := []string{"web-01 1.1", "web-02 1.1"}
	require.Equal(t, [][]string{nil, both[:1], both[:1], both[:1], both[:1], both}, seen)
	require.Equal(t, both, dueMachines(whole.After.Due))

	never := func(int, *engine.Preview) { require.Fail(t, "there are more commands than allowed") }
	_, err = f.PreviewEach(context.Background(), 1, never, commands...)
	require.NoError(t, err)
}

func TestPreviewOfACommandWithoutEffectIsEmpty(t *testing.T) {
	f := heldAtOld(t)
	p := f.preview(domain.SetMachineEnabled{Name: "web-01", Enabled: true})
	require.Empty(t, p.Events)
	require.Empty(t, p.After.Due)
}
