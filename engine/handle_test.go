package engine_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

func TestRepeatedCommandIsExecutedOnceAndGetsTheSameResult(t *testing.T) {
	f := newFixture(t)
	f.shop()
	deploy := domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}
	id := f.id()
	first, err := f.Handle(context.Background(), id, deploy)
	require.NoError(t, err)
	_, err = f.React(context.Background())
	require.NoError(t, err)
	again, err := f.Handle(context.Background(), id, deploy)
	require.NoError(t, err)
	require.True(t, again.Repeat)
	require.Equal(t, first.Position, again.Position)
	require.Equal(t, first.Deployment, again.Deployment)
	other := f.server(2)
	elsewhere, err := other.Handle(context.Background(), id, deploy)
	require.NoError(t, err)
	require.Equal(t, first.Deployment, elsewhere.Deployment, "another server returns the same result")
}

func TestResultNamesTheAppendedEvents(t *testing.T) {
	f := newFixture(t)
	f.shop()
	id, command := f.id(), domain.SetProjectEnabled{Name: "shop"}
	result, err := f.Handle(context.Background(), id, command)
	require.NoError(t, err)
	require.Len(t, result.IDs, len(result.Events))
	var last eventlog.Recorded
	for rec, err := range f.log.ReadStream(context.Background(), domain.ProjectStream("shop"), 0, 0) {
		require.NoError(t, err)
		last = rec
	}
	require.Equal(t, []domain.ID{domain.ID(last.ID)}, result.IDs)
	again, err := f.Handle(context.Background(), id, command)
	require.NoError(t, err)
	require.True(t, again.Repeat)
	require.Equal(t, result.IDs, again.IDs)
	unchanged, err := f.Handle(context.Background(), f.id(), command)
	require.NoError(t, err)
	require.Empty(t, unchanged.IDs)
}

func TestAnotherCommandWithAUsedKeyIsRejected(t *testing.T) {
	f := newFixture(t)
	id := f.id()
	_, err := f.Handle(context.Background(), id, domain.ApplyEnvironment{Name: "production"})
	require.NoError(t, err)
	_, err = f.Handle(context.Background(), id, domain.ApplyEnvironment{Name: "staging"})
	require.ErrorContains(t, err, "used for another command")
}

func TestRepeatedCommandIsExecutedOnceAfterAClockJumpsADayAhead(t *testing.T) {
	f := newFixture(t)
	f.shop()
	deploy := domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}
	before, after := f.id(), f.id()
	first, err := f.Handle(context.Background(), before, deploy)
	require.NoError(t, err)
	f.clock.now += 2 * projections.ReceiptAge
	_, err = f.Handle(context.Background(), domain.ID{}, domain.ApplyMachine{Name: "web-01", Environment: "production"})
	require.NoError(t, err)
	f.clock.now -= 2 * projections.ReceiptAge
	second, err := f.Handle(context.Background(), after, deploy)
	require.NoError(t, err)
	for id, answer := range map[domain.ID]engine.Result{before: first, after: second} {
		again, err := f.Handle(context.Background(), id, deploy)
		require.NoError(t, err)
		require.True(t, again.Repeat)
		require.Equal(t, answer.Deployment, again.Deployment)
	}
}

func TestReceiptExpiresAfterADay(t *testing.T) {
	f := newFixture(t)
	f.shop()
	id := f.id()
	_, err := f.Handle(context.Background(), id, domain.SetProjectEnabled{Name: "shop"})
	require.NoError(t, err)
	for range projections.ReceiptAge/time.Hour + 1 {
		f.clock.now += time.Hour
		f.do(domain.CreateRelease{Project: "shop", Version: f.id().String()})
	}
	f.do(domain.SetProjectEnabled{Name: "shop", Enabled: true})
	result, err := f.Handle(context.Background(), id, domain.SetProjectEnabled{Name: "shop"})
	require.NoError(t, err)
	require.False(t, result.Repeat)
}

// put appends an event without any check, as a fault or a newer version would.
func (f *fixture) put(stream, typeName, data string) {
	f.t.Helper()
	var at eventlog.Revision
	f.Read(func(v *projections.View) { at = v.Revision(stream) })
	_, err := f.log.Append(context.Background(), stream, at, eventlog.Event{ID: uuid.New(), Type: typeName,
		Time: f.clock.Now(), Data: json.RawMessage(data)})
	require.NoError(f.t, err)
	require.NoError(f.t, f.CatchUp(context.Background()))
}

