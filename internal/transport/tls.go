package transport

import "crypto/tls"

// suites lists the cipher suites for TLS 1.2. Each has forward secrecy (ECDHE) and authenticated encryption (AEAD). TLS
// 1.3, which is preferred, has only such suites and needs no list.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Config returns a new TLS configuration with the versions and cipher suites that drover accepts.
func Config() *tls.Config { return Harden(&tls.Config{}) }

// Harden limits c to the versions and cipher suites that drover accepts, and returns it.
func Harden(c *tls.Config) *tls.Config {
	c.MinVersion, c.CipherSuites = max(c.MinVersion, tls.VersionTLS12), suites
	return c
}
