package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
)

// routeHealth registers the monitoring routes. Requests from loopback need no token.
func (a *API) routeHealth() {
	a.registerMonitoring("/healthz", "Return 200 while the server is running", probeKey,
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	a.registerMonitoring("/readyz",
		"Return 200 if the server is ready, otherwise 503; callers with a token also receive the reasons, one per line",
		probeKey, a.readyz)
	a.registerMonitoring("/metrics", "Return metrics in the Prometheus format", loopbackKey, a.metrics.handler().ServeHTTP)
}

// registerMonitoring registers a route outside /api/v1. open is loopbackKey or probeKey. Requests from loopback never
// need a token.
func (a *API) registerMonitoring(path, summary, open string, serve http.HandlerFunc) {
	op := route(http.MethodGet, path, summary, domain.ReadVerb)
	op.Path, op.Metadata[loopbackKey], op.Metadata[open] = path, true, true
	register(a, op, func(context.Context, *empty) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			serve(w, r.WithContext(ctx.Context()))
		}}, nil
	})
}

func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	var problems []string
	if a.gate.IsClosed() {
		problems = append(problems, "this server is shutting down")
	}
	problems = append(problems, a.cfg.Queries.NotReady()...)
	if len(problems) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		fmt.Fprintln(w, "ready")
	}
	if r.Context().Value(anonymousKey{}) != nil {
		return
	}
	for _, sentence := range append(problems, a.cfg.Queries.Warnings()...) {
		fmt.Fprintln(w, sentence)
	}
}

// metrics contains the Prometheus metrics of an API.
type metrics struct {
	registry *prometheus.Registry
	ticks    prometheus.Histogram
	started  prometheus.Gauge
	errors   prometheus.Counter
	read     prometheus.Counter
	appended *prometheus.CounterVec
	verdicts *prometheus.GaugeVec
}

