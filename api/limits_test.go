package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
)

func TestFlappingHealthIsRecordedAtABoundedRateAndTheLastValueWins(t *testing.T) {
	f := newFixture(t)
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	for i := range 101 {
		d.send(client.FromAgent{Health: &client.Health{Status: []domain.Health{domain.Unhealthy, domain.Healthy}[i%2]}})
	}
	f.eventually("all reports are handled", func() bool { return f.agents.Limited(agents.HealthLimit) == 41 && f.agents.Messages("health") == 101 })
	require.Equal(t, 20, f.events("MachineHealthChanged"))
	require.Equal(t, "healthy", f.machine("web-01").Health)

	f.clock.advance(10 * time.Second)
	d.send(client.FromAgent{Heartbeat: &client.Heartbeat{}})
	f.eventually("the last report is recorded", func() bool { return f.machine("web-01").Health == "unhealthy" })
	require.Equal(t, 21, f.events("MachineHealthChanged"))
	require.Equal(t, []doctor.Limited{{Machine: "web-01", Limit: "health", Times: 41, Last: f.clock.Now().Add(-10 * time.Second)}},
		f.agents.LimitedMachines())
	require.Contains(t, f.sendFrom("127.0.0.1:1", http.MethodGet, "/metrics", "", "").Body.String(),
		`drover_limited_total{limit="health"} 41`)
}

func TestMachineThatReconnectsAllTheTimeWaitsAndOthersDoNot(t *testing.T) {
	f := newFixture(t)
	f.shop()
	h := hello("web-01", f.join(1))
	for range 60 {
		d := f.dial(h)
		receive(d, welcome)
		_ = d.conn.CloseNow()
		h.Session = uuid.NewString()
	}
	refused := receive(f.dial(h), refusal)
	require.Contains(t, refused.Reason, "connects too often")
	require.False(t, refused.Final)
	receive(f.dial(hello("web-02", f.join(1))), welcome)
	f.clock.advance(5 * time.Second)
	receive(f.dial(h), welcome)
}

func TestFloodOfMessagesIsReadSlowlyAndLosesNothing(t *testing.T) {
	f := newFixture(t)
	f.shop()
	d := f.dial(hello("web-01", f.join(1)))
	receive(d, welcome)
	for range 1010 {
		d.send(client.FromAgent{Answer: &client.PartAnswer{Deployment: "x"}})
	}
	f.eventually("all messages are handled", func() bool { return f.agents.Messages("answer") == 1010 })
	require.EqualValues(t, 10, f.agents.Limited(agents.MessageLimit))
	require.Equal(t, "online", f.machine("web-01").Presence)
}

// flood sends a message of each kind again and again, with false and long contents, until the connection ends.
func (d *fakeAgent) flood(ended chan<- struct{}) {
	defer close(ended)
	long := strings.Repeat("\x1b[31mlie ", 100_000)
	statement := client.Remembered{Projects: map[string]client.RememberedProject{"shop": {Release: "9.9"}, long[:200]: {}}}
	for n := 0; ; n++ {
		deployment := uuid.NewString()
		for _, m := range []client.FromAgent{
			{Health: &client.Health{Status: []domain.Health{domain.Healthy, domain.Unhealthy}[n%2], Detail: long}},
			{Claim: &client.Claim{Deployment: deployment}},
			{Output: &client.Output{Deployment: deployment, Sequence: 1, Data: []byte(long[:60_000])}},
			{End: &client.End{Deployment: deployment, State: domain.PartFailed, Detail: long}},
			{Remembered: &statement},
		} {
			text, err := json.Marshal(m)
			if err != nil || d.conn.Write(context.Background(), websocket.MessageText, text) != nil {
				return
			}
		}
	}
}

func TestCommandsThatRemovePowerWorkDuringAnAttack(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyPolicy{Name: "unused"})
	f.do(domain.ApplyEnvironment{Name: "unused"})
	f.do(domain.ApplyProject{Name: "unused", Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "true"}}}})
	victim := f.dial(hello("web-01", f.join(1)))
	receive(victim, welcome)
	join := f.join(1)
	h := hello("web-02", join)
	h.Memory = &client.Memory{Log: f.engine.LogID().String(), Made: f.engine.OriginalID().String(), Machine: "web-02", Event: uuid.NewString(), Revision: 1 << 40,
		Successes: map[string]string{"shop": uuid.NewString(), strings.Repeat("x", 63): uuid.NewString()}}
	attacker, ended := f.dial(h), make(chan struct{})
	answer := receive(attacker, func(m client.ToAgent) *client.ToAgent { return &m })
	require.NotNil(t, answer.Welcome, "%+v", answer.Refused)
	go attacker.flood(ended)
	f.eventually("the attack has begun", func() bool { return f.agents.Messages("remembered") > 5 })

	other, _, _ := strings.Cut(f.token(domain.TokenSettings{Scope: domain.ReadScope}), ".")
	d := f.post("/deployments", object{"project": "shop", "release": "1.0", "environment": "production"})
	for _, command := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPost, "/deployments/" + d.Deployment + "/cancel", nil},
		{http.MethodPost, "/machines/web-01/disable", nil},
		{http.MethodPost, "/holds", object{"project": "shop", "machine": "web-01"}},
		{http.MethodPost, "/triggers/shop/joins/disable", nil},
		{http.MethodDelete, "/triggers/shop/joins", nil},
		{http.MethodPost, "/projects/unused/disable", nil},
		{http.MethodDelete, "/projects/unused", nil},
		{http.MethodDelete, "/policies/unused", nil},
		{http.MethodDelete, "/environments/unused", nil},
		{http.MethodDelete, "/tokens/" + other, nil},
		{http.MethodDelete, "/machines/web-01", nil},
		{http.MethodPost, "/server-key/rotate", nil},
		{http.MethodPost, "/machines/web-02/disable", nil},
	} {
		var err error
		if command.method == http.MethodDelete {
			_, err = f.admin.Delete(context.Background(), command.path, "")
		} else {
			_, err = f.admin.Write(context.Background(), command.path, "", command.body)
		}
		require.NoError(t, err, "%s %s", command.method, command.path)
	}
	select {
	case <-ended:
		require.Fail(t, "the attack ended early")
	default:
	}
	id, _, _ := strings.Cut(join, ".")
	_, err := f.admin.Delete(context.Background(), "/tokens/"+id, "")
	require.NoError(t, err)
	<-ended // the revocation disconnects the attacker
	_, err = f.admin.Delete(context.Background(), "/machines/web-02", "")
	require.NoError(t, err)
}
