package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
)

// Two logs can be of one origin, such as a log and the backup that somebody looks at. A token is good in both, and a client
// that has the servers of both in its context would deploy now here, now there.

// doubleWithin is how long a server at a known address may take to say whether it knows this one.
const doubleWithin = 2 * time.Second

// doubles asks the servers that are listed for a log of this origin whether they know this server, and returns those
// that do not. first says that this server may come before the listed ones: its port was chosen for it, and nobody
// listens at the first of theirs.
func (r *run) doubles(ctx context.Context, path string) (double map[string]bool, first bool) {
	all, err := config.ReadContexts(path)
	c := all.Find(r.engine.Made().String())
	if err != nil || c == nil || len(c.Servers) == 0 {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, doubleWithin)
	defer cancel()
	var mu sync.Mutex
	var asked sync.WaitGroup
	double = map[string]bool{}
	for _, address := range c.Servers {
		if address == r.endpoint.address {
			continue
		}
		asked.Go(func() {
			if r.strangeTo(ctx, address, c) {
				mu.Lock()
				double[address] = true
				mu.Unlock()
			}
		})
	}
	asked.Wait()
	return double, strings.HasSuffix(r.config.Listen, ":0") && refuses(ctx, c.Servers[0])
}

// strangeTo says whether the server at address takes the token of this log and has not heard of this server, although it
// was given time to read on.
func (r *run) strangeTo(ctx context.Context, address string, c *config.Context) (strange bool) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities(c.CA), MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	asked := &client.Client{Servers: []string{address}, Token: c.Token, HTTP: &http.Client{Transport: transport}}
	for ctx.Err() == nil {
		var servers explain.List[explain.Server]
		_, err := asked.Get(ctx, client.Path("servers"), url.Values{"state": {"all"}}, &servers)
		switch {
		case ctx.Err() != nil:
			continue
		case err != nil, len(servers.Items) == 0, slices.ContainsFunc(servers.Items, func(s explain.Server) bool { return s.ID == r.engine.Server().String() }):
			return false
		}
		strange = true
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return strange
}

// authorities are those in a PEM file, nil for the system's.
func authorities(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if file == "" || err != nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// refuses says whether nobody listens at an address of this machine.
func refuses(ctx context.Context, address string) bool {
	u, err := url.Parse(address)
	if err != nil || !Loopback(u.Hostname()) {
		return false
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil && ctx.Err() == nil
}

// ahead is the first of the double's servers that a context lists before address; empty: there is none.
func ahead(c *config.Context, address string, double map[string]bool) string {
	if c == nil {
		return ""
	}
	for _, listed := range c.Servers {
		switch {
		case listed == address:
			return ""
		case double[listed]:
			return listed
		}
	}
	return ""
}

// quitContext takes the address of a server that stops in order out of its user's context, unless it is the first there.
func (r *run) quitContext() {
	path, err := config.ContextsPath()
	if err != nil {
		return
	}
	err = config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		return all.Leave(r.engine.Made().String(), r.endpoint.address), nil
	})
	if err != nil {
		r.logger.Warn("the client context still lists this server", zap.Error(err))
	}
}
