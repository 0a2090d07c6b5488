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

// Config configures an API. Engine, Clock, Access, Queries, Agents and People are required.
type Config struct {
	// Engine executes commands.
	Engine *engine.Engine
	Clock  engine.Clock
	// Access authenticates callers, Queries answers reads, Agents serves agents.
	Access  *access.Access
	Queries *query.Queries
	Agents  *agents.Hub
	// People stores the names of people.
	People *access.People
	// Logger receives internal errors; nil discards them.
	Logger *zap.Logger
	// Backup creates a copy of the log's file; nil if the log is not a file.
	Backup func(context.Context) (*Copy, error)
	// Transport describes how requests reach the server.
	Transport Transport
	// Version is the version of this program, for /api/openapi.json.
	Version string
}

// API is the handler of drover's HTTP routes.
type API struct {
	cfg     Config
	log     *zap.Logger
	mux     *http.ServeMux
	router  huma.API
	metrics *metrics
	streams chan struct{} // limits the number of live streams
	gate    *drain.Group  // open live streams
	reads   readBudget
}

const (
	maxStreams = 512
	// responseTimeout bounds the time to create and send a response. Streams and archives extend it as they proceed.
	responseTimeout = 5 * time.Minute
)

// New returns an API that is ready to use.
func New(cfg Config) *API {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	a := &API{cfg: cfg, log: cfg.Logger, mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams),
		gate: drain.New()}
	a.metrics = newMetrics(a)
	a.router = humago.New(a.mux, routerConfig(cfg.Version))
	a.router.UseMiddleware(a.authorize)
	a.routes()
	return a
}

var ownErrors sync.Once

// routerConfig returns a configuration of huma without schema links and documentation pages.
func routerConfig(version string) huma.Config {
	ownErrors.Do(func() { huma.NewError = fromHuma })
	config := huma.DefaultConfig("drover", version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/api/openapi", "", ""
	config.CreateHooks, config.RejectUnknownQueryParameters = nil, true
	config.Info.Description = "Positions are opaque text. Writes accept an Idempotency-Key. " +
		"Reads accept ?after=POSITION to reflect an earlier write. " +
		"Agents exchange JSON messages over the WebSocket at /api/v1/agent, or use the routes of their machine."
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
	a.routeHTTPAgents()
	a.routeLog()
	a.routeBackup()
	a.routeHealth()
	a.routeProof()
	a.mux.HandleFunc("GET /api/v1/agent", a.serveAgent)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem.NotFound("there is no route %.20s %.200s", r.Method, r.URL.Path).
			WithHint("/api/openapi.json lists the routes"))
	})
}

// serveAgent serves the WebSocket of an agent.
func (a *API) serveAgent(w http.ResponseWriter, r *http.Request) {
	err := a.checkClientCertificate(r)
	if err == nil {
		err = a.cfg.Agents.Accept(w, r, a.isProtected(r))
	}
	if err != nil {
		writeProblem(w, err)
	}
}

// Handler returns the handler of all routes.
func (a *API) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer a.recover(w, r)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(responseTimeout))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if onSocket(r.Context()) {
			r.RemoteAddr = "unix socket" // for the access log and drover doctor; net/http reports "@"
		}
		if err := a.checkHost(r); err != nil {
			writeProblem(w, err)
			return
		}
		a.mux.ServeHTTP(w, r)
	})
}

// recover converts a panic in one request to a response, so that the server keeps running.
func (a *API) recover(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler {
		panic(fault)
	}
	a.log.Error("internal error in a request", zap.String("method", r.Method),
		zap.String("path", shorten(r.URL.Path, maxLocation)),
		zap.Any("fault", fault), zap.Stack("stack"))
	writeProblem(w, problem.New(client.Internal, "internal error", "see the log of this server"))
}

// Drain rejects new live streams, ends the open ones, and waits until they have ended or ctx is done.
func (a *API) Drain(ctx context.Context) {
	a.gate.Close()
	a.gate.Wait(ctx)
}
