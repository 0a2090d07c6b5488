package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// certificateEvery is how often the files of the certificate are checked. The check compares contents, not times,
	// because a file can be replaced by a rename or by a changed symbolic link.
	certificateEvery = time.Second
	// maxCertificateBytes bounds how much is read of each file. A chain of certificates has a few thousand bytes.
	maxCertificateBytes = 1 << 20
)

// certificate is the TLS certificate of a server. It follows its files: new connections use the current pair, open
// connections stay. Invalid files change nothing. It is safe for concurrent use.
type certificate struct {
	certFile, keyFile string

	mu        sync.Mutex
	cert, key []byte // the contents of the files that pair was made from
	pair      *tls.Certificate
}

// loadCertificate reads the pair for the first time.
func loadCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.reload()
	return c, err
}

// reload reads the files and reports whether the certificate has changed. On an error, the previous one stays in use.
func (c *certificate) reload() (changed bool, err error) {
	cert, key, err := c.read()
	if err == nil {
		changed, err = c.set(cert, key)
	}
	if err != nil {
		return false, fmt.Errorf("read certificate %s and key %s: %w", c.certFile, c.keyFile, err)
	}
	return changed, nil
}

func (c *certificate) read() (cert, key []byte, err error) {
	if cert, err = readBounded(c.certFile); err != nil {
		return nil, nil, err
	}
	key, err = readBounded(c.keyFile)
	return cert, key, err
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxCertificateBytes))
}

func (c *certificate) set(cert, key []byte) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, err
	}
	c.cert, c.key, c.pair = cert, key, &pair
	return true, nil
}

// current returns the certificate in use.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair
}

// config returns a TLS configuration that uses the current certificate for each new connection.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil }}
}

// reloadCertificate checks the files of the certificate once and logs the result.
func (r *run) reloadCertificate() {
	changed, err := r.endpoint.certificate.reload()
	switch {
	case err != nil && r.recent.first(err.Error()):
		r.logger.Error("could not reload the certificate; connections use the previous one", zap.Error(err))
	case changed:
		r.logger.Info("certificate reloaded", zap.String("file", r.config.TLSCert),
			zap.Time("until", r.endpoint.certificate.current().Leaf.NotAfter))
	}
}
