package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/internal/drain"
	"github.com/droverhq/drover/query"
)

// Config says what an API works with. Engine, Clock, Access, Queries, Agents and People are required.
type Config struct {
	// Engine takes commands.
	Engine *engine.Engine
	Clock  engine.Clock
	// Access says who the caller of a request is, Queries answers reads, Agents serves agents.
	Access  *access.Access
	Queries *query.Queries
	Agents  *agents.Hub
	// People knows what persons are called.
	People *access.People
	// Logger receives faults; nil discards them.
	Logger *zap.Logger
	// Backup makes a copy of the log's file; nil: the log is not a file.
	Backup func(context.Context) (*Copy, error)
	// Version is that of this program, for /api/openapi.json.
	Version string
}

// API is the handler of drover's HTTP routes.
type API struct {
	cfg     Config
	log     *zap.Logger
	mux     *http.ServeMux
	router  huma.API
	metrics *metrics
	streams chan struct{} // a place in it is the right to a live stream
	gate    *drain.Gate   // every live stream is in it
}

const (
	maxStreams = 512
	// takenWithin bounds how long it may take to make and send an answer; streams and archives extend it as they go.
	takenWithin = 5 * time.Minute
)

// New makes an API. It is ready at once; Handler serves it.
func New(cfg Config) *API {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	a := &API{cfg: cfg, log: cfg.Logger, mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams),
		gate: drain.New()}
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
	a.routePeople()
	a.routeReads()
	a.routeCommands()
	a.routeDeploy()
	a.routeApply()
	a.routeEvents()
	a.routeOutput()
	a.routePlain()
	a.routeLog()
	a.routeBackup()
	a.routeHealth()
	a.mux.HandleFunc("GET /api/v1/agent", a.serveAgent)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem.NotFound("there is no route %.20s %.200s", r.Method, r.URL.Path).
			WithHint("/api/openapi.json lists the routes"))
	})
}

// serveAgent opens the WebSocket of an agent.
func (a *API) serveAgent(w http.ResponseWriter, r *http.Request) {
	if err := a.cfg.Agents.Accept(w, r); err != nil {
		writeProblem(w, err)
	}
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
	a.log.Error("request failed by a fault of this server", zap.String("method", r.Method),
		zap.String("path", r.URL.Path),
		zap.Any("fault", fault), zap.Stack("stack"))
	writeProblem(w, problem.New(client.Internal, "a fault of this server", "its own log says more"))
}

// Drain takes no live streams any more, ends the open ones, and waits for their end or for ctx.
func (a *API) Drain(ctx context.Context) {
	a.gate.Close()
	a.gate.Wait(ctx)
}
