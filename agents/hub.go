package agents

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/drain"
	"github.com/droverhq/drover/internal/loglimit"
)

// Config configures a Hub. Engine, Log, Clock and Access are required.
type Config struct {
	Engine *engine.Engine
	// Log is the log that Engine folds. It also stores the output of parts.
	Log   eventlog.Backend
	Clock engine.Clock
	// Access authenticates agents and records refused ones.
	Access *access.Access
	// Logger receives messages about agents; nil discards them.
	Logger *zap.Logger
	// OutputArrived, if set, is called with the deployment of each stored chunk of output. It must not block.
	OutputArrived func(deployment domain.ID)
}

// Hub serves the agents of one server, over the WebSocket and over plain HTTP. Its methods are safe for concurrent
// use.
type Hub struct {
	cfg          Config
	log          *zap.Logger
	sessions     sessions
	outputCounts outputCounts
	gate         *drain.Group // open WebSockets
	workers      workers
	messages     map[string]*atomic.Int64 // by kind; the map is never changed
	unproven     *unproven
	limited      limitCounts
	machines     machineLimits
	lines        loglimit.Lines
}

// Kinds are the kinds of messages that agents send over the WebSocket after their hello.
var Kinds = []string{"heartbeat", "health", "remembered", "conditions", "claim", "output", "end", "answer", "goodbye"}

// requestTimeout bounds one command, and one request of an agent.
const requestTimeout = 30 * time.Second

// New returns a hub that is ready to use.
func New(cfg Config) *Hub {
	if cfg.OutputArrived == nil {
		cfg.OutputArrived = func(domain.ID) {}
	}
	h := &Hub{cfg: cfg, log: cfg.Logger, gate: drain.New(), messages: map[string]*atomic.Int64{},
		unproven: newUnproven(maxUnproven, maxUnprovenBytes), limited: newLimitCounts()}
	h.workers = newWorkers(h.gate.Closed())
	if h.log == nil {
		h.log = zap.NewNop()
	}
	h.sessions.init()
	for _, kind := range Kinds {
		h.messages[kind] = &atomic.Int64{}
	}
	return h
}

// Touched notifies the sessions of machines that have changed. It is meant for engine.Config.OnTouched and does not
// block.
func (h *Hub) Touched(machines map[string]struct{}) {
	h.sessions.removeEnded(h.cfg.Engine, machines)
	h.sessions.touched(machines)
}

// Connected returns the number of agents that are connected over a WebSocket.
func (h *Hub) Connected() int { return h.sessions.count() }

// Forms returns the number of connected agents by the form of their authentication, such as client.ProofForm.
func (h *Hub) Forms() map[string]int {
	return h.sessions.countBy(func(s *session) string { return s.form })
}

// Versions returns the number of connected agents by version.
func (h *Hub) Versions() map[string]int {
	return h.sessions.countBy(func(s *session) string { return s.version })
}

// Messages returns the number of messages received of one of Kinds.
func (h *Hub) Messages(kind string) int64 { return h.messages[kind].Load() }

// Drain stops accepting agents, closes the open connections, and waits until they are closed or ctx is done. The agents
// connect to another server, or to this one after its restart.
func (h *Hub) Drain(ctx context.Context) {
	h.gate.Close()
	h.sessions.closeAll(websocket.StatusGoingAway, "the server is shutting down")
	h.gate.Wait(ctx)
}

// handle passes a command to the engine, with a timeout.
func (h *Hub) handle(ctx context.Context, id domain.ID, c domain.Command) (engine.Result, error) {
	return h.handleAsOf(ctx, h.cfg.Engine.ReadPoint(), id, c)
}

// handleAsOf works like handle, for one of several commands that are caused by the same message.
func (h *Hub) handleAsOf(ctx context.Context, received engine.ReadPoint, id domain.ID,
	c domain.Command) (engine.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return h.cfg.Engine.HandleAsOf(ctx, received, id, c)
}
