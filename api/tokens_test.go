package api_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// create creates a token through the API.
func (f *fixture) create(c *client.Client, body object) (made api.Minted) {
	f.t.Helper()
	require.NoError(f.t, c.Post(context.Background(), "/tokens", "", body, &made))
	return made
}

// tokens lists tokens by name.
func (f *fixture) tokens(state string) map[string]explain.Token {
	f.t.Helper()
	var list explain.List[explain.Token]
	_, err := f.admin.Get(context.Background(), "/tokens", url.Values{"state": {state}}, &list)
	require.NoError(f.t, err)
	byName := map[string]explain.Token{}
	for _, token := range list.Items {
		byName[token.Name] = token
	}
	return byName
}

func TestTokenGetsANameAndOnlyTheOwnerThatIsNamed(t *testing.T) {
	f := newFixture(t)
	var ada explain.Person
	require.NoError(t, f.admin.Post(context.Background(), "/people", "", object{"name": "Ada Lovelace"}, &ada))
	laptop := f.create(f.admin, object{"name": "laptop", "scope": "admin", "owner": "Ada Lovelace"})
	require.Equal(t, "laptop", laptop.Name)
	unnamed := f.create(f.as(laptop.Token), object{"scope": "read"})
	require.Equal(t, "read-"+unnamed.ID[:8], unnamed.Name)
	f.create(f.as(laptop.Token), object{"name": "ci", "permission": "deployer"})
	f.create(f.admin, object{"name": "joins", "join": true, "owner": ada.ID})

	shown := f.tokens("")
	require.Equal(t, "Ada Lovelace", shown["laptop"].PersonName)
	require.Empty(t, shown[unnamed.Name].Person, "an owner brings the permissions of that person")
	require.Equal(t, "deployer", shown["ci"].Kind)
	require.Empty(t, shown["ci"].Person)
	require.Equal(t, "Ada Lovelace (token laptop)", shown["ci"].CreatedBy)
	require.Equal(t, ada.ID, shown["joins"].Person)
	require.Equal(t, f.clock.Now(), shown["ci"].Created)

	var one explain.Token
	f.get("/tokens/laptop", &one)
	require.Equal(t, laptop.ID, one.ID, "a name is accepted where an id is")
	for _, body := range []object{
		{"scope": "read", "owner": "Ada"}, {"scope": "read", "owner": "Ada Lovelace", "person": ada.ID},
		{"scope": "read", "name": "laptop"}, {"scope": "read", "name": "a b"}, {"scope": "read", "for": "0s"},
		{"scope": "read", "for": "100000h"}, {"scope": "read", "for": "soon"},
	} {
		f.rejected("/tokens", body)
	}
}

func TestOwnerNameThatTwoPeopleHaveIsRejected(t *testing.T) {
	f := newFixture(t)
	for range 2 {
		require.NoError(t, f.admin.Post(context.Background(), "/people", "", object{"name": "Ada"}, nil))
	}
	p := f.rejected("/tokens", object{"scope": "read", "owner": "Ada"})
	require.Equal(t, client.Conflict, p.Kind)
	require.Contains(t, p.Detail, "2 people have the name")
}

// TestEventsSayWhoActedAfterTheTokenWasRevoked also gives the name of the token to another one.
func TestEventsSayWhoActedAfterTheTokenWasRevoked(t *testing.T) {
	f := newFixture(t)
	f.shop()
	ctx := context.Background()
	var ada explain.Person
	require.NoError(t, f.admin.Post(ctx, "/people", "", object{"name": "Ada"}, &ada))
	ci := f.create(f.admin, object{"name": "ci", "scope": "admin", "owner": "Ada"})
	before := f.engine.Position().String()
	c := f.as(ci.Token)
	for _, write := range []struct {
		path string
		body object
	}{
		{"/machines", object{"name": "web-01", "environment": "production"}}, {"/machines/web-01/disable", nil},
		{"/machines/web-01/enable", nil}, {"/projects/shop/disable", nil}, {"/projects/shop/enable", nil},
		{"/triggers/shop/joins/disable", nil}, {"/triggers/shop/joins/enable", nil},
		{"/projects/shop/releases", object{"version": "2.0"}},
		{"/pins", object{"project": "shop", "release": "2.0", "environment": "production"}},
		{"/holds", object{"project": "shop", "machine": "web-01"}},
		{"/tokens", object{"scope": "read", "name": "other"}},
	} {
		require.NoError(t, c.Post(ctx, write.path, "", write.body, nil), write.path)
	}
	for _, path := range []string{"/pins/shop/production", "/holds/shop/web-01", "/tokens/other", "/triggers/shop/joins",
		"/machines/web-01", "/projects/shop"} {
		_, err := c.Delete(ctx, path, "")
		require.NoError(t, err, path)
	}
	_, err := f.admin.Delete(ctx, "/tokens/ci", "")
	require.NoError(t, err)
	f.create(f.admin, object{"name": "ci", "scope": "read"})

	var list explain.List[explain.Event]
	_, err = f.admin.Get(ctx, "/events", url.Values{"after": {before}, "limit": {"17"}}, &list)
	require.NoError(t, err)
	for _, event := range list.Items {
		var recorded domain.Origin
		require.NoError(t, json.Unmarshal(event.Data, &recorded))
		require.Equal(t, domain.Origin{By: "token " + ci.ID, Actor: domain.Actor{Kind: domain.PersonActor, ID: ada.ID,
			Via: domain.ViaAPI, Token: ci.ID, TokenName: "ci"}}, recorded, event.Type)
		require.Contains(t, event.Text, ", by Ada (token ci)")
	}
	require.Len(t, list.Items, 17)
}

