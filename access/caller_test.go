package access

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

func TestCallerWithoutACredentialMayDoNothing(t *testing.T) {
	for _, verb := range domain.Verbs() {
		err := Caller{}.Require(verb.Anywhere())
		require.Error(t, err, verb)
		require.Equal(t, client.Forbidden, problem.Of(err).Kind, verb)
		require.Contains(t, err.Error(), "the caller may not", verb)
	}
}

func TestAgentIsAdmittedOnlyForItsMachine(t *testing.T) {
	agent := Caller{Principal: domain.AgentPrincipal("web-01"), Machine: "web-01"}
	require.NoError(t, agent.RequireAgent("web-01"))
	for name, err := range map[string]error{
		"another machine": agent.RequireAgent("web-02"), "no agent": Caller{}.RequireAgent("web-01"),
		"a read": agent.Require(domain.ReadVerb.Anywhere()),
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
