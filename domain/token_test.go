package domain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func token(w *testWorld, settings TokenSettings) {
	settings.Join, settings.AnyEnvironment = true, len(settings.Environments) == 0
	w.do(CreateToken{ID: "k", Settings: settings, Hash: "h"})
}

func use(n uint64, machine string) UseToken {
	return UseToken{
		ID:          "k",
		Instance:    number(n),
		Machine:     machine,
		Secret:      "s" + machine,
		Environment: "production",
		Roles:       []string{"web"},
		Now:         sampleTime,
	}
}

func TestConcurrentJoinsNeverExceedTheUseLimit(t *testing.T) {
	for _, uses := range []int{1, 3} {
		w := shopWorld(t)
		token(w, TokenSettings{Uses: uses})
		won := 0
		racers := map[string]UseToken{}
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			racers[name] = use(uint64(len(racers)+200), name)
		}
		for len(racers) > 0 { // all decide on the same state, one append succeeds, the others decide again
			expected := len(w.streams[TokenStream("k")])
			decided := map[string][]Event{}
			for name, racer := range racers {
				events, r := racer.Decide(w)
				if r != nil {
					require.Equal(t, Forbidden, r.Kind)
					require.Contains(t, r.Error(), "use limit")
					delete(racers, name)
					continue
				}
				decided[name] = events
			}
			for name, events := range decided {
				if _, ok := w.append(TokenStream("k"), expected, events); ok {
					won++
					delete(racers, name)
				}
			}
		}
		require.Equal(t, uses, won)
	}
}

func TestJoiningAgainWithTheSameNameDoesNotCountAsAUse(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{Uses: 1})
	require.Len(t, w.do(use(200, "web-03")), 1)
	require.Empty(t, w.do(use(200, "web-03")))
	w.rejects(use(201, "web-03"), Forbidden, "use limit of 1")
}

func TestInstanceUsesTheTokenOncePerMachineName(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{Uses: 2})
	w.do(use(200, "a"))
	again := use(200, "b")
	again.Secret = "sa"
	require.Len(t, w.do(again), 1)
	again.Machine = "c"
	w.rejects(again, Forbidden, "use limit of 2")
}

func TestJoiningWithAnotherSecretIsForbidden(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{})
	w.do(use(200, "web-03"))
	thief := use(200, "web-03")
	thief.Secret = "mine"
	w.rejects(thief, Forbidden, "different secret")
}

func TestJoinTokenEnforcesItsSettings(t *testing.T) {
	until := sampleTime
	for name, c := range map[string]struct {
		settings TokenSettings
		change   func(*UseToken)
		words    string
	}{
		"expired": {TokenSettings{Until: &until}, func(*UseToken) {},
			"expired at 2026-03-14T15:09:26Z"},
		"wrong environment": {TokenSettings{Environments: []string{"staging"}}, func(*UseToken) {},
			`does not allow environment "production"`},
		"wrong role": {TokenSettings{Roles: []string{"web"}}, func(u *UseToken) {
			u.Roles = []string{"web", "db"}
		}, `does not allow role "db"`},
		"invalid machine name": {TokenSettings{}, func(u *UseToken) { u.Machine = "a/b" }, `'/' at character 2`},
		"unknown token":        {TokenSettings{}, func(u *UseToken) { u.ID = "x" }, "unknown join token"},
		"a second before it expires": {TokenSettings{Until: &until}, func(u *UseToken) {
			u.Now = until.Add(-time.Second)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			token(w, c.settings)
			u := use(200, "web-03")
			c.change(&u)
			_, r := u.Decide(w)
			if c.words == "" {
				require.Nil(t, r)
				return
			}
			require.NotNil(t, r)
			require.Contains(t, r.Error(), c.words)
		})
	}
}

