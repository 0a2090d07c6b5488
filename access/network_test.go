package access

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A program on this machine can use every loopback address, so they share the limits.
func TestLoopbackAddressesAreOneNetwork(t *testing.T) {
	own := NetworkOf("127.0.0.1:4000")
	for _, remote := range []string{"127.0.0.2:4000", "127.255.1.2:1", "[::1]:4000", "[::ffff:127.0.0.9]:1"} {
		require.Equal(t, own, NetworkOf(remote), remote)
	}
	require.NotEqual(t, own, NetworkOf("192.0.2.1:4000"))
	require.NotEqual(t, NetworkOf("192.0.2.2:4000"), NetworkOf("192.0.2.1:4000"))
}
