package agents

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/drain"
)

// Config says what a Hub works with. Engine, Log, Clock and Access are required.
type Config struct {
	Engine *engine.Engine
	// Log is the one that Engine folds; the output of parts is stored in it.
	Log   eventlog.Backend
	Clock engine.Clock
	// Access proves agents and remembers who was refused.
	Access *access.Access
	// Logger receives messages about agents; nil discards them.
	Logger *zap.Logger
	// OutputArrived hears of the deployment of each piece of output that was stored. It must not block. May be nil.
	OutputArrived func(deployment domain.ID)
}

// Hub serves the agents of one server, over the WebSocket and over plain HTTP. Its methods may be called from many
// goroutines.
type Hub struct {
	cfg      Config
	log      *zap.Logger
	sessions sessions
	counts   counts
	gate     *drain.Gate              // every WebSocket is in it
	messages map[string]*atomic.Int64 // by kind; the map is never changed
}

// Kinds are the kinds of messages that agents send over the WebSocket after their hello.
var Kinds = []string{"heartbeat", "health", "claim", "output", "end", "answer", "goodbye"}

// answerWithin bounds one command, and what an agent asks for at a time.
const answerWithin = 30 * time.Second

// New returns a hub that is ready for agents.
func New(cfg Config) *Hub {
	if cfg.OutputArrived == nil {
		cfg.OutputArrived = func(domain.ID) {}
	}
	h := &Hub{cfg: cfg, log: cfg.Logger, gate: drain.New(), messages: map[string]*atomic.Int64{}}
	if h.log == nil {
		h.log = zap.NewNop()
	}
	h.sessions.begin()
	for _, kind := range Kinds {
		h.messages[kind] = &atomic.Int64{}
	}
	return h
}

// Touched is for engine.Config.OnTouched: agents of these machines are told what is new. It does not block.
func (h *Hub) Touched(machines map[string]struct{}) {
	h.sessions.forgetPlain(h.cfg.Engine, machines)
	h.sessions.touched(machines)
}

// Connected is how many agents are connected by a WebSocket.
func (h *Hub) Connected() int { return h.sessions.count() }

// Versions counts the connected agents by their version.
func (h *Hub) Versions() map[string]int { return h.sessions.versions() }

// Messages is how many messages of one of Kinds have come.
func (h *Hub) Messages(kind string) int64 { return h.messages[kind].Load() }

// Drain stops accepting agents, closes the open connections, and waits until they have ended or ctx ends. The agents
// connect to another server, or to this one when it starts again.
func (h *Hub) Drain(ctx context.Context) {
	h.gate.Close()
	h.sessions.closeAll()
	h.gate.Wait(ctx)
}

// handle sends a command to the engine, within bounds.
func (h *Hub) handle(ctx context.Context, id domain.ID, c domain.Command) (engine.Result, error) {
	return h.handleAsOf(ctx, h.cfg.Engine.ReadPoint(), id, c)
}

// handleAsOf is handle for a command that is one of several caused by a message that came at one moment.
func (h *Hub) handleAsOf(ctx context.Context, came engine.ReadPoint, id domain.ID, c domain.Command) (engine.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return h.cfg.Engine.HandleAsOf(ctx, came, id, c)
}
