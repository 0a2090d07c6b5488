package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/transport"
)

// startTimeout bounds how long a command waits for a server on this machine that is starting: for its client context to
// exist and for its address to answer.
const startTimeout = 5 * time.Second

// connect returns a client for the servers and the token of the flags, or of the client context.
func (a *app) connect(ctx context.Context) (c *client.Client, err error) {
	var found *config.Context
	if a.token == "" || len(a.servers) == 0 {
		found, err = a.context(ctx)
	} else {
		found, err = a.currentContext()
	}
	if err != nil {
		return nil, err
	}
	t, err := a.target(found)
	if err != nil {
		return nil, err
	}
	if t.unlisted != "" {
		if t, err = a.retarget(ctx, t); err != nil {
			return nil, err
		}
	}
	if t.token == "" {
		return nil, &failure{code: exitDenied, kind: client.Unauthorised, text: "no token for " + t.servers[0],
			hint: "start `drover server` as this user, or use --token or DROVER_TOKEN"}
	}
	if !client.IsToken(t.token) {
		return nil, &failure{code: exitDenied, kind: client.Unauthorised,
			text: "the token contains an invalid character, such as a line break",
			hint: "set --token or DROVER_TOKEN to exactly what `drover token create` printed"}
	}
	return a.client(t)
}

// client returns a client for a target.
func (a *app) client(t target) (*client.Client, error) {
	if a.httpClients[t.ca] == nil {
		made, err := newHTTPClient(t.ca)
		if err != nil {
			return nil, err
		}
		a.httpClients[t.ca] = made
	}
	return &client.Client{Servers: t.servers, Token: t.token, Relayed: a.token != "", Key: t.key, OnProof: t.proven,
		Via: domain.ViaCLI, HTTP: a.httpClients[t.ca], OnExpiry: a.noteExpiry}, nil
}

// noteExpiry tells the user, once, that the token expires soon.
func (a *app) noteExpiry(at time.Time) {
	if !a.notedExpiry.Swap(true) {
		a.info("your token expires at %s; ask somebody with an admin token for another one, or run `drover token create`",
			at.UTC().Format(time.RFC3339))
	}
}

// context returns the client context to use, or nil without a context. It waits a short time for a starting server to
// create one.
func (a *app) context(ctx context.Context) (*config.Context, error) {
	path, err := config.ContextsPath()
	if err != nil {
		return nil, nil // a user without a home directory has no contexts
	}
	named := ""
	if len(a.servers) > 0 {
		named = a.servers[0]
	}
	for end := time.Now().Add(startTimeout); ; {
		all, err := config.ReadContexts(path)
		if err != nil {
			return nil, invalid("%v", err)
		}
		found := all.For(named)
		if found != nil || a.completing || !isLocal(named) || time.Now().After(end) {
			return found, nil
		}
		if err := clock.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// isLocal reports whether address is on this machine, so that its server can create a context for this user.
func isLocal(address string) bool {
	u, err := url.Parse(address)
	return address == "" || err == nil && transport.IsLoopback(u.Hostname())
}

// dialTimeout bounds one connection attempt; after it the client tries the next server.
const dialTimeout = 5 * time.Second

func newHTTPClient(ca string) (*http.Client, error) {
	secure := transport.Config()
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, invalid("could not read --ca %.300q: %v", ca, config.Reason(err))
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, invalid("--ca %.300q contains no PEM certificate", ca)
		}
		secure.RootCAs = pool
	}
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: dialTimeout,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSClientConfig: secure}}, nil
}

// untilReachable calls try again while no server is reachable, for at most startTimeout.
func (a *app) untilReachable(ctx context.Context, try func() error) error {
	printed := false
	for begun := time.Now(); ; {
		err := try()
		if err == nil || !unreachable(err) || ctx.Err() != nil || a.noRetry || time.Since(begun) > startTimeout {
			return err
		}
		if !printed && time.Since(begun) > time.Second {
			printed = true
			a.info("waiting for a server: %s", asFailure(err).text)
		}
		if err := clock.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// unreachable reports whether err means that no server was reached or that its answer was lost.
func unreachable(err error) bool {
	f := asFailure(err)
	var problem *client.Problem
	return f.kind == client.Unavailable && errors.As(err, &problem) && problem.Status == 0 && problem.Unwrap() != nil
}

func firstNonEmpty(a, b []string) []string {
	if len(a) > 0 {
		return a
	}
	return b
}