func TestJoinedInstanceJoinsAgainUntilTheTokenIsRevoked(t *testing.T) {
	w := shopWorld(t)
	until := sampleTime.Add(time.Hour)
	token(w, TokenSettings{Uses: 1, Until: &until, Environments: []string{"production"}})
	w.do(use(200, "web-03"), ApplyMachine{Name: "web-03", Environment: "production"})

	late := use(200, "web-03")
	late.Now = until.Add(time.Hour)
	require.Empty(t, w.do(late), "expiry does not affect joined instances")
	late.Environment = "staging"
	require.Empty(t, w.do(late), "flags apply only at the first join")

	w.do(DeleteMachine{Name: "web-03"})
	w.rejects(late, Forbidden, `does not allow environment "staging"`)
	w.do(RevokeToken{ID: "k"})
	require.Empty(t, w.do(RevokeToken{ID: "k"}), "already revoked")
	w.rejects(use(200, "web-03"), Forbidden, "revoked")
	w.rejects(RevokeToken{ID: "x"}, NotFound, `token "x"`)
}

// A person adds a machine in another environment under the name of one that has deleted itself.
func TestJoinedInstanceIsNotTheMachineThatAPersonAddedUnderItsName(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{Uses: 1, Environments: []string{"production"}, Roles: []string{"web"}})
	w.do(use(200, "web-03"), ApplyMachine{Name: "web-03", Environment: "staging"})
	w.rejects(use(200, "web-03"), Forbidden, `does not allow environment "staging"`)
	w.do(ApplyMachine{Name: "web-03", Environment: "production", Roles: []string{"db"}})
	w.rejects(use(200, "web-03"), Forbidden, `does not allow role "db"`)
	w.do(ApplyMachine{Name: "web-03", Environment: "production", Roles: []string{"web"}})
	require.Empty(t, w.do(use(200, "web-03")))
}

func TestCreateTokenRejectsInvalidSettings(t *testing.T) {
	w := shopWorld(t)
	w.rejects(CreateToken{ID: "a", Settings: TokenSettings{Scope: "god"}}, Invalid, "use admin, deploy or read")
	w.rejects(CreateToken{ID: "a", Settings: TokenSettings{}}, Invalid, "scope")
	w.rejects(CreateToken{ID: "a", Settings: TokenSettings{Join: true, Uses: -1}}, Invalid, "invalid uses -1")
	w.rejects(CreateToken{ID: "a", Settings: TokenSettings{Join: true, Environments: []string{"qa"}}}, NotFound, `"qa"`)
	w.rejects(CreateToken{ID: "a", Settings: TokenSettings{Join: true, AnyEnvironment: true, Roles: []string{"a/b"}}}, Invalid, "role")
	w.do(CreateToken{ID: "a", Settings: TokenSettings{Scope: ReadScope}})
	w.rejects(CreateToken{ID: "a", Settings: TokenSettings{Scope: ReadScope}}, Conflict, "token a already exists")
	w.rejects(UseToken{ID: "a", Machine: "web-03"}, Forbidden, "unknown join token")
}

func TestVerifierIsAddedToTheHashOfTheSecretOnce(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{Uses: 1})
	w.do(use(200, "web-03"))
	register := RegisterVerifier{ID: "k", Instance: number(200), Secret: "sweb-03", Verifier: "v"}

	thief := register
	thief.Secret = "mine"
	w.rejects(thief, Forbidden, "different secret")
	w.rejects(RegisterVerifier{ID: "k", Instance: number(201), Secret: "sweb-03", Verifier: "v"}, NotFound, "did not join")
	w.rejects(RegisterVerifier{ID: "x"}, NotFound, `token "x"`)
	require.Len(t, w.do(register), 1)
	require.Empty(t, w.do(register), "the same verifier again")
	require.Equal(t, TokenUsed{Instance: number(200), Machine: "web-03", Secret: "sweb-03", Verifier: "v"},
		w.Token("k").Used[number(200)])

	other := register
	other.Verifier = "w"
	w.rejects(other, Forbidden, "different secret")
	again := use(200, "web-03")
	require.Empty(t, w.do(again), "joining again with the same secret is not a use")
	again.Secret, again.Verifier = "", "v"
	require.Empty(t, w.do(again), "joining again with a proof of the same secret is not a use")
	again.Verifier = "w"
	w.rejects(again, Forbidden, "different secret")
}
