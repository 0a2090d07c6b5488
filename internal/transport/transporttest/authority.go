// Package transporttest issues certificates for tests. They are real: TLS libraries and programs verify them.
package transporttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority. Its files are removed at the end of the test.
type Authority struct {
	// File is the PEM file with the certificate of the authority.
	File string

	t      testing.TB
	folder string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	issued int64
}

// NewAuthority creates an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, folder: t.TempDir()}
	a.key = a.newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	a.check(err)
	a.cert, err = x509.ParseCertificate(raw)
	a.check(err)
	a.File = a.write("ca.pem", "CERTIFICATE", raw)
	return a
}

// Issue creates a certificate for a host name or an IP address, which is valid for servers and clients for an hour.
// Changes are applied before it is signed. It returns the PEM files of the certificate and of its key.
func (a *Authority) Issue(name string, changes ...func(*x509.Certificate)) (certFile, keyFile string) {
	a.t.Helper()
	a.issued++
	template := &x509.Certificate{SerialNumber: big.NewInt(1 + a.issued), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	for _, change := range changes {
		change(template)
	}
	key := a.newKey()
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	a.check(err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	a.check(err)
	serial := template.SerialNumber.String()
	return a.write("cert-"+serial+".pem", "CERTIFICATE", raw), a.write("key-"+serial+".pem", "PRIVATE KEY", encoded)
}

// Expired makes a certificate that expired a minute ago.
func Expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

func (a *Authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.check(err)
	return key
}

func (a *Authority) write(name, kind string, content []byte) string {
	path := filepath.Join(a.folder, name)
	a.check(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
	return path
}

func (a *Authority) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}
