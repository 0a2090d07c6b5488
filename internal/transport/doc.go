// Package transport holds what servers, agents and clients must agree on about connections.
//
//	tls.go   the versions and cipher suites of every TLS connection
//	files.go certificate files that are read again when they change
//	host.go  host names in addresses: which are on this machine, and which are malformed
//
// It knows no protocol. It relies on crypto/tls for everything that must be secret.
package transport
