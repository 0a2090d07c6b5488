package access

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

func TestCallerHasOnlyThePermissionsOfItsCredential(t *testing.T) {
	reader, admin := Caller{Scope: domain.ReadScope}, Caller{Scope: domain.AdminScope}
	join, agent := Caller{Join: "0123456789ab"}, Caller{Machine: "web-01"}
	require.NoError(t, reader.RequireScope(domain.ReadScope))
	require.NoError(t, admin.RequireScope(domain.DeployScope))
	require.NoError(t, admin.RequireAgent("web-01"))
	require.NoError(t, agent.RequireAgent("web-01"))
	for name, err := range map[string]error{
		"weaker scope":                      reader.RequireScope(domain.DeployScope),
		"join token":                        join.RequireScope(domain.ReadScope),
		"agent":                             agent.RequireScope(domain.ReadScope),
		"agent of another machine":          agent.RequireAgent("web-02"),
		"token with scope read as an agent": reader.RequireAgent("web-01"),
		"no credential":                     Caller{}.RequireScope(domain.ReadScope),
	} {
		require.Error(t, err, name)
		require.Equal(t, client.Forbidden, problem.Of(err).Kind, name)
	}
}

func TestNewTokenFillsInDefaultsAndRejectsInvalidSettings(t *testing.T) {
	now := time.Date(2026, 1, 1, 9, 0, 0, 500, time.UTC)
	s, err := TokenRequest{Join: true}.Settings(now)
	require.NoError(t, err)
	require.Equal(t, 1, s.Uses)
	require.Equal(t, now.Truncate(time.Second).Add(time.Hour), *s.Until)
	s, err = TokenRequest{Scope: domain.ReadScope}.Settings(now)
	require.NoError(t, err)
	require.Nil(t, s.Until)
	uses := 3
	for _, wrong := range []TokenRequest{
		{Scope: domain.ReadScope, Uses: &uses}, {Join: true, Scope: domain.ReadScope}, {Scope: domain.ReadScope, Until: &now},
	} {
		_, err := wrong.Settings(now)
		require.Equal(t, client.Invalid, problem.Of(err).Kind)
	}
}
