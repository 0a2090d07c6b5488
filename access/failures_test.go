package access

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFailuresFromManyAddressesUseLimitedMemory(t *testing.T) {
	var f failures
	for i := range 3 * maxAddresses {
		f.record(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))
		require.LessOrEqual(t, len(f.by), maxAddresses)
	}
	for range failuresAtOnce {
		f.record("192.0.2.1:1")
	}
	require.True(t, f.exceeded("192.0.2.1:2"))
	require.True(t, f.exceeded("[::ffff:192.0.2.1]:2"), "the same address in IPv6 notation")
	require.False(t, f.exceeded("192.0.2.2:1"))
	require.False(t, f.exceeded("nonsense"))
}

func TestIPv6AddressesOfOneNetworkCountTogether(t *testing.T) {
	at := func(from string) string { return NetworkOf(from).String() }
	require.Equal(t, at("[2001:db8::1]:1"), at("[2001:db8::ffff:2]:9"))
	require.NotEqual(t, at("[2001:db8::1]:1"), at("[2001:db8:0:1::1]:1"))
	require.NotEqual(t, at("192.0.2.1:1"), at("192.0.2.2:1"))
}
