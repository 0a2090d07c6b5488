package eventstoredb_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog/eventstoredb"
)

func TestNodesBeyondLoopbackNeedVerifiedTLS(t *testing.T) {
	for address, want := range map[string]string{
		"esdb://node.invalid:2113?tls=false":                       "traffic to EventStoreDB on node.invalid is not encrypted",
		"esdb+discover://cluster.invalid:2113?tls=false":           "traffic to EventStoreDB on cluster.invalid is not encrypted",
		"esdb://127.0.0.1:1,node.invalid:2113?tls=false":           "traffic to EventStoreDB on node.invalid is not encrypted",
		"esdb://node.invalid:2113?tlsVerifyCert=false":             "the certificate of EventStoreDB on node.invalid is not verified",
		"esdb://127.0.0.1:1,node.invalid:2113?tlsVerifyCert=false": "the certificate of EventStoreDB on node.invalid is not verified",
		"esdb://node.invalid:2113":                                 "",
		"esdb://127.0.0.1:1?tls=false":                             "",
		"esdb://localhost:1?tls=false":                             "",
	} {
		refused := func(c eventstoredb.Config) bool {
			c.RetryTimeout, c.Timeout = 100*time.Millisecond, 100*time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := eventstoredb.Open(ctx, address, c)
			require.Error(t, err, address)
			if strings.Contains(err.Error(), "--insecure") {
				require.NotEmpty(t, want, "%s: %v", address, err)
				require.ErrorContains(t, err, want)
				return true
			}
			return false
		}
		require.Equal(t, want != "", refused(eventstoredb.Config{}), address)
		require.False(t, refused(eventstoredb.Config{Insecure: true}), address)
	}
}

func TestIPv6AddressOfANodeIsExplained(t *testing.T) {
	_, err := eventstoredb.Open(t.Context(), "esdb://admin:s3cret@[::1]:2113?tls=false", eventstoredb.Config{})
	require.ErrorContains(t, err, "has an IPv6 address, which the client library does not support: use a host name")
	require.NotContains(t, err.Error(), "s3cret")
}
