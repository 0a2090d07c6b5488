package transport

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxFileBytes bounds how much is read of a file with certificates. A bundle of all public authorities has 250 KB.
const maxFileBytes = 1 << 20

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes { // a part of a list of authorities would be valid, too
		err = fmt.Errorf("%s has more than %d bytes", path, maxFileBytes)
	}
	return content, err
}

// Pair is a certificate with its key. It follows its files: Reload replaces it if they have changed. Invalid files
// change nothing. It is safe for concurrent use.
type Pair struct {
	certFile, keyFile string

	mu        sync.Mutex // guards the fields below
	cert, key []byte     // the contents of the files that pair was made from
	pair      *tls.Certificate
}

// LoadPair reads a certificate and its key for the first time.
func LoadPair(certFile, keyFile string) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile}
	_, err := p.Reload()
	return p, err
}

// Reload reads the files and reports whether the certificate has changed. On an error, the previous one stays in use.
// It compares contents, not times, because a file can be replaced by a rename or by a changed symbolic link.
func (p *Pair) Reload() (changed bool, err error) {
	cert, err := readFile(p.certFile)
	var key []byte
	if err == nil {
		key, err = readFile(p.keyFile)
	}
	if err == nil {
		changed, err = p.set(cert, key)
	}
	if err != nil {
		return false, fmt.Errorf("read certificate %s and key %s: %w", p.certFile, p.keyFile, err)
	}
	return changed, nil
}

func (p *Pair) set(cert, key []byte) (changed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pair != nil && bytes.Equal(cert, p.cert) && bytes.Equal(key, p.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, err
	}
	p.cert, p.key, p.pair = cert, key, &pair
	return true, nil
}

// Current returns the certificate in use.
func (p *Pair) Current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pair
}

// CheckValidity returns an error that names the file if the certificate is expired or not yet valid.
func (p *Pair) CheckValidity(now time.Time) error {
	leaf := p.Current().Leaf
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate in %s expired on %s: renew it", p.certFile, leaf.NotAfter.UTC().Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate in %s becomes valid on %s: correct the clock of this machine, or renew it", p.certFile,
			leaf.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}

// Fingerprint returns the SHA-256 sum of a certificate in hex.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Authorities are the certificates of a PEM file that sign other certificates. They follow their file like a Pair. It
// is safe for concurrent use.
type Authorities struct {
	file string

	mu   sync.Mutex // guards the fields below
	text []byte     // the contents of the file that pool was made from
	pool *x509.CertPool
}

// LoadAuthorities reads a PEM file for the first time.
func LoadAuthorities(file string) (*Authorities, error) {
	a := &Authorities{file: file}
	_, err := a.Reload()
	return a, err
}

// Reload reads the file and reports whether it has changed. On an error, the previous authorities stay in use.
func (a *Authorities) Reload() (changed bool, err error) {
	text, err := readFile(a.file)
	if err != nil {
		return false, fmt.Errorf("read the CA file: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pool != nil && bytes.Equal(text, a.text) {
		return false, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return false, fmt.Errorf("%s contains no certificate in PEM format", a.file)
	}
	a.text, a.pool = text, pool
	return true, nil
}

// Pool returns the authorities in use.
func (a *Authorities) Pool() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pool
}

// VerifyClient verifies the certificate that a client presented on a connection, if it presented one. It is called for
// resumed connections too, so a removed authority has an effect at once.
func (a *Authorities) VerifyClient(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	others := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		others.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: a.Pool(), Intermediates: others,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("the certificate of the client was not accepted by --tls-client-ca: %w", err)
	}
	return nil
}
