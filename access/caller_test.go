package access

import (
	"math"
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
	const id = "0123456789ab"
	s, err := TokenRequest{Join: true}.Settings(id, now)
	require.NoError(t, err)
	require.Equal(t, 1, s.Uses)
	require.Equal(t, now.Truncate(time.Second).Add(time.Hour), *s.Until)
	s, err = TokenRequest{Scope: domain.ReadScope}.Settings(id, now)
	require.NoError(t, err)
	require.Nil(t, s.Until)
	require.Equal(t, "read-01234567", s.Name)
	month := domain.Duration(30 * 24 * time.Hour)
	s, err = TokenRequest{Scope: domain.ReadScope, Name: "ci", For: &month}.Settings(id, now)
	require.NoError(t, err)
	require.Equal(t, "ci", s.Name)
	require.Equal(t, time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC), *s.Until)
	uses, later := 3, now.AddDate(11, 0, 0)
	zero, negative, eternal := domain.Duration(0), domain.Duration(-1), domain.Duration(math.MaxInt64)
	for text, wrong := range map[string]TokenRequest{
		"only to join tokens":                {Scope: domain.ReadScope, Uses: &uses},
		"cannot have a scope":                {Join: true, Scope: domain.ReadScope},
		"the time has passed":                {Scope: domain.ReadScope, Until: &now},
		"until 2037-01-01, for more than 10": {Scope: domain.ReadScope, Until: &later},
		"invalid for 0s":                     {Scope: domain.ReadScope, For: &zero},
		"invalid for -1ns":                   {Join: true, For: &negative},
		"for more than 10 years":             {Scope: domain.ReadScope, For: &eternal},
		"exclude each other":                 {Scope: domain.ReadScope, For: &month, Until: &later},
	} {
		_, err := wrong.Settings(id, now)
		require.ErrorContains(t, err, text)
		require.Equal(t, client.Invalid, problem.Of(err).Kind)
	}
}