func TestStreamThatCannotBeFoldedIsSetAsideAndOthersContinue(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.put("machine/web-01", "machine.added/v1", `{"environment":7}`)
	f.join("web-02", 2)
	f.tick()
	require.True(t, f.work("web-02", domain.PartSucceeded), "other machines continue")

	_, err := f.Handle(context.Background(), f.id(), domain.ApplyMachine{Name: "web-01", Environment: "production"})
	require.ErrorContains(t, err, "set aside")
	f.put("machine/web-01", "machine.added/v1", `{"environment":"production"}`)
	f.Read(func(v *projections.View) { require.Nil(t, v.Machines["web-01"], "later events wait") })

	f.do(domain.ClearStream{Name: "machine/web-01"})
	f.Read(func(v *projections.View) {
		require.NotNil(t, v.Machines["web-01"], "the bad event is ignored")
		require.Empty(t, v.Aside)
	})
}

func TestFencedServerDecidesNothingAndStillRecordsResults(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	d := f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}).Deployment
	f.do(domain.ClaimPart{Deployment: d, Machine: "web-01", Session: domain.ID{1: 1}, Instance: domain.ID{2: 1}})
	f.put("machine/web-09", "machine.teleported/v1", `{}`)
	f.requireJoinRefused()
	require.ErrorIs(t, f.Ready(), engine.ErrFenced)
	_, err := f.Handle(context.Background(), domain.ID{}, domain.EndPart{Deployment: d, Machine: "web-01",
		Session: domain.ID{1: 1}, Instance: domain.ID{2: 1}, State: domain.PartSucceeded})
	require.NoError(t, err)
	require.Equal(t, "1.0", f.actual("web-01"))
	require.Empty(t, f.tick().Appended)
}

func (f *fixture) requireJoinRefused() {
	f.t.Helper()
	_, err := f.Handle(context.Background(), f.id(), domain.ApplyMachine{Name: "web-02", Environment: "production"})
	require.ErrorIs(f.t, err, engine.ErrFenced)
}

// lossyLog commits an append and loses its reply, a number of times.
type lossyLog struct {
	*memory.Log
	lose int
}

func (l *lossyLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	appended, err := l.Log.Append(ctx, stream, expected, events...)
	if err == nil && l.lose > 0 {
		l.lose--
		return eventlog.Appended{}, eventlog.ErrUnknownOutcome
	}
	return appended, err
}

func TestAppendWithALostReplyIsWrittenOnce(t *testing.T) {
	log := &lossyLog{Log: memory.New(), lose: 2}
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: &manualClock{}, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	result, err := e.Handle(t.Context(), domain.ID{0: 1}, domain.ApplyEnvironment{Name: "production"})
	require.NoError(t, err)
	require.True(t, result.Repeat)
	head, err := log.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, head)
}

func TestStreamCanBeClearedWhileTheWatchIsSetAside(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.put("watch", "watch.passed/v1", `{"since":7}`)
	f.put("machine/web-01", "machine.added/v1", `{"environment":7}`)
	f.do(domain.ClearStream{Name: "machine/web-01"})
	f.Read(func(v *projections.View) { require.False(t, v.SetAside("machine/web-01")) })
	f.do(domain.ClearStream{Name: "watch"})
	f.Read(func(v *projections.View) { require.Empty(t, v.Aside) })
}

func TestDeploymentThatListsAMachineTwiceHasOnePartForIt(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	f.put("project/shop", "deployment.queued/v1", `{"kind":"automatic","environment":"production","release":"1.0",
		"machines":[{"name":"web-01","triggers":["joins"]},{"name":"web-01","triggers":["joins"]}]}`)
	require.True(t, f.work("web-01", domain.PartSucceeded))
	f.Read(func(v *projections.View) { require.Empty(t, v.OpenDeployments()) })
}

func TestTwoReportsWithEqualDataAreDifferentEvents(t *testing.T) {
	f := newFixture(t)
	f.do(domain.ApplyEnvironment{Name: "production"})
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	log := &rival{Log: f.log}
	e, err := engine.Open(context.Background(), engine.Config{Log: log, Clock: f.clock, Server: domain.ID{15: 2}})
	require.NoError(t, err)
	log.before = func() {
		_, err := f.Handle(context.Background(), domain.ID{}, domain.SetMachineEnabled{Name: "web-01"})
		require.NoError(t, err)
	}
	result, err := e.Handle(context.Background(), domain.ID{}, domain.DeleteMachine{Name: "web-01"})
	require.NoError(t, err)
	require.False(t, result.Repeat)
	e.Read(func(v *projections.View) {
		require.Nil(t, v.Machines["web-01"], "it was disabled and then deleted")
	})
}
