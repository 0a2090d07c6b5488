package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/transport"
)

// endpoint is the address that a server listens on, and the URLs under which clients reach it.
type endpoint struct {
	listener net.Listener
	tls      *tls.Config // nil without TLS
	// certificate is nil without TLS. clients verify the certificates of agents; nil: agents need none.
	certificate *transport.Pair
	clients     *transport.Authorities
	// hosts are the host names of this server that do not mean this machine.
	hosts map[string]bool
	// loopback reports whether only this machine can connect.
	loopback bool
	// address is the URL for clients on this machine.
	address string
	// advertised is the URL for clients on other machines, such as agents that another server redirects.
	advertised string
	// ca is the certificate file with which clients verify the server; empty without TLS.
	ca string
}

// listen binds the address, so that no other server can use it.
func listen(c Config) (*endpoint, error) {
	host, _, err := transport.SplitHostPort("listen address", c.Listen, DefaultListen)
	if err != nil {
		return nil, err
	}
	e := &endpoint{loopback: transport.IsLoopback(host)}
	if e.certificate, e.clients, err = c.loadCertificates(); err != nil {
		return nil, err
	}
	if e.certificate != nil {
		e.tls = serverTLS(e.certificate, e.clients)
	}
	if e.tls == nil && !c.Insecure && !e.loopback {
		return nil, fmt.Errorf("listen address %s can be reached from other machines, and traffic without TLS is not "+
			"encrypted: "+
			"set --tls-cert and --tls-key, or --insecure", c.Listen)
	}
	if e.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, listenError(err))
	}
	e.address = e.url(localHost(host))
	if e.advertised, err = c.advertised(e, host); err == nil {
		e.hosts, err = c.hostNames(e.advertised)
	}
	if err != nil {
		e.close()
		return nil, err
	}
	if e.tls != nil {
		e.ca, _ = filepath.Abs(c.TLSCert)
	}
	return e, nil
}

// listenError explains why an address could not be used, and what to do.
func listenError(err error) error {
	var system *net.OpError
	var address *net.AddrError
	switch {
	case errors.As(err, &address):
		return fmt.Errorf("%s (%s); use HOST:PORT with a port from 0 to 65535", address.Err, address.Addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New("the address is in use, perhaps by another drover server; stop it, or choose another address " +
			"with --listen")
	case errors.Is(err, syscall.EACCES):
		return errors.New("this user is not permitted to listen on that port; use a port above 1023")
	case errors.As(err, &system):
		return system.Err
	}
	return err
}

// hostNames returns the host names of --host and of the advertised URL.
func (c Config) hostNames(advertised string) (map[string]bool, error) {
	names := map[string]bool{}
	for _, name := range c.Hosts {
		if err := transport.CheckHostName(name); err != nil {
			return nil, fmt.Errorf("--host: %w", err)
		}
		names[transport.HostName(name)] = true
	}
	if u, err := url.Parse(advertised); err == nil {
		names[transport.HostName(u.Hostname())] = true
	}
	return names, nil
}

// acceptsHost reports whether a host is a name of this server: one of its configuration, or one for which its
// certificate is valid.
func (e *endpoint) acceptsHost(host string) bool {
	return e.hosts[host] || e.certificate != nil && e.certificate.Current().Leaf.VerifyHostname(host) == nil
}

// fingerprint returns the SHA-256 sum of the certificate in use; empty without TLS.
func (e *endpoint) fingerprint() string {
	if e.certificate == nil {
		return ""
	}
	return transport.Fingerprint(e.certificate.Current().Leaf)
}

// url returns the URL of the endpoint for a host. With TLS it uses a host for which the certificate is valid.
func (e *endpoint) url(host string) string {
	_, port, _ := net.SplitHostPort(e.listener.Addr().String())
	if e.tls == nil {
		return "http://" + net.JoinHostPort(host, port)
	}
	return "https://" + net.JoinHostPort(e.certifiedHost(host), port)
}

// localHost returns the host that programs on this machine use to reach a server that listens on host.
func localHost(host string) string {
	switch {
	case strings.Contains(host, ":") && transport.IsUnspecified(host):
		return "::1"
	case transport.IsUnspecified(host):
		return "127.0.0.1"
	}
	return host
}

// advertised returns the configured URL. Without one, it builds the URL from the host, or from the machine's name if
// the server listens on all addresses.
func (c Config) advertised(e *endpoint, host string) (string, error) {
	if c.Address == "" {
		name, err := os.Hostname()
		if !transport.IsUnspecified(host) || err != nil {
			name = localHost(host)
		}
		return e.url(name), nil
	}
	if err := client.CheckURL(c.Address); err != nil {
		return "", fmt.Errorf("--address: %w", err)
	}
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return "", fmt.Errorf("invalid address %.200q of this server: use https://HOST:PORT", c.Address)
	}
	return strings.TrimSuffix(c.Address, "/"), nil
}

// certifiedHost returns host if the certificate is valid for it, and otherwise the first host of the certificate.
func (e *endpoint) certifiedHost(host string) string {
	leaf := e.certificate.Current().Leaf
	switch {
	case leaf.VerifyHostname(host) == nil:
		return host
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return host
}

// close releases the address.
func (e *endpoint) close() { _ = e.listener.Close() }
