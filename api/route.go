package api

import (
	"context"
	"net/http"
	"slices"
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
	"github.com/droverhq/drover/explain"
)

const (
	// requestTimeout bounds a command, and every read except streams.
	requestTimeout = 30 * time.Second
	// maxBodyBytes bounds a body that contains no files.
	maxBodyBytes = 1 << 20
	// bodyReadTimeout bounds the time to read a body. It must exceed the duration of a response, because its deadline
	// also ends the request's context.
	bodyReadTimeout = 2 * time.Minute
)

// Keys of a route's metadata.
const (
	needKey     = "needs"  // []domain.Need: the caller must have one of them
	agentKey    = "agents" // true: the agent of the machine in the path has access too
	joinKey     = "joins"  // true: join tokens and agents have access; the route checks what they may do
	loopbackKey = "free"   // true: requests from loopback need no token
	probeKey    = "probed" // true: without a token, only the status is returned (for load balancers)
	openKey     = "open"   // true: nobody needs a token
)

// route returns the description of an operation under /api/v1. The caller must have one of the verbs: somewhere for a
// command, which the engine checks when it decides the command, and everywhere for a read (but see filtered).
func route(method, path, summary string, verb domain.Verb, more ...domain.Verb) huma.Operation {
	var needs []domain.Need
	for _, verb := range append([]domain.Verb{verb}, more...) {
		if verb == domain.ReadVerb {
			needs = append(needs, verb.Everywhere())
		} else {
			needs = append(needs, verb.Anywhere())
		}
	}
	name := strings.NewReplacer("/", " ", "{", "", "}", "").Replace(path)
	return huma.Operation{Method: method, Path: "/api/v1" + path, Summary: summary,
		OperationID:  strings.ToLower(method) + "-" + strings.Join(strings.Fields(name), "-"),
		MaxBodyBytes: maxBodyBytes, BodyReadTimeout: bodyReadTimeout, DefaultStatus: http.StatusOK,
		Metadata: map[string]any{needKey: needs}}
}

// filtered opens a read to callers who may read only some projects or environments. The route shows each of them only
// what the caller may read.
func filtered(op huma.Operation) huma.Operation {
	op.Metadata[needKey] = []domain.Need{domain.ReadVerb.Anywhere()}
	return op
}

// allowAgent gives the agent of the machine in the path access to an operation.
func allowAgent(op huma.Operation) huma.Operation {
	op.Metadata[agentKey] = true
	return op
}

// allowJoin gives join tokens and agents access to an operation.
func allowJoin(op huma.Operation) huma.Operation {
	op.Metadata[joinKey] = true
	return op
}

// authorize calls the next handler if the caller has access to the route.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	op := ctx.Operation()
	if op.Metadata[openKey] != nil {
		next(ctx)
		return
	}
	if op.Metadata[probeKey] != nil && r.Header.Get("Authorization") == "" && !a.isLocal(r) {
		next(huma.WithValue(ctx, anonymousKey{}, true))
		return
	}
	c, err := a.authenticate(r)
	if err == nil {
		err = checkAccess(c, op, ctx.Param("name"))
	}
	if err != nil && op.Metadata[loopbackKey] != nil && a.isLocal(r) {
		err = nil
	}
	if err != nil {
		c.Remote = r.RemoteAddr
		a.cfg.Access.RecordDenial(c, bearer(r), routeOf(op), err)
		if problem.Of(err).Kind == client.Unauthorised {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		writeProblem(w, err)
		return
	}
	size := r.ContentLength
	if size < 0 || size > op.MaxBodyBytes { // unknown, or refused when it is read
		size = op.MaxBodyBytes
	}
	if err := a.cfg.Agents.ThrottleRequest(ctx.Context(), c, size); err != nil {
		writeProblem(w, err)
		return
	}
	if c.Token != "" {
		c.Origin.Actor.Via = via(r)
	}
	if at, ok := a.cfg.Access.ExpiresSoon(c); ok {
		w.Header().Set(client.ExpiryHeader, at.UTC().Format(time.RFC3339))
	}
	if op.Metadata[costlyKey] != nil {
		done, err := a.reads.enter(ctx.Context(), c)
		if err != nil {
			writeProblem(w, err)
			return
		}
		defer done()
	}
	next(huma.WithValue(ctx, callerKey{}, c))
}

