package postgres

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/droverhq/drover/internal/transport"
)

// exposure returns why others can read or change the traffic to a server of the URL, or nothing if they cannot: each
// server is on this machine, or proves by a certificate who it is.
func exposure(c *pgx.ConnConfig) string {
	reason := exposureOf(c.Host, c.TLSConfig)
	for _, other := range c.Fallbacks {
		if reason == "" {
			reason = exposureOf(other.Host, other.TLSConfig)
		}
	}
	return reason
}

func exposureOf(host string, c *tls.Config) string {
	switch {
	case strings.HasPrefix(host, "/"), transport.IsLoopback(host): // a folder of Unix sockets, or this machine
		return ""
	case c == nil:
		return fmt.Sprintf("traffic to PostgreSQL on %s is not encrypted, or only if the server asks for it", host)
	case c.InsecureSkipVerify && c.VerifyPeerCertificate == nil:
		return fmt.Sprintf("the certificate of PostgreSQL on %s is not verified", host)
	case c.InsecureSkipVerify && c.RootCAs == nil:
		return fmt.Sprintf("the certificate of PostgreSQL on %s is verified only against the authorities of the system, for any host",
			host)
	}
	return ""
}

// checkExposure refuses a URL whose traffic is exposed, unless that is permitted. It returns the reason if it is
// permitted.
func checkExposure(c *pgx.ConnConfig, permitted bool) (reason string, err error) {
	reason = exposure(c)
	if reason == "" || permitted {
		return reason, nil
	}
	return "", fmt.Errorf("%s: add sslmode=verify-full&sslrootcert=FILE to the URL, or permit it with --insecure", reason)
}

// harden limits the connections to the TLS versions and cipher suites that drover accepts.
func harden(c *pgx.ConnConfig) {
	if c.TLSConfig != nil {
		transport.Harden(c.TLSConfig)
	}
	for _, other := range c.Fallbacks {
		if other.TLSConfig != nil {
			transport.Harden(other.TLSConfig)
		}
	}
}
