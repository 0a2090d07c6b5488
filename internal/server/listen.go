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
)

// endpoint is where a server listens, and how others reach it.
type endpoint struct {
	listener net.Listener
	tls      *tls.Config // nil: plain
	// certificate is what tls shows; nil without TLS.
	certificate *certificate
	// address is the URL for clients on this machine.
	address string
	// afar is the URL for everybody else: agents that another server sends here.
	afar string
	// ca is the file that vouches for the server; empty without TLS.
	ca string
}

// listen takes the address, so that no other server can have it.
func listen(c Config) (*endpoint, error) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("invalid listen address %.200q: write HOST:PORT, such as %s", c.Listen, DefaultListen)
	}
	e := &endpoint{}
	if e.certificate, err = c.certificate(); err != nil {
		return nil, err
	}
	if e.certificate != nil {
		e.tls = e.certificate.config()
	}
	if e.tls == nil && !c.Insecure && !Loopback(host) {
		return nil, fmt.Errorf("listen address %s can be reached from other machines, and without TLS all can be read on the way: "+
			"name --tls-cert and --tls-key, or say --insecure", c.Listen)
	}
	if e.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, taken(err))
	}
	e.address = e.url(here(host))
	if e.afar, err = c.afar(e, host); err != nil {
		e.close()
		return nil, err
	}
	if e.tls != nil {
		e.ca, _ = filepath.Abs(c.TLSCert)
	}
	return e, nil
}

// taken says what to do about an address that cannot be had.
func taken(err error) error {
	var system *net.OpError
	var address *net.AddrError
	switch {
	case errors.As(err, &address):
		return fmt.Errorf("%s (%s); write HOST:PORT with a port from 0 to 65535", address.Err, address.Addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New("the address is in use, perhaps by another drover server; stop that, or listen elsewhere with --listen")
	case errors.Is(err, syscall.EACCES):
		return errors.New("this user may not listen on that port; use one above 1023")
	case errors.As(err, &system):
		return system.Err
	}
	return err
}

func (c Config) certificate() (*certificate, error) {
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
		return nil, nil
	case c.TLSCert == "" || c.TLSKey == "":
		return nil, errors.New("TLS takes both a certificate and its key: name --tls-cert and --tls-key")
	}
	return loadCertificate(c.TLSCert, c.TLSKey)
}

// Loopback says whether a host can be reached from this machine alone.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// url is the endpoint as a URL under a host's name; one with a certificate goes by a name that this is good for.
func (e *endpoint) url(host string) string {
	_, port, _ := net.SplitHostPort(e.listener.Addr().String())
	if e.tls == nil {
		return "http://" + net.JoinHostPort(host, port)
	}
	return "https://" + net.JoinHostPort(e.certified(host), port)
}

// everywhere says that a server which listens on host listens on every address of its machine.
func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// here is how a program on this machine names the host that a server listens on.
func here(host string) string {
	if everywhere(host) {
		return "127.0.0.1"
	}
	return host
}

// afar is the URL that was configured; else that of the host, by the machine's own name if it listens everywhere.
func (c Config) afar(e *endpoint, host string) (string, error) {
	if c.Address == "" {
		name, err := os.Hostname()
		if !everywhere(host) || err != nil {
			name = here(host)
		}
		return e.url(name), nil
	}
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return "", fmt.Errorf("invalid address %.200q: write it as https://HOST:PORT", c.Address)
	}
	return strings.TrimSuffix(c.Address, "/"), nil
}

// certified is host if the certificate is good for it, else the first name it is good for.
func (e *endpoint) certified(host string) string {
	leaf := e.certificate.now().Leaf
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

// close gives the address back.
func (e *endpoint) close() { _ = e.listener.Close() }
