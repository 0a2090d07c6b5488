package api_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

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
	require.Zero(t, conditions(), "a program over plain HTTP never states conditions")
}