func newMetrics(a *API) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		ticks: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "drover_tick_duration_seconds",
			Help:    "Duration of ticks.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60}}),
		started: prometheus.NewGauge(prometheus.GaugeOpts{Name: "drover_tick_begun_timestamp_seconds",
			Help: "Start time of the last completed tick, in seconds since 1970."}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "drover_tick_faults_total",
			Help: "Ticks that ended with an error."}),
		read: prometheus.NewCounter(prometheus.CounterOpts{Name: "drover_tick_events_total",
			Help: "New events that ticks have read."}),
		appended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "drover_decisions_total",
			Help: "Decisions that ticks and reactions have appended, by event."}, []string{"event"}),
		verdicts: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "drover_verdicts",
			Help: "Verdicts of the last tick."}, []string{"verdict", "reason"}),
	}
	for _, kind := range agents.Kinds { // a message that was never received counts 0
		options := prometheus.CounterOpts{Name: "drover_agent_messages_total", Help: "Messages of agents, by kind.",
			ConstLabels: prometheus.Labels{"kind": kind}}
		m.registry.MustRegister(prometheus.NewCounterFunc(options,
			func() float64 { return float64(a.cfg.Agents.Messages(kind)) }))
	}
	for _, reason := range access.Reasons {
		options := prometheus.CounterOpts{Name: "drover_access_denied_total",
			Help: "Requests and agents that this server denied, by reason.", ConstLabels: prometheus.Labels{"reason": string(reason)}}
		m.registry.MustRegister(prometheus.NewCounterFunc(options,
			func() float64 { return float64(a.cfg.Access.DenialCount(reason)) }))
	}
	for _, kind := range domain.ConditionKinds() {
		options := prometheus.GaugeOpts{Name: "drover_machine_conditions",
			Help: "Machines whose agents report a condition, by condition.", ConstLabels: prometheus.Labels{"condition": string(kind)}}
		m.registry.MustRegister(prometheus.NewGaugeFunc(options,
			func() float64 { return float64(a.cfg.Queries.MachinesReporting(kind)) }))
	}
	for _, limit := range agents.Limits {
		m.registry.MustRegister(limitedCounter(limit, func() int64 { return a.cfg.Agents.Limited(limit) }))
	}
	m.registry.MustRegister(limitedCounter(readsLimit, a.reads.limited.Load))
	m.registry.MustRegister(m.ticks, m.started, m.errors, m.read, m.appended, m.verdicts,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("drover_agents_connected", "Agents connected to this server.",
			func() float64 { return float64(a.cfg.Agents.Connected()) }),
		gauge("drover_agents_secret", "Connected agents that have sent their secret, like earlier versions of drover.",
			func() float64 { return float64(a.cfg.Agents.Forms()[client.SecretForm]) }),
		gauge("drover_agents_proxied", "Connected agents behind a proxy that ends TLS.",
			func() float64 { return float64(a.cfg.Agents.Forms()[client.ProxiedForm]) }),
		gauge("drover_agents_unproven", "Connections of agents that have not proved who they are.",
			func() float64 { connections, _ := a.cfg.Agents.Unproven(); return float64(connections) }),
		gauge("drover_agents_unproven_bytes", "Memory of the hellos of agents that have not proved who they are.",
			func() float64 { _, bytes := a.cfg.Agents.Unproven(); return float64(bytes) }),
		gauge("drover_commands_waiting", "Commands that wait until this server has written earlier ones to the same stream.",
			func() float64 { return float64(a.cfg.Engine.Waiting()) }),
		gauge("drover_streams_open", "Open live streams of this server.",
			func() float64 { return float64(len(a.streams)) }),
		gauge("drover_log_position", "Position of the last folded event.",
			func() float64 { return float64(a.cfg.Engine.Position()) }),
		gauge("drover_log_lag", "Head of the log minus the position of the last folded event; -1 if the log is unreadable.",
			a.lag),
		gauge("drover_ready", "1 if this server is ready.",
			func() float64 { return boolValue(len(a.cfg.Queries.NotReady()) == 0) }),
		gauge("drover_log_outage_seconds", "How many seconds this server has been unable to use the log; 0 if it can use it.",
			func() float64 { return a.cfg.Engine.Outage().Seconds() }),
		gauge("drover_cut_off", "1 if this server has handed its agents over because it cannot use the log.",
			func() float64 { return boolValue(a.cfg.Engine.CutOff() != nil) }),
		gauge("drover_clock_confirmed", "1 if the clock of this server is confirmed, so that pins, holds and output expire.",
			func() float64 { return boolValue(a.cfg.Engine.Clocks().Confirmed) }),
		gauge("drover_log_doubted", "1 if the log has lost events and the restore has not been accepted yet.",
			func() float64 { return boolValue(a.cfg.Engine.LostEvents() != nil) }))
	return m
}

// limitedCounter counts how often a limit was reached.
func limitedCounter(limit string, read func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "drover_limited_total",
		Help:        "How often a limit delayed or refused something, by limit.",
		ConstLabels: prometheus.Labels{"limit": limit}}, func() float64 { return float64(read()) })
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
}

// boolValue returns a condition as the value of a metric.
func boolValue(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

func (a *API) lag() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	behind, err := a.cfg.Queries.Lag(ctx)
	if err != nil {
		return -1
	}
	return float64(behind)
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Ticked updates /metrics after a tick. The caller must call it after each tick.
func (a *API) Ticked(r engine.Report, took time.Duration, err error) {
	m := a.metrics
	m.started.Set(float64(a.cfg.Clock.Now().Add(-took).UnixMicro()) / 1e6)
	m.ticks.Observe(took.Seconds())
	m.read.Add(float64(r.Batch.Events))
	if err != nil {
		m.errors.Inc()
	}
	m.count(r.Appended)
	m.verdicts.Reset()
	for _, verdict := range r.Verdicts {
		m.verdicts.WithLabelValues(string(verdict.Kind), string(verdict.Reason)).Inc()
	}
}

// Reacted updates /metrics after a reaction. The caller must call it after each reaction.
func (a *API) Reacted(written []engine.Written) { a.metrics.count(written) }

func (m *metrics) count(written []engine.Written) {
	for _, w := range written {
		m.appended.WithLabelValues(domain.Name(w.Event)).Inc()
	}
}