// routeOf returns the method and the pattern of a route, for the access log. The parameters of a request may contain a
// secret by mistake.
func routeOf(op *huma.Operation) string { return op.Method + " " + op.Path }

// via returns the channel that the sender claims to use. It is recorded but never used for decisions.
func via(r *http.Request) domain.Via {
	if via := domain.Via(r.Header.Get(client.ViaHeader)); via == domain.ViaCLI {
		return via
	}
	return domain.ViaAPI
}

// bearer returns the bearer token of a request, or "".
func bearer(r *http.Request) string {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return text
}

// checkAccess returns a problem unless the caller has access to an operation. An agent has access for its own machine
// if the path names that machine. If the path names no machine, the route must check the body.
func checkAccess(c access.Caller, op *huma.Operation, machine string) error {
	switch {
	case op.Metadata[joinKey] != nil && (c.Join != "" || c.Machine != ""):
		return nil
	case op.Metadata[agentKey] != nil:
		return c.RequireAgent(machine)
	}
	needs, _ := op.Metadata[needKey].([]domain.Need) // at least one
	for _, need := range needs {
		if c.Principal.Allows(need) {
			return nil
		}
	}
	return c.Require(needs[0])
}

// callerKey is the context key of the caller.
type callerKey struct{}

func callerOf(ctx context.Context) access.Caller {
	c, _ := ctx.Value(callerKey{}).(access.Caller)
	return c
}

// seesOf returns what the caller may see; nil means everything.
func seesOf(ctx context.Context) explain.Sees {
	reader := callerOf(ctx).Principal
	if reader.Allows(domain.ReadVerb.Everywhere()) {
		return nil
	}
	return func(project, environment string) bool {
		return reader.Allows(domain.Need{Verb: domain.ReadVerb, Project: project, Environment: environment})
	}
}

// anonymousKey marks the context of a probe without a token, which only receives the status.
type anonymousKey struct{}

// After is the position that a read must reflect.
type After struct {
	After string `query:"after" doc:"Wait until the server has read this position, at most 10 s."`
}

// answer is a JSON body together with the position that it reflects.
type answer[T any] struct {
	Position string `header:"Drover-Position"`
	Body     T
}

// register adds an operation. It converts an error of run to a problem.
func register[I, O any](a *API, op huma.Operation, run func(context.Context, *I) (*O, error)) {
	op.Responses = map[string]*huma.Response{} // the router adds to this map
	defer describeContention(op)
	huma.Register(a.router, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := run(ctx, in)
		if err != nil {
			p := problemOf(err)
			if p.Kind == client.Forbidden {
				a.cfg.Access.RecordDenial(callerOf(ctx), "", routeOf(&op), err)
			}
			return nil, p
		}
		return out, nil
	})
}

// describeContention adds the answers to OpenAPI that a write can get because of other writes.
func describeContention(op huma.Operation) {
	if op.Method == http.MethodGet {
		return
	}
	problem := op.Responses["default"].Content
	op.Responses["409"] = &huma.Response{Content: problem, Description: "The request contradicts the current state, " +
		"or other servers wrote to the same stream before each try. Nothing was written."}
	op.Responses["429"] = &huma.Response{Content: problem, Description: "Too many writes to the same stream are " +
		"waiting on this server, or too many requests had an invalid token. Nothing was written.",
		Headers: map[string]*huma.Param{"Retry-After": {Schema: &huma.Schema{Type: huma.TypeInteger}}}}
}

// get registers a read for callers who may read everything. It calls read after the server has reached the requested
// position.
func get[I, T any](a *API, path, summary string, after func(*I) string, read func(context.Context, *I) (T, error)) {
	getWith(a, readRoute(path, summary), after, read)
}

