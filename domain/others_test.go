package domain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEnvironmentsAndPoliciesEndOnlyWhenNothingNamesThem(t *testing.T) {
	w := shopWorld(t)
	require.Empty(t, w.do(ApplyEnvironment{Name: "production"}), "an environment again is nothing")
	w.refuses(DeleteEnvironment{Name: "production"}, Conflict, "still named by machine db-01, machine web-01, machine web-02")
	w.refuses(DeleteEnvironment{Name: "qa"}, NotFound, `"qa"`)
	w.do(DeleteMachine{Name: "web-09"}, DeleteEnvironment{Name: "staging"})
	require.False(t, w.Environment("staging"))
	require.Equal(t, []Event{EnvironmentDefined{Origin: By("ann")}}, w.do(ApplyEnvironment{Name: "staging", Origin: By("ann")}))

	w.do(ApplyPolicy{Name: "tame"}, ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"}, Policy: "tame"})
	w.refuses(DeletePolicy{Name: "tame"}, Conflict, "still named by machine web-01")
	w.refuses(DeletePolicy{Name: DefaultPolicy}, Conflict, "cannot be deleted")
	w.refuses(DeletePolicy{Name: "wild"}, NotFound, `"wild"`)
	w.do(ApplyMachine{Name: "web-01", Environment: "production"}, DeletePolicy{Name: "tame"})
	require.Nil(t, w.Policy("tame"))
}

func TestAtMostThreeReferencesAreNamed(t *testing.T) {
	w := shopWorld(t)
	w.do(ApplyMachine{Name: "web-03", Environment: "production"})
	w.refuses(DeleteEnvironment{Name: "production"}, Conflict, "machine web-01, machine web-02 and others")
}

func TestAPolicyIsWrittenWithItsDefaultsAndOnlyWhereItDiffers(t *testing.T) {
	w := newWorld(t)
	require.Empty(t, w.do(ApplyPolicy{Name: DefaultPolicy}), "the default policy is there unwritten")
	apply := ApplyPolicy{Name: "tame", Settings: PolicySettings{HealthCheck: &HealthCheck{Script: "./ok"}, CleanUp: &CleanUp{After: Duration(time.Hour)}}}
	defined := w.do(apply)[0].(PolicyDefined).Settings
	require.Equal(t, PolicySettings{OfflineAfter: DefaultOfflineAfter, LostAfter: DefaultLostAfter,
		HealthCheck: &HealthCheck{Every: DefaultHealthEvery, Timeout: DefaultHealthTimeout, Script: "./ok"},
		CleanUp:     &CleanUp{After: Duration(time.Hour), MaxShare: DefaultMaxShare}}, defined)
	require.Zero(t, apply.Settings.CleanUp.MaxShare, "what the sender gave was changed")
	require.Empty(t, w.do(apply))
	apply.Settings.HealthCheck.Script = "./better"
	require.Len(t, w.do(apply), 1)
}

func TestAPolicyLeavesTimeToClaimAPart(t *testing.T) {
	w := newWorld(t)
	w.refuses(ApplyPolicy{Name: "hasty", Settings: PolicySettings{LostAfter: Duration(999 * time.Millisecond)}}, Invalid, "invalid lostAfter 999ms", "1s")
	w.do(ApplyPolicy{Name: "hasty", Settings: PolicySettings{LostAfter: Duration(time.Second)}})
}

func token(w *smallWorld, settings TokenSettings) {
	settings.Join = true
	w.do(CreateToken{ID: "k", Settings: settings, Hash: "h"})
}

func use(n uint64, machine string) UseToken {
	return UseToken{ID: "k", Instance: number(n), Machine: machine, Secret: "s" + machine, Environment: "production", Roles: []string{"web"}, Now: sampleTime}
}

func TestOfManyRacersForTheLastUseOneWins(t *testing.T) {
	for _, uses := range []int{1, 3} {
		w := shopWorld(t)
		token(w, TokenSettings{Uses: uses})
		won := 0
		racers := map[string]UseToken{}
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			racers[name] = use(uint64(len(racers)+200), name)
		}
		for len(racers) > 0 { // all decide in one world, the log takes one, the others decide again
			expected := len(w.streams[TokenStream("k")])
			decided := map[string][]Event{}
			for name, racer := range racers {
				events, r := racer.Decide(w)
				if r != nil {
					require.Equal(t, Forbidden, r.Kind)
					require.Contains(t, r.Error(), "no use left")
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

func TestTheSameInstanceJoinsWithOneUse(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{Uses: 1})
	require.Len(t, w.do(use(200, "web-03")), 1)
	require.Empty(t, w.do(use(200, "web-03")))
	w.refuses(use(201, "web-03"), Forbidden, "no use left of 1")
}

func TestOneDiskUnderManyNamesUsesTheTokenForEach(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{Uses: 2})
	w.do(use(200, "a"))
	again := use(200, "b")
	again.Secret = "sa"
	require.Len(t, w.do(again), 1)
	again.Machine = "c"
	w.refuses(again, Forbidden, "no use left of 2")
}

func TestAKnownInstanceIsNotTakenOverByAnotherSecret(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{})
	w.do(use(200, "web-03"))
	thief := use(200, "web-03")
	thief.Secret = "mine"
	w.refuses(thief, Forbidden, "another secret")
}

func TestATokenIsGoodForWhatItSays(t *testing.T) {
	until := sampleTime
	for name, c := range map[string]struct {
		settings TokenSettings
		change   func(*UseToken)
		words    string
	}{
		"until it expires":          {TokenSettings{Until: &until}, func(*UseToken) {}, "expired at 2026-03-14T15:09:26Z"},
		"for its environments":      {TokenSettings{Environments: []string{"staging"}}, func(*UseToken) {}, `not good for environment "production"`},
		"for its roles":             {TokenSettings{Roles: []string{"web"}}, func(u *UseToken) { u.Roles = []string{"web", "db"} }, `not good for role "db"`},
		"for machines with a name":  {TokenSettings{}, func(u *UseToken) { u.Machine = "a/b" }, `'/' at character 2`},
		"only if there is a token":  {TokenSettings{}, func(u *UseToken) { u.ID = "x" }, "not known"},
		"a second before it is not": {TokenSettings{Until: &until}, func(u *UseToken) { u.Now = until.Add(-time.Second) }, ""},
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

func TestWhoJoinedBeforeJoinsAgainAsLongAsTheTokenStands(t *testing.T) {
	w := shopWorld(t)
	until := sampleTime.Add(time.Hour)
	token(w, TokenSettings{Uses: 1, Until: &until, Environments: []string{"production"}})
	w.do(use(200, "web-03"), ApplyMachine{Name: "web-03", Environment: "production"})

	late := use(200, "web-03")
	late.Now = until.Add(time.Hour)
	require.Empty(t, w.do(late), "expired tokens keep those that joined")
	late.Environment = "staging"
	require.Empty(t, w.do(late), "flags count at the first join alone")

	w.do(DeleteMachine{Name: "web-03"})
	w.refuses(late, Forbidden, `not good for environment "staging"`)
	w.do(RevokeToken{ID: "k"})
	require.Empty(t, w.do(RevokeToken{ID: "k"}), "revoked already")
	w.refuses(use(200, "web-03"), Forbidden, "revoked")
	w.refuses(RevokeToken{ID: "x"}, NotFound, `token "x"`)
}

func TestATokenThatIsGoodForNothingIsRefused(t *testing.T) {
	w := shopWorld(t)
	w.refuses(CreateToken{ID: "a", Settings: TokenSettings{Scope: "god"}}, Invalid, "use admin, deploy or read")
	w.refuses(CreateToken{ID: "a", Settings: TokenSettings{}}, Invalid, "scope")
	w.refuses(CreateToken{ID: "a", Settings: TokenSettings{Join: true, Uses: -1}}, Invalid, "invalid uses -1")
	w.refuses(CreateToken{ID: "a", Settings: TokenSettings{Join: true, Environments: []string{"qa"}}}, NotFound, `"qa"`)
	w.refuses(CreateToken{ID: "a", Settings: TokenSettings{Join: true, Roles: []string{"a/b"}}}, Invalid, "role")
	w.do(CreateToken{ID: "a", Settings: TokenSettings{Scope: ReadScope}})
	w.refuses(CreateToken{ID: "a", Settings: TokenSettings{Scope: ReadScope}}, Conflict, "token a exists")
	w.refuses(UseToken{ID: "a", Machine: "web-03"}, Forbidden, "join token is not known")
}

func TestEachScopeContainsTheNext(t *testing.T) {
	scopes := []Scope{AdminScope, DeployScope, ReadScope}
	for i, have := range scopes {
		for j, wanted := range scopes {
			require.Equal(t, i <= j, have.Allows(wanted), "%s for %s", have, wanted)
		}
		require.False(t, have.Allows("god"))
		require.False(t, Scope("").Allows(have))
	}
}

func TestOnlyAStreamThatIsSetAsideIsCleared(t *testing.T) {
	w := newWorld(t)
	w.aside["project/shop"] = "it cannot be folded"
	require.Equal(t, []Event{StreamCleared{Stream: "project/shop", Origin: By("ann")}}, w.do(ClearStream{Name: "project/shop", Origin: By("ann")}))
	w.refuses(ClearStream{Name: "project/blog"}, NotFound, `"project/blog" is not set aside`)
}