func TestExpiredAndRevokedTokensLeaveTheList(t *testing.T) {
	f := newFixture(t)
	f.create(f.admin, object{"name": "short", "scope": "read", "for": "1h"})
	f.create(f.admin, object{"name": "gone", "scope": "read"})
	f.create(f.admin, object{"name": "stays", "scope": "read"})
	_, err := f.admin.Delete(context.Background(), "/tokens/gone", "")
	require.NoError(t, err)
	require.Contains(t, f.tokens(""), "short")
	f.clock.advance(time.Hour)
	valid := f.tokens("")
	require.Contains(t, valid, "stays")
	require.NotContains(t, valid, "short")
	require.NotContains(t, valid, "gone")
	all := f.tokens("all")
	require.True(t, all["short"].Expired)
	require.True(t, all["gone"].Revoked)
	require.Contains(t, f.tokens("expired"), "short")
	require.Contains(t, f.tokens("revoked"), "gone")
	f.create(f.admin, object{"name": "short", "scope": "read"}) // the name is free again
}

func TestBearerIsWarnedInTheLastWeekOfAToken(t *testing.T) {
	f := newFixture(t)
	made := f.create(f.admin, object{"name": "ci", "scope": "read", "for": "192h"}) // 8 days
	warned := func() (at time.Time) {
		c := f.as(made.Token)
		c.OnExpiry = func(expires time.Time) { at = expires }
		_, err := c.Get(context.Background(), "/machines", nil, nil)
		require.NoError(t, err)
		return at
	}
	require.Zero(t, warned())
	f.clock.advance(25 * time.Hour)
	require.Equal(t, *made.Until, warned())
}

func TestCreatingAnExpiringAdminTokenWarnsOnlyIfNoOtherStays(t *testing.T) {
	f := newFixture(t) // has an admin token that does not expire
	require.Empty(t, f.create(f.admin, object{"name": "a", "scope": "admin", "for": "1h"}).Warnings)
	_, err := f.admin.Delete(context.Background(), "/tokens/"+f.admin.Token[:12], "")
	require.NoError(t, err)
	f.admin = f.as(f.token(domain.TokenSettings{Scope: domain.AdminScope, Until: ptr(f.clock.Now().Add(time.Hour))}))
	warnings := f.create(f.admin, object{"name": "b", "scope": "admin", "for": "48h"}).Warnings
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "every admin token expires, the last one in 2 days, at 2026-01-03T09:00:00Z")
	require.Empty(t, f.create(f.admin, object{"name": "c", "scope": "read", "for": "48h"}).Warnings)
	require.Empty(t, f.create(f.admin, object{"name": "d", "scope": "admin"}).Warnings)
}

func TestPermissionThatCountsEverywhereIsCreatedWithAWarning(t *testing.T) {
	f := newFixture(t)
	f.shop()
	for _, c := range []struct {
		settings object
		warns    bool
	}{
		{object{"permission": "deployer"}, true},
		{object{"permission": "owner", "groups": []string{"ops"}}, true},
		{object{"permission": "deployer", "projects": []string{"shop"}}, false},
		{object{"permission": "deployer", "environments": []string{"production"}}, false},
		{object{"permission": "viewer"}, false}, // reads are what it says
		{object{"permission": "admin"}, false},  // cannot be limited
		{object{"permission": "none"}, false},
		{object{"scope": "deploy"}, false},
	} {
		warnings := strings.Join(f.create(f.admin, c.settings).Warnings, "\n")
		require.Equal(t, c.warns, strings.Contains(warnings, "counts in all projects and environments"), "%v: %s", c.settings,
			warnings)
	}
}

func ptr[T any](v T) *T { return &v }
