package api

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// proofQuery is a challenge of a client.
type proofQuery struct {
	Token string `query:"token" maxLength:"64" doc:"The id of a token: the part before the dot."`
	Nonce string `query:"nonce" required:"true" minLength:"16" maxLength:"128" doc:"A random text."`

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

// proofAnswer is the answer to a challenge.
type proofAnswer struct{ Body client.Proof }

// routeProof registers the route by which a client checks that the server knows its token before it sends the token.
func (a *API) routeProof() {
	op := route(http.MethodGet, strings.TrimPrefix(client.ProofPath, "/api/v1"),
		"Prove that this server has the server key and knows a token; needs no token", domain.ReadVerb)
	op.Metadata[openKey] = true
	op.Security = []map[string][]string{}
	register(a, op, func(ctx context.Context, q *proofQuery) (*proofAnswer, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		return &proofAnswer{Body: a.cfg.Access.Prove(ctx, q.Token, q.Nonce, q.address, q.binding, q.remote)}, nil
	})
}
