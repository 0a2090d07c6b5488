package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
)

// endpoint is where a server listens, and how others reach it.
type endpoint struct {
	listener net.Listener
	tls      *tls.Config // nil: plain
	// address is the URL for clients on this machine.
	address string
	// ca is the file that vouches for the server; empty without TLS.
	ca string
}

// listen takes the address, so that no other server can have it.
func listen(c Config) (*endpoint, error) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %.200q is none: write HOST:PORT, such as %s", c.Listen, DefaultListen)
	}
	e := &endpoint{}
	if e.tls, err = c.certificate(); err != nil {
		return nil, err
	}
	if e.tls == nil && !c.Insecure && !Loopback(host) {
		return nil, fmt.Errorf("listen address %s can be reached from other machines, and without TLS all can be read on the way: "+
			"name --tls-cert and --tls-key, or say --insecure", c.Listen)
	}
	if e.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, taken(err))
	}
	e.address = e.url(host)
	if e.tls != nil {
		e.ca, _ = filepath.Abs(c.TLSCert)
	}
	return e, nil
}

// taken says what to do about an address that cannot be had.
func taken(err error) error {
	var system *net.OpError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New("the address is in use, perhaps by another drover server; stop that, or listen elsewhere with --listen")
	case errors.Is(err, syscall.EACCES):
		return errors.New("this user may not listen on that port; use one above 1023")
	case errors.As(err, &system):
		return system.Err
	}
	return err
}

func (c Config) certificate() (*tls.Config, error) {
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
		return nil, nil
	case c.TLSCert == "" || c.TLSKey == "":
		return nil, errors.New("TLS takes both a certificate and its key: name --tls-cert and --tls-key")
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s and key %s: %w", c.TLSCert, c.TLSKey, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// Loopback says whether a host can be reached from this machine alone.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// url is the endpoint as a URL for this machine: a server that listens everywhere is reached on
// loopback, and one with a certificate by a name that this is good for.
func (e *endpoint) url(host string) string {
	_, port, _ := net.SplitHostPort(e.listener.Addr().String())
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if e.tls == nil {
		return "http://" + net.JoinHostPort(host, port)
	}
	return "https://" + net.JoinHostPort(e.certified(host), port)
}

// certified is host if the certificate is good for it, else the first name it is good for.
func (e *endpoint) certified(host string) string {
	leaf, err := x509.ParseCertificate(e.tls.Certificates[0].Certificate[0])
	switch {
	case err != nil || leaf.VerifyHostname(host) == nil:
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
