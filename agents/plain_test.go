package agents

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/ids"
)

// newHub is the hub of a server on an empty log in memory.
func newHub(t *testing.T) (*Hub, *engine.Engine) {
	t.Helper()
	var h *Hub
	log, wall := memory.New(), clock.New()
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: wall, Server: ids.New(), OnTouched: func(machines map[string]struct{}) {
		if h != nil {
			h.Touched(machines)
		}
	}})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	h = New(Config{Engine: e, Log: log, Clock: wall, Access: access.New(e, wall)})
	return h, e
}

func (h *Hub) plainSessions() int {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return len(h.sessions.plain)
}

func TestSessionByPlainHTTPIsForgottenOnceItHasEnded(t *testing.T) {
	h, e := newHub(t)
	do := func(c domain.Command) {
		_, err := e.Handle(context.Background(), ids.New(), c)
		require.NoError(t, err)
	}
	do(domain.ApplyEnvironment{Name: "production"})
	for _, name := range []string{"box-01", "box-02"} {
		do(domain.ApplyMachine{Name: name, Environment: "production"})
		agent := access.Caller{Machine: name, Instance: ids.New()}
		r, err := h.Report(t.Context(), agent, ReportInput{Machine: name, Status: "online"})
		require.NoError(t, err)
		require.Equal(t, 1, h.plainSessions())
		_, err = h.Report(t.Context(), agent, ReportInput{Machine: name, Status: "offline", Session: r.Session.String()})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return h.plainSessions() == 0 }, 10*time.Second, time.Millisecond)
	}
}
