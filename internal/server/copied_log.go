package server

import (
	"context"
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
	"github.com/droverhq/drover/internal/transport"
)

// Two logs can have the same origin, for example a log and a backup that someone inspects. A token is valid in both,
// and a client with the servers of both in its context would send its commands to either log.

// copyCheckTimeout is how long the check whether other servers serve a copy of this log can take.
const copyCheckTimeout = 2 * time.Second

// serversOfCopies asks the servers that the context lists for this log whether they know this server. It returns the
// addresses of the servers that do not: they serve another log with the same origin. first reports whether this server
// can be listed first, because its port was chosen automatically and nothing listens at the address that is listed
// first.
func (r *run) serversOfCopies(ctx context.Context, path string) (copies map[string]bool, first bool) {
	all, err := config.ReadContexts(path)
	c := all.Find(r.engine.OriginalID().String())
	if err != nil || c == nil || len(c.Servers) == 0 {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, copyCheckTimeout)
	defer cancel()
	var mu sync.Mutex
	var checks sync.WaitGroup
	copies = map[string]bool{}
	for _, address := range c.Servers {
		if address == r.endpoint.address {
			continue
		}
		checks.Go(func() {
			if r.servesCopy(ctx, address, c) {
				mu.Lock()
				copies[address] = true
				mu.Unlock()
			}
		})
	}
	checks.Wait()
	return copies, strings.HasSuffix(r.config.Listen, ":0") && refusesConnections(ctx, c.Servers[0])
}

// servesCopy reports whether the server at address accepts the token of this log but does not know this server. It
// repeats the request until ctx ends, so that the other server has time to read the newest events.
func (r *run) servesCopy(ctx context.Context, address string, c *config.Context) (unknown bool) {
	secure := transport.Config()
	secure.RootCAs = authorities(c.CA)
	connections := &http.Transport{TLSClientConfig: secure}
	defer connections.CloseIdleConnections()
	other := &client.Client{Servers: []string{address}, Token: c.Token, HTTP: &http.Client{Transport: connections},
		Key: r.engine.ServerKey().Public()}
	for ctx.Err() == nil {
		var servers explain.List[explain.Server]
		_, err := other.Get(ctx, client.Path("servers"), url.Values{"state": {"all"}}, &servers)
		switch {
		case ctx.Err() != nil:
			continue
		case err != nil, len(servers.Items) == 0, slices.ContainsFunc(servers.Items, r.isSelf):
			return false
		}
		unknown = true
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return unknown
}

func (r *run) isSelf(s explain.Server) bool { return s.ID == r.engine.Server().String() }

// authorities returns the certificates of a PEM file, or nil for those of the system.
func authorities(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if file == "" || err != nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// refusesConnections reports whether nothing listens at an address of this machine.
func refusesConnections(ctx context.Context, address string) bool {
	u, err := url.Parse(address)
	if err != nil || !transport.IsLoopback(u.Hostname()) {
		return false
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil && ctx.Err() == nil
}

// listedBefore returns the first of the servers in copies that a context lists before address, or nothing.
func listedBefore(c *config.Context, address string, copies map[string]bool) string {
	if c == nil {
		return ""
	}
	for _, listed := range c.Servers {
		switch {
		case listed == address:
			return ""
		case copies[listed]:
			return listed
		}
	}
	return ""
}

// leaveContext removes the address of a stopping server from its user's context, unless it is listed first.
func (r *run) leaveContext() {
	path, err := config.ContextsPath()
	if err != nil {
		return
	}
	err = config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		return all.RemoveServer(r.engine.OriginalID().String(), r.endpoint.address), nil
	})
	if err != nil {
		r.logger.Warn("could not remove this server from the client context", zap.Error(err))
	}
}