// getFiltered is get for callers who may read only some projects or environments, see filtered.
func getFiltered[I, T any](a *API, path, summary string, after func(*I) string,
	read func(context.Context, *I) (T, error)) {
	getWith(a, filtered(readRoute(path, summary)), after, read)
}

// readRoute describes a read. One without a parameter in its path is about the whole fleet, so it is costly.
func readRoute(path, summary string) huma.Operation {
	op := route(http.MethodGet, path, summary, domain.ReadVerb)
	if strings.Contains(path, "{") {
		return op
	}
	return costly(op)
}

func getWith[I, T any](a *API, op huma.Operation, after func(*I) string, read func(context.Context, *I) (T, error)) {
	register(a, op, func(ctx context.Context, in *I) (*answer[T], error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
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

// position returns the current position of the view as text.
func (a *API) position() string { return a.cfg.Queries.Position().String() }

// Key is the idempotency key of a write.
type Key struct {
	Key string `header:"Idempotency-Key" doc:"A UUID. A write that is repeated with the same key and token is executed only once."`
}

// command converts a request to a command.
type command[I any] func(ctx context.Context, in *I, by domain.Origin) (domain.Command, error)

// write registers a route that executes one command. key returns the idempotency key in the input.
func write[I any](a *API, op huma.Operation, key func(*I) string, newCommand command[I]) {
	register(a, op, func(ctx context.Context, in *I) (*answer[client.Written], error) {
		id, err := commandID(key(in))
		if err != nil {
			return nil, err
		}
		c, err := newCommand(ctx, in, callerOf(ctx).Origin)
		if err != nil {
			return nil, err
		}
		result, err := a.handle(ctx, id, c)
		if err != nil {
			return nil, err
		}
		return writtenAnswer(result), nil
	})
	if slices.Contains(previews, op.Method+" "+strings.TrimPrefix(op.Path, apiPrefix)) {
		preview(a, op, newCommand)
	}
}

// commandID parses the idempotency key of a write, or creates one.
func commandID(key string) (domain.ID, error) {
	if key == "" {
		key = uuid.NewString()
	}
	id, err := uuid.Parse(key)
	if err != nil || id == uuid.Nil {
		return domain.ID{}, problem.Invalid("invalid %s %.60q", client.KeyHeader, key).
			WithHint("send a new UUID with each write, and the same UUID when you repeat the write")
	}
	return domain.ID(id), nil
}

// handle executes a command with a timeout.
func (a *API) handle(ctx context.Context, id domain.ID, c domain.Command) (engine.Result, error) {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	result, err := a.cfg.Engine.Handle(limited, id, c)
	if err == nil && len(result.Events) > 0 {
		a.recordAccess(callerOf(ctx), c)
	}
	return result, err
}

// recordAccess writes a command that gives or takes access to the access log.
func (a *API) recordAccess(caller access.Caller, c domain.Command) {
	switch c := c.(type) {
	case domain.CreateToken:
		a.cfg.Access.Record(caller, access.Entry{Kind: access.TokenCreated, Subject: c.ID + " " + c.Settings.Name})
	case domain.RevokeToken:
		a.cfg.Access.Record(caller, access.Entry{Kind: access.TokenRevoked, Subject: a.cfg.Access.SubjectOf(c.ID)})
	case domain.RotateServerKey:
		a.cfg.Access.Record(caller, access.Entry{Kind: access.ServerKeyRotated, Subject: c.Public})
	case domain.ApplyAccess:
		a.cfg.Access.Record(caller, access.Entry{Kind: access.AccessDefined, Subject: c.Name})
	case domain.DeleteAccess:
		a.cfg.Access.Record(caller, access.Entry{Kind: access.AccessDeleted, Subject: c.Name})
	}
}

// writtenAnswer returns the response to an accepted command.
func writtenAnswer(r engine.Result) *answer[client.Written] {
	written := client.Written{Position: r.Position.String(), Events: r.Events, Repeat: r.Repeat}
	if written.Events == nil {
		written.Events = []string{}
	}
	if !r.Deployment.IsZero() {
		written.Deployment = r.Deployment.String()
	}
	return &answer[client.Written]{Position: written.Position, Body: written}
}
