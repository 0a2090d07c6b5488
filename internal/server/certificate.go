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
	// certificateEvery is how often the files of the certificate are looked at. Their contents are compared, not their
	// times: a file may be replaced by a rename, or through a link that points elsewhere now.
	certificateEvery = time.Second
	// maxCertificateBytes bounds what is read of each file; a chain of certificates has some thousand bytes.
	maxCertificateBytes = 1 << 20
)

// certificate is what a server shows to those who connect. It follows its files: new connections get what stands
// there now, open ones stay. Files that hold no pair change nothing.
type certificate struct {
	certFile, keyFile string

	mu        sync.Mutex
	cert, key []byte // as they stand in the files that pair was made from
	pair      *tls.Certificate
}

// loadCertificate reads the pair for the first time.
func loadCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.look()
	return c, err
}

// look takes over what stands in the files, and says whether that is another certificate. On an error the one before stays.
func (c *certificate) look() (changed bool, err error) {
	cert, key, err := c.read()
	if err == nil {
		changed, err = c.take(cert, key)
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

func (c *certificate) take(cert, key []byte) (changed bool, err error) {
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

// now is the certificate of this moment.
func (c *certificate) now() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair
}

// config is TLS with whatever certificate there is when somebody connects.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now(), nil }}
}

// follow looks at the files of the certificate once, and says what became of that.
func (r *run) follow() {
	changed, err := r.endpoint.certificate.look()
	switch {
	case err != nil && r.said.again(err.Error()):
		r.logger.Error("the new certificate is not taken; connections get the one before", zap.Error(err))
	case changed:
		r.logger.Info("certificate is read anew", zap.String("file", r.config.TLSCert),
			zap.Time("until", r.endpoint.certificate.now().Leaf.NotAfter))
	}
}
