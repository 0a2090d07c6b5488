package transport_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/transport"
)

func TestLoopbackAcceptsOnlyHostsOfThisMachine(t *testing.T) {
	for host, loopback := range map[string]bool{
		"127.0.0.1": true, "localhost": true, "LocalHost": true, "::1": true, "127.9.9.9": true, "::ffff:127.0.0.1": true,
		"0:0:0:0:0:0:0:1": true, "": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.com": false,
		"::ffff:10.0.0.1": false, "2001:db8::1": false, "fe80::1%lo": false,
	} {
		require.Equal(t, loopback, transport.IsLoopback(host), "%q", host)
	}
}

func TestUnspecifiedHostMeansAllAddresses(t *testing.T) {
	for host, all := range map[string]bool{"": true, "0.0.0.0": true, "::": true, "::ffff:0.0.0.0": true, "::1": false, "drover": false} {
		require.Equal(t, all, transport.IsUnspecified(host), "%q", host)
	}
}

func TestHostNameIsTakenFromHeadersOfEveryForm(t *testing.T) {
	for header, host := range map[string]string{
		"localhost:7070": "localhost", "LOCALHOST.": "localhost", "[::1]:7070": "::1", "[::1]": "::1", "127.0.0.1": "127.0.0.1",
		"": "", ":7070": "", "[2001:DB8::1]:1": "2001:db8::1", "a.b.:1": "a.b",
	} {
		require.Equal(t, host, transport.HostName(header), "%q", header)
	}
}

func TestHostNamesWithoutSchemeAndPortAreAccepted(t *testing.T) {
	for _, good := range []string{"drover.example.com", "drover", "192.0.2.1", "::1", "[2001:db8::1]"} {
		require.NoError(t, transport.CheckHostName(good), good)
	}
	for bad, text := range map[string]string{
		"": "invalid host name", "drover:7070": "invalid host name", "https://drover": "invalid host name", "a b": "invalid host name",
		"[::1]:7070": "invalid host name", "*.example.com": "invalid host name", "fe80::1%eth0": "IPv6 zone", "[drover]": "invalid host name",
	} {
		require.ErrorContains(t, transport.CheckHostName(bad), text, "%q", bad)
	}
}

func TestAddressesToListenOnAreExplained(t *testing.T) {
	for address, host := range map[string]string{"127.0.0.1:7070": "127.0.0.1", "[::1]:0": "::1", "[::]:7070": "::", ":7070": ""} {
		found, _, err := transport.SplitHostPort("listen address", address, "127.0.0.1:7070")
		require.NoError(t, err, address)
		require.Equal(t, host, found, address)
	}
	for address, text := range map[string]string{
		"::1:7070": "invalid listen address \"::1:7070\": write an IPv6 address in brackets, for example [::1]:7070",
		"::1":      "in brackets", "7070": "use HOST:PORT, for example 127.0.0.1:7070", "localhost": "use HOST:PORT",
		"[fe80::1%eth0]:7070": "has an IPv6 zone",
	} {
		_, _, err := transport.SplitHostPort("listen address", address, "127.0.0.1:7070")
		require.ErrorContains(t, err, text, address)
	}
}

func TestNetworksOfBothFamiliesAreParsed(t *testing.T) {
	networks, err := transport.ParseNetworks("--trusted-proxy",
		[]string{"10.1.2.3", "10.0.0.0/8", "::1", "fd00::7/8", "[2001:db8::1]", "::ffff:10.9.9.9"})
	require.NoError(t, err)
	var texts []string
	for _, network := range networks {
		texts = append(texts, network.String())
	}
	require.Equal(t, []string{"10.1.2.3/32", "10.0.0.0/8", "::1/128", "fd00::/8", "2001:db8::1/128", "10.9.9.9/32"}, texts)
	require.True(t, networks[1].Contains(netip.MustParseAddr("10.200.0.1")))
	for _, bad := range []string{"", "proxy", "10.0.0.0/33", "fe80::1%eth0", "10.0.0.1:80"} {
		_, err := transport.ParseNetworks("--trusted-proxy", []string{bad})
		require.ErrorContains(t, err, "invalid --trusted-proxy", bad)
	}
}
