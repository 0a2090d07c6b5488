package explain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNameOfAJoinTokenIsOnlyForReadersOfEverything(t *testing.T) {
	m := Machine{Environment: "production", PolicyFrom: "token", PolicyToken: "fleet"}
	require.True(t, Limit(nil, &m))
	require.Equal(t, "fleet", m.PolicyToken)
	require.True(t, Limit(func(_, environment string) bool { return environment == "production" }, &m))
	require.Empty(t, m.PolicyToken)
	require.Equal(t, "token", m.PolicyFrom)
}
