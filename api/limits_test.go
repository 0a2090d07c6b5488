package api_test

import (
	"net/http"
	"testing"
	"time"

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
