package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

// patience is how long a command waits for a server of this machine that is only just starting: its
// context to be there, and its address to answer.
const patience = 5 * time.Second

// connect finds out which servers are asked, and with which token: those of the flags, else those of
// the client context. A server that is named changes the address, never the token.
func (s *shell) connect(ctx context.Context) (c *client.Client, err error) {
	c = &client.Client{Servers: s.servers, Token: s.token, Via: domain.ViaCLI}
	ca := s.ca
	if c.Token == "" || len(c.Servers) == 0 {
		found, err := s.context(ctx)
		if err != nil {
			return nil, err
		}
		if found != nil && c.Token == "" && len(s.servers) > 0 && !slices.Contains(found.Servers, s.servers[0]) && !s.lent {
			s.lent = true
			s.say("server %s is in none of your contexts; it gets the token of the current one (name another with --token)", s.servers[0])
		}
		if found != nil {
			c.Servers, c.Token, ca = or(c.Servers, found.Servers), cmp.Or(c.Token, found.Token), cmp.Or(ca, found.CA)
		}
	}
	c.Servers = or(c.Servers, []string{"http://" + server.DefaultListen})
	if c.Token == "" {
		return nil, &failure{code: exitDenied, kind: client.Unauthorised, text: "no token is known for " + c.Servers[0],
			hint: "start `drover server` as this user, or use --token or DROVER_TOKEN"}
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, &failure{code: exitDenied, kind: client.Unauthorised, text: "the token holds a character that no token has, such as a line break",
			hint: "give --token or DROVER_TOKEN the text that `drover token create` printed, and nothing else"}
	}
	if s.carriers[ca] == nil {
		if s.carriers[ca], err = carrier(ca); err != nil {
			return nil, err
		}
	}
	c.HTTP = s.carriers[ca]
	return c, nil
}

// context is the one to use, nil if there is none. A server that was started a moment ago is given
// time to leave one.
func (s *shell) context(ctx context.Context) (*config.Context, error) {
	path, err := config.ContextsPath()
	if err != nil {
		return nil, nil // a user without a home has no contexts
	}
	named := ""
	if len(s.servers) > 0 {
		named = s.servers[0]
	}
	for end := time.Now().Add(patience); ; {
		all, err := config.ReadContexts(path)
		if err != nil {
			return nil, invalid("%v", err)
		}
		found := all.For(named)
		if found != nil || s.hasty || !starting(named) || time.Now().After(end) {
			return found, nil
		}
		if err := clock.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// starting says whether a server at the address could leave a context for this user: one on this machine.
func starting(address string) bool {
	u, err := url.Parse(address)
	return address == "" || err == nil && server.Loopback(u.Hostname())
}

// dialWithin is how long a machine may take to take a connection before the next server is tried.
const dialWithin = 5 * time.Second

func carrier(ca string) (*http.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: dialWithin,
		DialContext: (&net.Dialer{Timeout: dialWithin}).DialContext}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, invalid("--ca %.300q cannot be read: %v", ca, config.Reason(err))
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, invalid("--ca %.300q holds no certificate in PEM form", ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport}, nil
}

// patiently calls try again while no server is reached, for as long as a starting one may take.
func (s *shell) patiently(ctx context.Context, try func() error) error {
	told := false
	for begun := time.Now(); ; {
		err := try()
		if err == nil || !unreached(err) || ctx.Err() != nil || s.impatient || time.Since(begun) > patience {
			return err
		}
		if !told && time.Since(begun) > time.Second {
			told = true
			s.say("waiting for a server: %s", asFailure(err).text)
		}
		if err := clock.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// unreached says that no server was there, or that its answer was lost on the way.
func unreached(err error) bool {
	f := asFailure(err)
	var problem *client.Problem
	return f.kind == client.Unavailable && errors.As(err, &problem) && problem.Status == 0 && problem.Unwrap() != nil
}

func or(a, b []string) []string {
	if len(a) > 0 {
		return a
	}
	return b
}
