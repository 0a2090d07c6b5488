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

// metrics is what Prometheus would read: each line by its name and labels.
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

// undoubted is a server on a log in which a machine waits for its release; nothing keeps the server from deciding.
func undoubted(t *testing.T, tick time.Duration) (running, eventlog.Backend) {
	t.Helper()
	data := home(t)
	log, doubting := due(t, data)
	require.NoError(t, log.Drop(t.Context(), eventlog.Leases, doubting.String()))
	return start(t, server.Config{Data: data, Tick: tick}), log
}

func TestEveryMetricOfTheDashboardIsThere(t *testing.T) {
	s, _ := undoubted(t, time.Second)
	defer s.stopped(t)
	require.Eventually(t, func() bool {
		return s.metrics(t)[`drover_decisions_total{event="DeploymentQueued"}`] == "1"
	}, 20*time.Second, 20*time.Millisecond, "a decision was taken")
	there := map[string]bool{}
	for name := range s.metrics(t) {
		name, _, _ = strings.Cut(name, "{")
		there[name] = true
	}
	names := dashboard(t)
	require.Greater(t, len(names), 15)
	for _, name := range names {
		require.True(t, there[name], "the dashboard asks for %s, which /metrics has not", name)
	}
	for name := range there {
		if strings.HasPrefix(name, "drover_") {
			require.Contains(t, names, name, "the dashboard does not show %s", name)
		}
	}
}

// dashboard are the metrics that the queries of the Grafana dashboard name.
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

func TestWhatATickDidIsInTheMetrics(t *testing.T) {
	s, log := undoubted(t, time.Second)
	defer s.stopped(t)
	begun := time.Now()
	require.Eventually(t, func() bool { return s.metrics(t)[`drover_decisions_total{event="DeploymentQueued"}`] == "1" },
		20*time.Second, 20*time.Millisecond)
	all := s.metrics(t)
	require.NotEqual(t, "0", all["drover_tick_duration_seconds_count"])
	require.NotEqual(t, "0", all["drover_tick_events_total"], "what the log held when the server came counts as new to its first tick")
	require.Equal(t, "0", all["drover_tick_faults_total"])
	require.Equal(t, "0", all["drover_log_lag"])
	when, err := json.Number(all["drover_tick_begun_timestamp_seconds"]).Float64()
	require.NoError(t, err)
	require.InDelta(t, float64(begun.Unix()), when, 60)

	event := eventlog.Event{ID: uuid.New(), Type: "environment.defined/v1", Time: time.Now(), Data: []byte("{}")}
	_, err = log.Append(t.Context(), domain.EnvironmentStream("elsewhere"), eventlog.NoStream, event)
	require.NoError(t, err)
	before := all["drover_tick_events_total"]
	require.Eventually(t, func() bool { return s.metrics(t)["drover_tick_events_total"] != before }, 20*time.Second, 20*time.Millisecond,
		"an event that another wrote is new to the next tick")
}

func TestReadersOfTheLiveStreamThatTakeNothingDoNotHoldUpTheTick(t *testing.T) {
	s, log := undoubted(t, time.Second)
	defer s.stopped(t)
	token := contexts(t).List[0].Token
	ctx, leave := context.WithCancel(t.Context())
	defer leave() // before the server is stopped, which waits for its readers
	for range 20 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"/api/v1/events/stream?after=0", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.Equal(t, 200, answer.StatusCode)
		t.Cleanup(func() { _ = answer.Body.Close() })
		_, err = io.ReadFull(answer.Body, make([]byte, 1)) // it has begun; nothing more is taken
		require.NoError(t, err)
	}
	large := domain.ProjectDefined{}
	large.Settings.Steps = []domain.Step{{Name: "a", Run: strings.Repeat("x", domain.MaxStepBytes)}}
	name, data, err := domain.Encode(large)
	require.NoError(t, err)
	for n := range 200 { // far more than connections hold
		event := eventlog.Event{ID: uuid.New(), Type: name, Data: data, Time: time.Now()}
		_, err := log.Append(t.Context(), domain.ProjectStream("p"+uuid.NewString()[:8]), eventlog.NoStream, event)
		require.NoError(t, err, n)
	}
	require.Eventually(t, func() bool { return s.metrics(t)["drover_log_lag"] == "0" }, 60*time.Second, 20*time.Millisecond, "all is folded")
	before := s.ticks(t)
	require.Eventually(t, func() bool {
		return s.metrics(t)["drover_streams_open"] == "20" && s.ticks(t) >= before+2
	}, 60*time.Second, 20*time.Millisecond, "ticks go on while the readers, which are dropped in the end, are there")
}

func (r running) ticks(t *testing.T) int64 {
	t.Helper()
	count, err := json.Number(r.metrics(t)["drover_tick_duration_seconds_count"]).Int64()
	require.NoError(t, err)
	return count
}
