package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/internal/transport"
)

// Transport describes how requests reach a server. The zero value is a server that listens beyond loopback, without
// proxies and client certificates.
type Transport struct {
	// Loopback reports whether only this machine can connect over TCP. Then requests must name a host of this machine, or
	// one that AcceptsHost accepts.
	Loopback bool
	// AcceptsHost reports whether a host is a configured name of this server. It gets the name in lower case without a
	// port. It may be nil.
	AcceptsHost func(host string) bool
	// Proxies are the networks of proxies whose header X-Forwarded-Proto is trusted.
	Proxies []netip.Prefix
	// ClientCertificates reports whether agents that connect over TCP must present a certificate. The listener verifies
	// it.
	ClientCertificates bool
	// Certificate returns the fingerprint of the certificate of the server; empty without TLS. It may be nil.
	Certificate func() string
	// Socket is the path of the Unix socket of the server; empty: it has none.
	Socket string
}

// onSocket reports whether the request of a context came over the Unix socket of the server.
func onSocket(ctx context.Context) bool {
	local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// transportOf describes to a client how its request came. The client thereby detects a proxy that terminates TLS.
func (a *API) transportOf(ctx context.Context, secured bool) doctor.Transport {
	t := doctor.Transport{Protocol: "plain"}
	switch {
	case onSocket(ctx):
		t.Protocol = "socket"
	case secured:
		t.Protocol = "tls"
	}
	if a.cfg.Transport.Certificate != nil {
		t.Certificate = a.cfg.Transport.Certificate()
	}
	return t
}

// forwardedHeaders are set by proxies.
var forwardedHeaders = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via"}

// isLocal reports whether a request comes from a program on this machine: over the Unix socket, or from a loopback
// address. A request that a proxy has forwarded is not local. Neither is a request for a host of another name: a browser
// on this machine sends it for a page of that host.
func (a *API) isLocal(r *http.Request) bool {
	for _, header := range forwardedHeaders {
		if len(r.Header.Values(header)) > 0 { // a proxy appends to what a client has sent, which can be empty
			return false
		}
	}
	if onSocket(r.Context()) {
		return true
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && at.Addr().Unmap().IsLoopback() && a.acceptsHost(r.Host)
}

// acceptsHost reports whether the Host header of a request names this server.
func (a *API) acceptsHost(header string) bool {
	host := transport.HostName(header)
	accepts := a.cfg.Transport.AcceptsHost
	return transport.IsLoopback(host) || accepts != nil && accepts(host)
}

// checkHost refuses a request for a host that is not a name of this server, if it was sent to loopback or has a cookie.
// Otherwise a web page could reach the server through the browser of a user, after the name of the page's host has
// changed to an address of the server (DNS rebinding). Probes are answered for every host; they reveal only the status.
func (a *API) checkHost(r *http.Request) error {
	probe := r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics"
	required := a.cfg.Transport.Loopback && !onSocket(r.Context()) && !probe || r.Header.Get("Cookie") != ""
	if !required || a.acceptsHost(r.Host) {
		return nil
	}
	return problem.Forbidden("this server does not accept requests for host %.100q", r.Host).
		WithHint("use localhost or an address of this server, or start it with --host %.100s", transport.HostName(r.Host)).
		WithStatus(http.StatusMisdirectedRequest)
}

// isProtected reports whether nobody else can read a request: it came over the Unix socket, over TLS, or through a
// trusted proxy that terminated TLS.
func (a *API) isProtected(r *http.Request) bool {
	if r.TLS != nil || onSocket(r.Context()) {
		return true
	}
	protocols := r.Header.Values("X-Forwarded-Proto")
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || len(protocols) != 1 || !strings.EqualFold(protocols[0], "https") {
		return false
	}
	from := at.Addr().Unmap().WithZone("")
	for _, network := range a.cfg.Transport.Proxies {
		if network.Contains(from) {
			return true
		}
	}
	return false
}

// checkSecretTransport refuses the secret of an agent or a join token over TCP without TLS: while the server is down, any
// program can listen on its port and receive them.
func (a *API) checkSecretTransport(r *http.Request) error {
	if a.isProtected(r) {
		return nil
	}
	hint := "use https"
	if socket := a.cfg.Transport.Socket; socket != "" {
		hint = "on the server's machine use `curl --unix-socket " + socket + "`, elsewhere https; behind a proxy that terminates " +
			"TLS, start the server with --trusted-proxy"
	}
	return problem.Forbidden("secrets of agents and join tokens are refused over TCP without TLS").WithHint("%s", hint)
}

// checkClientCertificate refuses an agent without a client certificate, if the server requires them. The listener has
// verified the certificate. The Unix socket needs none.
func (a *API) checkClientCertificate(r *http.Request) error {
	if !a.cfg.Transport.ClientCertificates || onSocket(r.Context()) || r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return nil
	}
	return problem.Forbidden("agents must present a client certificate to this server").
		WithHint("start the agent with --tls-cert and --tls-key, or use curl with --cert and --key")
}

// authenticate returns the caller of a request. It is the only place that decides over which transports the credentials
// of agents are accepted.
func (a *API) authenticate(r *http.Request) (access.Caller, error) {
	credential := bearer(r)
	if strings.HasPrefix(credential, client.AgentPrefix) { // before the secret is looked up
		if err := a.checkSecretTransport(r); err != nil {
			return access.Caller{}, err
		}
	}
	c, err := a.cfg.Access.Authenticate(r.Context(), credential, r.RemoteAddr)
	if err != nil || c.Join == "" && c.Machine == "" {
		return c, err
	}
	if err := a.checkSecretTransport(r); err != nil {
		return access.Caller{}, err
	}
	if err := a.checkClientCertificate(r); err != nil {
		return access.Caller{}, err
	}
	return c, nil
}
