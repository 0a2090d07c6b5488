package agents

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog/memory"
)

func (f *fixture) httpSessions() int {
	f.sessions.mu.Lock()
	defer f.sessions.mu.Unlock()
	return len(f.sessions.overHTTP)
}

func TestEndedHTTPSessionIsRemoved(t *testing.T) {
	f := newFixture(t, memory.New())
	for _, name := range []string{"box-01", "box-02"} {
		agent, session := f.machine(name)
		require.Equal(t, 1, f.httpSessions())
		_, err := f.Report(t.Context(), agent, ReportInput{Machine: name, Status: "offline", Session: session})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return f.httpSessions() == 0 }, 10*time.Second, time.Millisecond)
	}
}
