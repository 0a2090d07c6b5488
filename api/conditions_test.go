package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

func TestConditionsRemainUntilTheNextRunStatesThem(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := f.joinedEarlier("web-01")
	conditions := func() int { return len(f.machine("web-01").Conditions) }
	connect := func(states bool) *fakeAgent {
		h.Session, h.StatesConditions = uuid.NewString(), states
		d := f.dial(h)
		receive(d, welcome)
		d.synchronize()
		return d
	}
	block := func(d *fakeAgent) {
		d.send(client.FromAgent{Conditions: &client.Conditions{Conditions: []domain.Condition{{Kind: domain.DiskFull}}}})
		f.eventually("the condition is recorded", func() bool { return conditions() == 1 })
		f.leave(d)
	}
	block(connect(true))
	d := connect(true)
	require.Equal(t, 1, conditions(), "the new run has stated nothing yet")
	d.send(client.FromAgent{Conditions: &client.Conditions{}})
	f.eventually("the condition has ended", func() bool { return conditions() == 0 })

	block(d)
	d = connect(false)
	require.Zero(t, conditions(), "an earlier version of the agent never states that a condition has ended")
	block(d)
	plain := &httpAgent{t: t, Client: f.asAgent("agent:" + h.Instance + ":" + h.Secret), name: "web-01"}
	_, err := plain.report("online")
	require.NoError(t, err)
	require.Zero(t, conditions(), "a program over plain HTTP that states nothing has no problem")
}

func TestProgramOverHTTPStatesItsConditionsWithEachReportOfOnline(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	report := func(status string, conditions ...object) error {
		body := object{"status": status, "conditions": conditions}
		if p.session != "" {
			body["session"] = p.session
		}
		var r api.Reported
		err := p.Post(context.Background(), "/machines/box-01/reports", "", body, &r)
		if err == nil {
			p.session = r.Session
		}
		return err
	}
	full := object{"kind": "disk-full", "detail": "/srv: 0 bytes\u001b[31m left"}
	require.NoError(t, report("online", full))
	shown := f.machine("box-01")
	require.Len(t, shown.Conditions, 1)
	require.Equal(t, []string{"disk-full", "/srv: 0 bytes[31m left"}, []string{shown.Conditions[0].Kind, shown.Conditions[0].Detail})
	require.True(t, shown.Conditions[0].Blocks)
	require.False(t, shown.Deployable)
	require.NoError(t, report("online", full))
	require.Nil(t, p.work(), "a request for work states nothing")
	require.NoError(t, report("healthy"))
	require.Len(t, f.machine("box-01").Conditions, 1)
	require.Equal(t, 1, f.events("MachineConditionsChanged"), "an unchanged statement appends no event")

	require.NoError(t, report("online"))
	require.Empty(t, f.machine("box-01").Conditions)
	require.True(t, f.machine("box-01").Deployable)

	err := report("online", object{"kind": "disk-ful"})
	require.Equal(t, client.Invalid, client.KindOf(err))
	require.ErrorContains(t, err, `unknown condition "disk-ful"`)
	require.ErrorContains(t, err, "use data-folder-missing disk-full journal-not-writable leftovers")
	require.ErrorContains(t, report("healthy", full), "conditions are allowed only with status online, not with healthy")
}

func TestConditionsOfAProgramOverHTTPChangeAtABoundedRate(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	for i := range 31 {
		body := object{"status": "online"}
		if i%2 == 0 {
			body["conditions"] = []object{{"kind": "disk-full"}}
		}
		require.NoError(t, p.Post(context.Background(), "/machines/box-01/reports", "", body, nil))
	}
	require.Equal(t, 10, f.events("MachineConditionsChanged"))
	require.Empty(t, f.machine("box-01").Conditions)
	f.clock.advance(5 * time.Minute)
	require.NoError(t, p.Post(context.Background(), "/machines/box-01/reports", "",
		object{"status": "online", "conditions": []object{{"kind": "disk-full"}}}, nil))
	require.Len(t, f.machine("box-01").Conditions, 1, "the last statement counts as soon as the limit permits it")
}

func TestConditionsOfAProgramOverHTTPOutliveItsServer(t *testing.T) {
	f := newFixture(t)
	f.shop()
	p := f.joinOverHTTP("box-01", f.join(1))
	require.NoError(t, p.Post(context.Background(), "/machines/box-01/reports", "",
		object{"status": "online", "conditions": []object{{"kind": "disk-full"}}}, nil))
	require.NoError(t, f.engine.RenewLease(t.Context(), f.log))
	other := newFixtureOn(t, f.log, f.clock)
	for range 2 { // the first server is gone: it renews no lease
		require.NoError(t, other.engine.RenewLease(t.Context(), f.log))
		f.clock.advance(time.Minute)
	}
	require.NoError(t, other.engine.RenewLease(t.Context(), f.log))
	p.Servers = []string{other.socket}
	require.Nil(t, p.work(), "a request that states nothing makes the other server take the session over")
	require.Equal(t, 1, other.events("AgentConnected"))
	require.Len(t, other.machine("box-01").Conditions, 1)
}
