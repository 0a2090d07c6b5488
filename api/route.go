package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

const (
	// answerWithin bounds a command, and every read that is no stream.
	answerWithin = 30 * time.Second
	// seeWithin is how long a read waits for the position that it is to see.
	seeWithin = 10 * time.Second
	// maxBodyBytes bounds a body that holds no files.
	maxBodyBytes = 1 << 20
	// readWithin bounds the reading of a body. It must be longer than an answer takes: what is late on the
	// connection ends the request's context.
	readWithin = 2 * time.Minute
)

// Keys of what a route says of itself.
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
	c, refused := a.caller(r)
	if refused == nil {
		refused = c.enters(op, ctx.Param("name"))
	}
	if refused != nil && op.Metadata[freeHere] != nil && loopback(r) {
		refused = nil
	}
	if refused != nil {
		if refused.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		refused.write(w)
		return
	}
	next(huma.WithValue(ctx, callerKey{}, c))
}

// strangerKey marks the context of a probe that is told the status alone.
type strangerKey struct{}

// After is the position that a read is to see.
type After struct {
	After string `query:"after" doc:"Wait until this position is seen, at most 10 s."`
}

// answer is what a read comes to.
type answer[T any] struct {
	Position string `header:"Drover-Position"`
	Body     T
}

// see waits for the position that a read names.
func (a *API) see(ctx context.Context, after string) *Problem {
	if after == "" {
		return nil
	}
	position, err := eventlog.ParsePosition(after)
	if err != nil {
		return invalid("after=%.40q is no position", after).hint("use a position as a write answered it")
	}
	if a.cfg.Engine.Position() >= position {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, seeWithin)
	defer cancel()
	if err := a.cfg.Engine.WaitFor(ctx, position); err != nil {
		return problem(client.Unavailable, fmt.Sprintf("position %s was not seen within %s; this server stands at %s", position, seeWithin, a.cfg.Engine.Position()),
			"ask later, or the server that answered the write")
	}
	return nil
}

// get registers a read. read gets its input after the position was seen.
func get[I, T any](a *API, path, summary string, after func(*I) string, read func(context.Context, *I) (T, error)) {
	op := route(http.MethodGet, path, summary, domain.ReadScope)
	huma.Register(a.router, op, func(ctx context.Context, in *I) (*answer[T], error) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		if p := a.see(ctx, after(in)); p != nil {
			return nil, p
		}
		out := &answer[T]{Position: a.cfg.Engine.Position().String()}
		var err error
		if out.Body, err = read(ctx, in); err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// Key is the id that the sender of a write chose.
type Key struct {
	Key string `header:"Idempotency-Key" doc:"A UUID; the same write under the same key is done once."`
}

// command is what a body asks for.
type command[I any] func(ctx context.Context, in *I, by string) (domain.Command, error)

// write registers a route that comes to one command. key finds the sender's key in the input.
func write[I any](a *API, op huma.Operation, key func(*I) string, wish command[I]) {
	huma.Register(a.router, op, func(ctx context.Context, in *I) (*answer[client.Written], error) {
		id, p := commandID(key(in))
		if p != nil {
			return nil, p
		}
		c, err := wish(ctx, in, callerOf(ctx).name)
		if err != nil {
			return nil, problemOf(err)
		}
		written, err := a.handle(ctx, id, c)
		if err != nil {
			return nil, problemOf(err)
		}
		return &answer[client.Written]{Position: written.Position, Body: written}, nil
	})
}

// commandID reads the key of a write, or chooses one.
func commandID(key string) (domain.ID, *Problem) {
	if key == "" {
		key = newKey()
	}
	id, err := uuid.Parse(key)
	if err != nil || id == uuid.Nil {
		return domain.ID{}, invalid("%s %.60q is no UUID", client.KeyHeader, key).hint("send a new UUID with each write, and the same one when the write is repeated")
	}
	return domain.ID(id), nil
}

// handle sends a command on, and says that something may follow from it.
func (a *API) handle(ctx context.Context, id domain.ID, c domain.Command) (client.Written, error) {
	return a.handleAsOf(ctx, a.cfg.Engine.Moment(), id, c)
}

// handleAsOf is handle for one of the commands that belong to what came at a moment.
func (a *API) handleAsOf(ctx context.Context, came engine.Moment, id domain.ID, c domain.Command) (client.Written, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	result, err := a.cfg.Engine.HandleAsOf(ctx, came, id, c)
	if err != nil {
		return client.Written{}, err
	}
	a.cfg.Kick()
	return writtenAs(result), nil
}

func writtenAs(r engine.Result) client.Written {
	written := client.Written{Position: r.Position.String(), Events: r.Events, Repeat: r.Repeat}
	if written.Events == nil {
		written.Events = []string{}
	}
	if !r.Deployment.IsZero() {
		written.Deployment = r.Deployment.String()
	}
	return written
}
