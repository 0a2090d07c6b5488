package postgres

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/droverhq/drover/internal/transport"
)

// exposure returns why others can read or change the traffic to a server of the URL, or nothing if they cannot: each
// server is on this machine, or proves by a certificate who it is.
func exposure(c *pgx.ConnConfig) string { return firstReason(c, exposureOf) }

// firstReason returns the reason of the first server of the URL that has one.
func firstReason(c *pgx.ConnConfig, of func(host string, c *tls.Config) string) string {
	reason := of(c.Host, c.TLSConfig)
	for _, other := range c.Fallbacks {
		reason = cmp.Or(reason, of(other.Host, other.TLSConfig))
	}
	return reason
}

func exposureOf(host string, c *tls.Config) string {
	if transport.IsLoopback(host) {
		return ""
	}
	return unverified(host, c)
}

// unverified returns why a connection to a host does not show that the other end is PostgreSQL, or nothing if it does.
func unverified(host string, c *tls.Config) string {
	switch {
	case strings.HasPrefix(host, "/"): // a folder of Unix sockets
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

// local returns why other users of this machine could read or change the traffic to a server of the URL, or nothing if
// they cannot: SCRAM does not protect a connection after the login, and they can take the port while the server is down.
func local(c *pgx.ConnConfig) string {
	reason := firstReason(c, unverified)
	if reason == "" {
		return ""
	}
	return reason + ": another user of this machine can take its port while it is down"
}

// scramOnly is the value of the parameter require_auth with which both sides prove that they know the password, and
// neither sends it.
const scramOnly = "scram-sha-256"

// requireProof makes a server prove that it knows the password, unless its certificate proves who it is or the URL
// chooses the authentication. Otherwise a program that listens on its port while it is down could ask for the password
// in plain text.
func requireProof(c *pgx.ConnConfig) {
	if local(c) != "" && c.RequireAuth == "" && c.Password != "" {
		c.RequireAuth = scramOnly
	}
}

// checkExposure refuses a URL whose traffic is exposed to other machines, unless that is permitted. It returns why the
// traffic is exposed, also to other users of this machine, so that operators can be warned.
func checkExposure(c *pgx.ConnConfig, permitted bool) (reason string, err error) {
	reason = exposure(c)
	if reason == "" {
		return local(c), nil
	}
	if permitted {
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
