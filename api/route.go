package api

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
)

const (
	// answerWithin bounds a command, and every read except streams.
	answerWithin = 30 * time.Second
	// maxBodyBytes bounds a body that holds no files.
	maxBodyBytes = 1 << 20
	// readWithin bounds the reading of a body. It must be longer than an answer takes: its deadline ends the request's
	// context.
	readWithin = 2 * time.Minute
)

// Keys of the metadata of a route.
const (
	scopeOf  = "scope"  // domain.Scope that a token needs
	agentsIn = "agents" // true: the agent of the machine that the path names comes in too
	joinsIn  = "joins"  // true: so do join tokens and agents; the route says what for
	freeHere = "free"   // true: no token is needed on loopback
	probed   = "probed" // true: whoever has no token is told the status alone, as a load balancer needs it
)

// route describes an operation under /api/v1.
func route(method, path, summary string, scope domain.Scope) huma.Operation {
	name := strings.NewReplacer("/", " ", "{", "", "}", "").Replace(path)
	return huma.Operation{Method: method, Path: "/api/v1" + path, Summary: summary,
		OperationID:  strings.ToLower(method) + "-" + strings.Join(strings.Fields(name), "-"),
		MaxBodyBytes: maxBodyBytes, BodyReadTimeout: readWithin, DefaultStatus: http.StatusOK,
		Metadata: map[string]any{scopeOf: scope}}
}

// forAgents lets the agent of the machine in the path in.
func forAgents(op huma.Operation) huma.Operation {
	op.Metadata[agentsIn] = true
	return op
}

// forJoins lets join tokens and agents in.
func forJoins(op huma.Operation) huma.Operation {
	op.Metadata[joinsIn] = true
	return op
}

// guard lets a request through to its route if its caller may.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	op := ctx.Operation()
	if op.Metadata[probed] != nil && r.Header.Get("Authorization") == "" && !loopback(r) {
		next(huma.WithValue(ctx, strangerKey{}, true))
		return
	}
	c, err := a.cfg.Access.Caller(r.Context(), bearer(r), r.RemoteAddr)
	if err == nil {
		err = enters(c, op, ctx.Param("name"))
	}
	if err != nil && op.Metadata[freeHere] != nil && loopback(r) {
		err = nil
	}
	if err != nil {
		if problem.Of(err).Kind == client.Unauthorised {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		writeProblem(w, err)
		return
	}
	if c.Token != "" {
		c.Origin.Actor.Via = via(r)
	}
	next(huma.WithValue(ctx, callerKey{}, c))
}

// via is the way by which a request came, as its sender says: it is recorded, and nothing is decided by it.
func via(r *http.Request) domain.Via {
	if said := domain.Via(r.Header.Get(client.ViaHeader)); said == domain.ViaCLI {
		return said
	}
	return domain.ViaAPI
}

// bearer is the credential that a request carries; empty if it has none.
func bearer(r *http.Request) string {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return text
}

// enters returns a problem unless a caller may use an operation. An agent may use it for the machine that the path
// names if that is its own; where the path names none, the route checks the body.
func enters(c access.Caller, op *huma.Operation, machine string) error {
	scope, _ := op.Metadata[scopeOf].(domain.Scope)
	switch {
	case op.Metadata[joinsIn] != nil && (c.Join != "" || c.Machine != ""):
		return nil
	case op.Metadata[agentsIn] != nil && c.Machine != "":
		return c.IsAgentOf(machine)
	}
	return c.May(scope)
}

func loopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// callerKey is where the context of a request has its caller.
type callerKey struct{}

func callerOf(ctx context.Context) access.Caller {
	c, _ := ctx.Value(callerKey{}).(access.Caller)
	return c
}

// strangerKey marks the context of a probe that is told the status alone.
type strangerKey struct{}

// After is the position that a read is to see.
type After struct {
	After string `query:"after" doc:"Wait until this position is seen, at most 10 s."`
}

// answer is a JSON body with the position at which it was given.
type answer[T any] struct {
	Position string `header:"Drover-Position"`
	Body     T
}

// register adds an operation; whatever error run returns is answered as a problem.
func register[I, O any](a *API, op huma.Operation, run func(context.Context, *I) (*O, error)) {
	huma.Register(a.router, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := run(ctx, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// get registers a read. read gets its input after the position was seen.
func get[I, T any](a *API, path, summary string, after func(*I) string, read func(context.Context, *I) (T, error)) {
	op := route(http.MethodGet, path, summary, domain.ReadScope)
	register(a, op, func(ctx context.Context, in *I) (*answer[T], error) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		if err := a.cfg.Queries.WaitForPosition(ctx, after(in)); err != nil {
			return nil, err
		}
		out := &answer[T]{Position: a.position()}
		var err error
		out.Body, err = read(ctx, in)
		return out, err
	})
}

// position is where the view stands now, as answers write it.
func (a *API) position() string { return a.cfg.Queries.Position().String() }

// Key is the id that the sender of a write chose.
type Key struct {
	Key string `header:"Idempotency-Key" doc:"A UUID; the same write under the same key is done once."`
}

// command turns a request into a command.
type command[I any] func(ctx context.Context, in *I, by domain.Origin) (domain.Command, error)

// write registers a route that comes to one command. key finds the sender's key in the input.
func write[I any](a *API, op huma.Operation, key func(*I) string, wish command[I]) {
	register(a, op, func(ctx context.Context, in *I) (*answer[client.Written], error) {
		id, err := commandID(key(in))
		if err != nil {
			return nil, err
		}
		c, err := wish(ctx, in, callerOf(ctx).Origin)
		if err != nil {
			return nil, err
		}
		result, err := a.handle(ctx, id, c)
		if err != nil {
			return nil, err
		}
		return writtenAs(result), nil
	})
}

// commandID reads the key of a write, or chooses one.
func commandID(key string) (domain.ID, error) {
	if key == "" {
		key = uuid.NewString()
	}
	id, err := uuid.Parse(key)
	if err != nil || id == uuid.Nil {
		return domain.ID{}, problem.Invalid("invalid %s %.60q", client.KeyHeader, key).
			WithHint("send a new UUID with each write, and the same one when the write is repeated")
	}
	return domain.ID(id), nil
}

// handle sends a command to the engine, within bounds.
func (a *API) handle(ctx context.Context, id domain.ID, c domain.Command) (engine.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return a.cfg.Engine.Handle(ctx, id, c)
}

// writtenAs is the answer to an accepted command.
func writtenAs(r engine.Result) *answer[client.Written] {
	written := client.Written{Position: r.Position.String(), Events: r.Events, Repeat: r.Repeat}
	if written.Events == nil {
		written.Events = []string{}
	}
	if !r.Deployment.IsZero() {
		written.Deployment = r.Deployment.String()
	}
	return &answer[client.Written]{Position: written.Position, Body: written}
}
