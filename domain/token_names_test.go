package domain

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func named(id, name string, until *time.Time, now time.Time) CreateToken {
	return CreateToken{ID: id, Settings: TokenSettings{Scope: ReadScope, Name: name, Until: until}, Now: now}
}

func TestNameOfTokenIsUniqueAmongValidTokens(t *testing.T) {
	w := shopWorld(t)
	until := sampleTime.Add(time.Hour)
	w.do(named("a", "ci", &until, sampleTime))
	w.rejects(named("b", "ci", nil, sampleTime), Conflict, "token a already has the name ci", "`drover token revoke a`")
	w.do(named("b", "ci", nil, until)) // the first one has expired
	w.rejects(named("c", "ci", nil, until), Conflict, "token b already has the name ci")
	w.do(RevokeToken{ID: "b"})
	w.do(named("c", "ci", nil, until))
	w.do(named("d", "", nil, until), named("e", "", nil, until)) // tokens of earlier versions have no name
}

func TestNameOfTokenIsShortPlainText(t *testing.T) {
	w := shopWorld(t)
	for _, name := range []string{"a b", "a/b", "a\nb", "\x1b[31m", "\xff\xfe", "größe", "-a", strings.Repeat("a", 64),
		strings.Repeat("a", 1<<20), "0123456789ab"} {
		_, r := named("a", name, nil, sampleTime).Decide(w)
		require.NotNil(t, r, "%.80q", name)
		require.Equal(t, Invalid, r.Kind)
		require.Less(t, len(r.Error()), 500, "a rejection does not repeat a long name")
	}
}

func TestTokenIsRevokedByNameOrID(t *testing.T) {
	w := shopWorld(t)
	w.do(named("a", "ci", nil, sampleTime), named("b", "b-token", nil, sampleTime))
	w.do(RevokeToken{ID: "ci"})
	require.True(t, w.Token("a").Revoked)
	require.False(t, w.Token("b").Revoked)
	require.Empty(t, w.do(RevokeToken{ID: "ci"}), "already revoked")
	w.do(named("c", "ci", nil, sampleTime))
	w.do(RevokeToken{ID: "ci"})
	require.True(t, w.Token("c").Revoked, "the name means the token that is not revoked")
	w.rejects(RevokeToken{ID: ""}, NotFound, "does not exist")
	w.rejects(RevokeToken{ID: "ci2"}, NotFound, `token "ci2" does not exist`)
}

// TestNameThatTwoServersUsedAtOnceIsAmbiguous records both tokens directly: each server decided before it read the
// token of the other one.
func TestNameThatTwoServersUsedAtOnceIsAmbiguous(t *testing.T) {
	w := shopWorld(t)
	for _, id := range []string{"a", "b"} {
		w.record(TokenStream(id), TokenCreated{Settings: TokenSettings{Scope: ReadScope, Name: "ci"}})
	}
	w.rejects(RevokeToken{ID: "ci"}, Conflict, "tokens a and b both have the name ci", "use the id")
	w.do(RevokeToken{ID: "a"}, RevokeToken{ID: "ci"})
	require.True(t, w.Token("b").Revoked)
}
