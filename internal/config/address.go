package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// SameServer reports whether two addresses name the same server. They may differ in case, in a trailing slash, in the
// default port, in the form of an IP address, and in localhost instead of a loopback address.
func SameServer(a, b string) bool {
	first, second := canonical(a), canonical(b)
	return first == second || isLocalhost(first, second) || isLocalhost(second, first)
}

// isLocalhost reports whether name is an address with the host localhost, and other is the same one with a loopback
// address.
func isLocalhost(name, other string) bool {
	for _, loopback := range []string{"127.0.0.1", "[::1]"} {
		if strings.Replace(name, "://localhost:", "://"+loopback+":", 1) == other {
			return true
		}
	}
	return false
}

// canonical returns the canonical form of a server's address: in lower case, with the port and without a trailing slash.
// It returns the address of a Unix socket and an invalid address unchanged.
func canonical(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(host, port) + strings.TrimSuffix(u.EscapedPath(), "/")
}
