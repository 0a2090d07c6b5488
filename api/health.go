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

	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
)

// routeHealth registers the routes for monitoring; on loopback no token is needed.
func (a *API) routeHealth() {
	a.outside("/healthz", "200 while the server lives", probed,
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	a.outside("/readyz", "200 if the server does its work, else 503; a sentence a line for who has a token", probed,
		a.readyz)
	a.outside("/metrics", "Metrics as Prometheus reads them", freeHere, a.metrics.handler().ServeHTTP)
}

// outside registers a route that is not under /api/v1. open is freeHere or probed; on loopback it never needs a token.
func (a *API) outside(path, summary, open string, serve http.HandlerFunc) {
	op := route(http.MethodGet, path, summary, domain.ReadScope)
	op.Path, op.Metadata[freeHere], op.Metadata[open] = path, true, true
	register(a, op, func(context.Context, *empty) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			serve(w, r.WithContext(ctx.Context()))
		}}, nil
	})
}

func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	var against []string
	if a.gate.IsClosed() {
		against = append(against, "this server is shutting down")
	}
	against = append(against, a.cfg.Queries.NotReady()...)
	if len(against) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		fmt.Fprintln(w, "ready")
	}
	if r.Context().Value(strangerKey{}) != nil {
		return
	}
	for _, sentence := range append(against, a.cfg.Queries.Warnings()...) {
		fmt.Fprintln(w, sentence)
	}
}

// metrics are what Prometheus is told.
type metrics struct {
	registry *prometheus.Registry
	ticks    prometheus.Histogram
	begun    prometheus.Gauge
	faults   prometheus.Counter
	read     prometheus.Counter
	appended *prometheus.CounterVec
	verdicts *prometheus.GaugeVec
}

func newMetrics(a *API) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		ticks: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "drover_tick_duration_seconds",
			Help:    "How long ticks took.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60}}),
		begun: prometheus.NewGauge(prometheus.GaugeOpts{Name: "drover_tick_begun_timestamp_seconds",
			Help: "When the last tick that has ended began, in seconds since 1970."}),
		faults: prometheus.NewCounter(prometheus.CounterOpts{Name: "drover_tick_faults_total",
			Help: "Ticks that ended with a fault."}),
		read: prometheus.NewCounter(prometheus.CounterOpts{Name: "drover_tick_events_total",
			Help: "Events that ticks found new."}),
		appended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "drover_decisions_total",
			Help: "Decisions that ticks and reactions appended, by event."}, []string{"event"}),
		verdicts: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "drover_verdicts",
			Help: "Verdicts of the last tick."}, []string{"verdict", "reason"}),
	}
	for _, kind := range agents.Kinds { // what never came reads 0
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "drover_agent_messages_total", Help: "Messages of agents, by kind.",
			ConstLabels: prometheus.Labels{"kind": kind}}, func() float64 { return float64(a.cfg.Agents.Messages(kind)) }))
	}
	m.registry.MustRegister(m.ticks, m.begun, m.faults, m.read, m.appended, m.verdicts,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("drover_agents_connected", "Agents that are connected to this server.",
			func() float64 { return float64(a.cfg.Agents.Connected()) }),
		gauge("drover_streams_open", "Live streams that this server writes.",
			func() float64 { return float64(len(a.streams)) }),
		gauge("drover_log_position", "Position of the last event folded.",
			func() float64 { return float64(a.cfg.Engine.Position()) }),
		gauge("drover_log_lag", "Head of the log less the position of the last event folded; -1 if the log cannot be read.", a.lag),
		gauge("drover_ready", "1 if this server does its work.",
			func() float64 { return yes(len(a.cfg.Queries.NotReady()) == 0) }),
		gauge("drover_log_doubted", "1 if the log has lost events and nobody has accepted that.",
			func() float64 { return yes(a.cfg.Engine.LostEvents() != nil) }))
	return m
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
}

// yes is a condition as a metric writes it.
func yes(so bool) float64 {
	if so {
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

// Ticked notes what a tick saw and did, for /metrics. The wiring calls it after each.
func (a *API) Ticked(r engine.Report, took time.Duration, err error) {
	m := a.metrics
	m.begun.Set(float64(a.cfg.Clock.Now().Add(-took).UnixMicro()) / 1e6)
	m.ticks.Observe(took.Seconds())
	m.read.Add(float64(r.Batch.Events))
	if err != nil {
		m.faults.Inc()
	}
	m.count(r.Appended)
	m.verdicts.Reset()
	for _, verdict := range r.Verdicts {
		m.verdicts.WithLabelValues(string(verdict.Kind), string(verdict.Reason)).Inc()
	}
}

// Reacted notes what a reaction appended, for /metrics. The wiring calls it after each.
func (a *API) Reacted(written []engine.Written) { a.metrics.count(written) }

func (m *metrics) count(written []engine.Written) {
	for _, w := range written {
		m.appended.WithLabelValues(domain.Name(w.Event)).Inc()
	}
}
