package api

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// proofQuery is a challenge of a client.
type proofQuery struct {
	Token string `query:"token" maxLength:"64" doc:"The id of a token: the part before the dot."`
	Nonce string `query:"nonce" required:"true" minLength:"16" maxLength:"128" doc:"A random text. It may end with @HOST:PORT, the end of the connection from which the client sends it."`

	address, binding, remote string
}

// Resolve records the ends of the connection.
func (q *proofQuery) Resolve(ctx huma.Context) []error {
	if local, ok := ctx.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		q.address = local.String()
	}
	q.remote, q.binding = ctx.RemoteAddr(), client.Binding(ctx.TLS())
	return nil
}

// passedOn refuses a challenge that comes from another end of a connection than the client states.
func passedOn(address string) error {
	return problem.New(client.Unauthorised, "another program passes connections on to a server at "+address+"; the server gave no proof",
		"use the address of the server itself, or permit it with --token or DROVER_TOKEN")
}

// proofAnswer is the answer to a challenge.
type proofAnswer struct{ Body client.Proof }

// routeProof registers the route by which a client checks that the server knows its token before it sends the token.
func (a *API) routeProof() {
	op := route(http.MethodGet, strings.TrimPrefix(client.ProofPath, "/api/v1"),
		"Prove that this server has the server key and knows a token; needs no token", domain.ReadVerb)
	op.Metadata[openKey] = true
	op.Security = []map[string][]string{}
	register(a, op, func(ctx context.Context, q *proofQuery) (*proofAnswer, error) {
		if !handshake.ComesFrom(q.Nonce, q.remote) {
			return nil, passedOn(q.address)
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		return &proofAnswer{Body: a.cfg.Access.Prove(ctx, q.Token, q.Nonce, q.address, q.binding, q.remote)}, nil
	})
}
