package transport

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// IsLoopback reports whether a host can be reached only from this machine. The host has no port and no brackets.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// IsUnspecified reports whether a host means all addresses of the machine.
func IsUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().IsUnspecified()
}

// HostName returns the host of a Host header or an address: in lower case, without port, brackets and final dot.
func HostName(text string) string {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	return strings.ToLower(strings.TrimSuffix(text, "."))
}

// CheckHostName returns an error unless text is a host name or an IP address, without scheme, port and path.
func CheckHostName(text string) error {
	host := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Zone() != "":
		return zoneError(text)
	case err == nil:
		return nil
	case host == "" || len(host) > 253 || host != text || strings.ContainsAny(host, " :/?#@%*\\[]"):
		return fmt.Errorf("invalid host name %.200q: use a name such as drover.example.com, without scheme and port", text)
	}
	return nil
}

func zoneError(text string) error {
	return fmt.Errorf("%.200q has an IPv6 zone, which other machines cannot use: "+
		"use an address without %%, or a host name", text)
}

// SplitHostPort splits HOST:PORT. An IPv6 address is in brackets and has no zone. what and example are for the error.
func SplitHostPort(what, address, example string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	ip, notIP := netip.ParseAddr(host)
	switch {
	case err != nil && strings.Count(address, ":") > 1:
		return "", "", fmt.Errorf("invalid %s %.200q: write an IPv6 address in brackets, for example [::1]:7070", what,
			address)
	case err != nil:
		return "", "", fmt.Errorf("invalid %s %.200q: use HOST:PORT, for example %s", what, address, example)
	case notIP == nil && ip.Zone() != "":
		return "", "", zoneError(address)
	}
	return host, port, nil
}

// ParseNetworks parses IP addresses and networks such as 10.0.0.0/8 and fd00::/8. what is for the error.
func ParseNetworks(what string, texts []string) (networks []netip.Prefix, err error) {
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if address, notOne := netip.ParseAddr(strings.Trim(text, "[]")); notOne == nil && address.Zone() == "" {
			address = address.Unmap()
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("invalid %s %.100q: use an IP address or a network such as 10.0.0.0/8 or fd00::/8", what,
				text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}
