package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/server"
)

// metrics returns the values of /metrics by name and labels.
func (r running) metrics(t *testing.T) map[string]string {
	t.Helper()
	answer, err := http.Get(r.address + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, 200, answer.StatusCode)
	values := map[string]string{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if at := strings.LastIndex(lines.Text(), " "); at > 0 && !strings.HasPrefix(lines.Text(), "#") {
			values[lines.Text()[:at]] = lines.Text()[at+1:]
		}
	}
	return values
}

// startDeploying starts a server whose first ticks deploy to a machine.
func startDeploying(t *testing.T, tick time.Duration) (running, eventlog.Backend) {
	t.Helper()
	data := home(t)
	log, witness := restoredLog(t, data)
	require.NoError(t, log.Drop(t.Context(), eventlog.Leases, witness.String()))
	return start(t, server.Config{Data: data, Tick: tick}), log
}

func TestDashboardAndMetricsHaveTheSameNames(t *testing.T) {
	s, _ := startDeploying(t, time.Second)
	defer s.stopped(t)
	require.Eventually(t, func() bool {
		return s.metrics(t)[`drover_decisions_total{event="DeploymentQueued"}`] == "1"
	}, 20*time.Second, 20*time.Millisecond, "the server has made a decision")
	exported := map[string]bool{}
	for name := range s.metrics(t) {
		name, _, _ = strings.Cut(name, "{")
		exported[name] = true
	}
	names := dashboard(t)
	require.Greater(t, len(names), 15)
	for _, name := range names {
		require.True(t, exported[name], "the dashboard uses %s, which /metrics does not export", name)
	}
	for name := range exported {
		if strings.HasPrefix(name, "drover_") {
			require.Contains(t, names, name, "the dashboard does not show %s", name)
		}
	}
}

// dashboard returns the metrics that the queries of the Grafana dashboard use.
func dashboard(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../packaging/grafana-drover.json")
	require.NoError(t, err)
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal(text, &board))
	for _, panel := range board.Panels {
		require.NotEmpty(t, panel.Targets)
		for _, target := range panel.Targets {
			found := regexp.MustCompile(`\b(drover|go|process)_\w+`).FindAllString(target.Expr, -1)
			require.NotEmpty(t, found, target.Expr)
			names = append(names, found...)
		}
	}
	return names
}

func TestMetricsCountTicksAndTheirEvents(t *testing.T) {
	s, log := startDeploying(t, time.Second)
	defer s.stopped(t)
	begun := time.Now()
	require.Eventually(t, func() bool { return s.metrics(t)[`drover_decisions_total{event="DeploymentQueued"}`] == "1" },
		20*time.Second, 20*time.Millisecond)
	all := s.metrics(t)
	require.NotEqual(t, "0", all["drover_tick_duration_seconds_count"])
	require.NotEqual(t, "0", all["drover_tick_events_total"],
		"the existing events of the log count as new to the first tick")
	require.Equal(t, "0", all["drover_tick_faults_total"])
	require.Equal(t, "0", all["drover_log_lag"])
	when, err := json.Number(all["drover_tick_begun_timestamp_seconds"]).Float64()
	require.NoError(t, err)
	require.InDelta(t, float64(begun.Unix()), when, 60)

	event := eventlog.Event{ID: uuid.New(), Type: "environment.defined/v1", Time: time.Now(), Data: []byte("{}")}
	_, err = log.Append(t.Context(), domain.EnvironmentStream("elsewhere"), eventlog.NoStream, event)
	require.NoError(t, err)
	before := all["drover_tick_events_total"]
	require.Eventually(t, func() bool { return s.metrics(t)["drover_tick_events_total"] != before },
		20*time.Second, 20*time.Millisecond, "an event from another writer counts as new to the next tick")
}

func TestSlowStreamReadersDoNotDelayTicks(t *testing.T) {
	s, log := startDeploying(t, time.Second)
	defer s.stopped(t)
	token := contexts(t).List[0].Token
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // must run before the server stops, because the server waits for its readers
	for range 20 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"/api/v1/events/stream?after=0", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.Equal(t, 200, answer.StatusCode)
		t.Cleanup(func() { _ = answer.Body.Close() })
		_, err = io.ReadFull(answer.Body, make([]byte, 1)) // the stream has started; the test reads no more of it
		require.NoError(t, err)
	}
	large := domain.ProjectDefined{}
	large.Settings.Steps = []domain.Step{{Name: "a", Run: strings.Repeat("x", domain.MaxStepBytes)}}
	name, data, err := domain.Encode(large)
	require.NoError(t, err)
	for n := range 200 { // far more than the buffers of connections hold
		event := eventlog.Event{ID: uuid.New(), Type: name, Data: data, Time: time.Now()}
		_, err := log.Append(t.Context(), domain.ProjectStream("p"+uuid.NewString()[:8]), eventlog.NoStream, event)
		require.NoError(t, err, n)
	}
	require.Eventually(t, func() bool { return s.metrics(t)["drover_log_lag"] == "0" }, 60*time.Second,
		20*time.Millisecond, "the server has folded all events")
	before := s.ticks(t)
	require.Eventually(t, func() bool {
		return s.metrics(t)["drover_streams_open"] == "20" && s.ticks(t) >= before+2
	}, 60*time.Second, 20*time.Millisecond, "ticks continue while the slow readers are connected")
}

func (r running) ticks(t *testing.T) int64 {
	t.Helper()
	count, err := json.Number(r.metrics(t)["drover_tick_duration_seconds_count"]).Int64()
	require.NoError(t, err)
	return count
}
