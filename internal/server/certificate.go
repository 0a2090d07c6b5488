package server

import (
	"crypto/tls"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/internal/transport"
)

// certificateEvery is how often the files of certificates are checked.
const certificateEvery = time.Second

// loadCertificates reads the files of the certificate and of the authorities for clients. Without TLS both are nil.
func (c Config) loadCertificates() (*transport.Pair, *transport.Authorities, error) {
	switch {
	case c.TLSCert == "" && c.TLSKey == "" && c.TLSClientCA != "":
		return nil, nil, errors.New("--tls-client-ca requires TLS: set --tls-cert and --tls-key, or let the proxy that " +
			"terminates TLS verify the certificates of agents")
	case c.TLSCert == "" && c.TLSKey == "":
		return nil, nil, nil
	case c.TLSCert == "" || c.TLSKey == "":
		return nil, nil, errors.New("TLS requires both a certificate and a key: set --tls-cert and --tls-key")
	}
	pair, err := transport.LoadPair(c.TLSCert, c.TLSKey)
	if err != nil || c.TLSClientCA == "" {
		return pair, nil, err
	}
	clients, err := transport.LoadAuthorities(c.TLSClientCA)
	return pair, clients, err
}

// serverTLS returns a TLS configuration that uses the current certificate for each new connection. If clients is not
// nil, it verifies the certificates that clients present. Clients may present none; the API decides who needs one.
func serverTLS(pair *transport.Pair, clients *transport.Authorities) *tls.Config {
	c := transport.Config()
	// explicitly, because the HTTP server also serves the Unix socket: if it begins there, it sets up HTTP/2 only for
	// this list, but would offer it to clients anyway
	c.NextProtos = []string{"h2", "http/1.1"}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.Current(), nil }
	if clients != nil {
		c.ClientAuth, c.VerifyConnection = tls.RequestClientCert, clients.VerifyClient
	}
	return c
}

// reloadCertificates checks the files of the certificates once and logs the result.
func (r *run) reloadCertificates() {
	changed, err := r.endpoint.certificate.Reload()
	r.logReload(changed, err, r.config.TLSCert)
	if changed {
		r.checkCertificate()
	}
	if r.endpoint.clients != nil {
		changed, err := r.endpoint.clients.Reload()
		r.logReload(changed, err, r.config.TLSClientCA)
	}
}

func (r *run) logReload(changed bool, err error, file string) {
	switch {
	case err != nil && r.recent.first(err.Error()):
		r.logger.Error("could not reload the certificate; connections use the previous one", zap.Error(err))
	case changed:
		r.logger.Info("certificate reloaded", zap.String("file", file),
			zap.Time("until", r.endpoint.certificate.Current().Leaf.NotAfter))
	}
}

// checkCertificate logs that the certificate is expired or not yet valid. The server uses it nevertheless: its clock may
// be wrong, and clients check the certificate themselves.
func (r *run) checkCertificate() {
	if r.endpoint.certificate == nil {
		return
	}
	if err := r.endpoint.certificate.CheckValidity(r.clock.Now()); err != nil {
		r.logger.Error("clients will refuse the certificate of this server", zap.Error(err))
	}
}
