package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// Config says what an API stands on. Engine, Log and Clock are required.
type Config struct {
	Engine *engine.Engine
	// Log is the one that Engine folds, with its ephemera: output is kept there.
	Log   eventlog.Backend
	Clock engine.Clock
	// Logger hears of agents and faults; nil is silence.
	Logger *zap.Logger
	// Kick is called after each accepted command: Engine.React is due. It must not block. Nil: nobody reacts.
	Kick func()
	// Backup makes a copy of the log's file; nil: the log is in none.
	Backup func(context.Context) (*Copy, error)
	// Ready says what else keeps this server from its work; nil: nothing does.
	Ready func() error
	// Place says where the log lies, and how much room there is; nil: nobody knows.
	Place func() doctor.Place
	// Version is that of this program, for /api/openapi.json.
	Version string
}

// API is drover's door: the handler of its HTTP routes and the hub of its agents.
type API struct {
	cfg      Config
	log      *zap.Logger
	mux      *http.ServeMux
	router   huma.API
	metrics  *metrics
	failures failures
	refusals refusals
	hub      hub
	output   watchers
	counts   counts
	replays  chan struct{} // a place in it is the right to fold the log anew
	streams  chan struct{} // a place in it is the right to a live stream

	draining chan struct{} // closed when nothing is taken in any more
	drain    sync.Once
	open     sync.WaitGroup // live streams and agents
	mu       sync.Mutex     // guards adding to open against draining
}

const (
	maxStreams = 512
	maxReplays = 2
	// takenWithin bounds how long an answer may take to be made and taken; streams and archives set it anew as they go.
	takenWithin = 5 * time.Minute
)

// New makes an API. It is ready at once; Handler serves it.
func New(cfg Config) *API {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Kick == nil {
		cfg.Kick = func() {}
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.Place == nil {
		cfg.Place = func() doctor.Place { return doctor.Place{} }
	}
	a := &API{cfg: cfg, log: cfg.Logger, mux: http.NewServeMux(), draining: make(chan struct{}),
		replays: make(chan struct{}, maxReplays), streams: make(chan struct{}, maxStreams)}
	a.hub.begin()
	a.metrics = newMetrics(a)
	a.router = humago.New(a.mux, routerConfig(cfg.Version))
	a.router.UseMiddleware(a.guard)
	a.routes()
	return a
}

var ownErrors sync.Once

// routerConfig is huma without schema links and without a page of documentation.
func routerConfig(version string) huma.Config {
	ownErrors.Do(func() { huma.NewError = fromHuma })
	config := huma.DefaultConfig("drover", version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/api/openapi", "", ""
	config.CreateHooks, config.RejectUnknownQueryParameters = nil, true
	config.Info.Description = "Every position is opaque text. A write takes an Idempotency-Key; a read takes ?after=POSITION to see a write. " +
		"Agents speak JSON over the WebSocket at /api/v1/agent, or use the routes of their machine."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}}
	return config
}

func (a *API) routes() {
	a.routeLists()
	a.routeCommands()
	a.routeDeploy()
	a.routeApply()
	a.routeWhy()
	a.routeEvents()
	a.routeOutput()
	a.routePlain()
	a.routeBackup()
	a.routeHealth()
	a.routeDoctor()
	a.mux.HandleFunc("GET /api/v1/agent", a.serveAgent)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		missing("there is no route %.20s %.200s", r.Method, r.URL.Path).hint("/api/openapi.json lists the routes").write(w)
	})
}

// Handler serves all routes.
func (a *API) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer a.recover(w, r)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(takenWithin))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		a.mux.ServeHTTP(w, r)
	})
}

// recover turns a fault of one request into its answer; the server goes on.
func (a *API) recover(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler {
		panic(fault)
	}
	a.log.Error("request failed by a fault of this server", zap.String("method", r.Method), zap.String("path", r.URL.Path),
		zap.Any("fault", fault), zap.Stack("stack"))
	problem("internal", "a fault of this server", "its own log says more").write(w)
}

// Touched is for engine.Config.OnTouched: it looks after the agents of these machines. It does not block.
func (a *API) Touched(machines map[string]struct{}) { a.hub.touched(a, machines) }

// Drain takes no agents and streams in any more, ends those that are there, and waits for that or for ctx.
// Agents come back to another server, or to the next start of this one.
func (a *API) Drain(ctx context.Context) {
	a.drain.Do(func() {
		a.mu.Lock()
		close(a.draining)
		a.mu.Unlock()
	})
	a.hub.closeAll()
	done := make(chan struct{})
	go func() { a.open.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// enter counts a stream or an agent in, unless the server drains.
func (a *API) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.draining:
		return false
	default:
		a.open.Add(1)
		return true
	}
}

func (a *API) isDraining() bool {
	select {
	case <-a.draining:
		return true
	default:
		return false
	}
}

func newKey() string { return uuid.NewString() }

func writeJSON(w io.Writer, value any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // its reader is gone, or the value is ours and can be encoded
}
