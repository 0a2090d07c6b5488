package api_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

func TestEachCommandCanBeSentAsOneRequest(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.CreateRelease{Project: "shop", Version: "0.9"})
	steps := []struct {
		path  string
		body  object
		event string
	}{
		{"/releases/shop/0.9/retire", object{"reason": "wrong"}, "ReleaseRetired"},
		{"/releases/shop/0.9/restore", object{"reason": "the right one"}, "ReleaseRestored"},
		{"/machines", object{"name": "web-01", "environment": "production", "roles": []string{"web"}}, "MachineAdded"},
		{"/machines/web-01/disable", nil, "MachineDisabled"},
		{"/machines/web-01/enable", nil, "MachineEnabled"},
		{"/projects/shop/disable", nil, "ProjectDisabled"},
		{"/projects/shop/enable", nil, "ProjectEnabled"},
		{"/triggers/shop/joins/disable", nil, "TriggerDisabled"},
		{"/triggers/shop/joins/enable", nil, "TriggerEnabled"},
		{"/pins", object{"project": "shop", "release": "1.0", "environment": "production", "reason": "freeze"}, "PinSet"},
		{"/holds", object{"project": "shop", "machine": "web-01", "until": "2026-02-01T00:00:00Z"}, "HoldSet"},
	}
	for _, step := range steps {
		written := f.post(step.path, step.body)
		require.Equal(t, []string{step.event}, written.Events, step.path)
		require.False(t, written.Repeat, step.path)
	}
	for path, event := range map[string]string{"/pins/shop/production": "PinLifted", "/holds/shop/web-01": "HoldLifted",
		"/triggers/shop/joins": "TriggerDeleted"} {
		written, err := f.admin.Delete(context.Background(), path, "")
		require.NoError(t, err)
		require.Equal(t, []string{event}, written.Events, path)
	}
	require.Empty(t, f.post("/machines/web-01/enable", nil).Events, "nothing changes")
}

func TestDeployReturnsItsIDAndTheDeploymentCanBeCancelled(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	f.do(domain.ConnectMachine{Name: "web-01", Server: f.engine.Server(), Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}})
	written := f.post("/deployments",
		object{"project": "shop", "release": "1.0", "environment": "production", "maxParallel": 1})
	require.NotEmpty(t, written.Deployment)
	require.Equal(t, []string{"DeploymentQueued"}, written.Events)
	require.Contains(t, f.post("/deployments/"+written.Deployment+"/cancel", nil).Events, "DeploymentCancelled")
	f.eventually("the cancelled deployment ends", func() bool {
		var d explain.Deployment
		f.get("/deployments/"+written.Deployment, &d)
		return d.State == "cancelled"
	})
	require.NotEmpty(t, f.post("/retry", object{"project": "shop", "machine": "web-01"}).Deployment)
	require.Equal(t, "conflict", f.rejected("/rollback", object{"project": "shop", "environment": "production"}).Kind)
	require.Equal(t, 404, f.rejected("/deployments/"+uuid.NewString()+"/cancel", nil).Status)
}

func TestWriteWithTheSameKeyIsExecutedOnce(t *testing.T) {
	f := newFixture(t)
	f.shop()
	key, body := uuid.NewString(), object{"project": "shop", "release": "1.0", "environment": "production"}
	first, err := f.admin.Write(context.Background(), "/deployments", key, body)
	require.NoError(t, err)
	again, err := f.admin.Write(context.Background(), "/deployments", key, body)
	require.NoError(t, err)
	require.Equal(t, first.Deployment, again.Deployment)
	require.True(t, again.Repeat)
	body["release"] = "1.1"
	_, err = f.admin.Write(context.Background(), "/deployments", key, body)
	require.Equal(t, client.Conflict, client.KindOf(err), "a different write with the same key")
	_, err = f.admin.Write(context.Background(), "/deployments", "monday", body)
	require.Equal(t, client.Invalid, client.KindOf(err))
}

func TestInvalidRequestReturnsAProblemWithItsKind(t *testing.T) {
	f := newFixture(t)
	f.shop()
	send := func(path, contentType, body string) *http.Response {
		r, err := http.NewRequest(http.MethodPost, f.server.URL+"/api/v1"+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+f.admin.Token)
		r.Header.Set("Content-Type", contentType)
		return f.raw(r)
	}
	for body, status := range map[string]int{
		``: 400, `[]`: 422, `{"project":`: 400, `{"project":"shop"}`: 422,
		`{"project":"shop","release":"1.0","environment":"production","colour":1}`:       422,
		`{"project":"shop","release":"9","environment":"production"}`:                    404,
		`{"project":"shop","release":"1.0","environment":"production","maxParallel":-1}`: 422,
		`{"project":"` + strings.Repeat("x", 2<<20) + `"}`:                               413,
	} {
		answer := send("/deployments", "application/json", body)
		require.Equal(t, status, answer.StatusCode, "%.60s", body)
		require.Equal(t, client.ProblemType, answer.Header.Get("Content-Type"), "%.60s", body)
		var text bytes.Buffer
		_, _ = text.ReadFrom(answer.Body)
		require.Contains(t, text.String(), `"kind":"`, "%.60s", body)
		require.Less(t, text.Len(), 4000, "a problem does not repeat the request")
	}
	require.Equal(t, 415, send("/deployments", "application/x-yaml", "a: b").StatusCode)
	require.Equal(t, 404, send("/nowhere", "application/json", "{}").StatusCode)
	for path, body := range map[string]object{"/machines": {"name": "a/b", "environment": "production"},
		"/pins":   {"project": "shop", "release": "1.0", "environment": "production", "until": "2020-01-01T00:00:00Z"},
		"/tokens": {"scope": "god"}, "/tokens?": {"join": true, "scope": "admin"}} {
		require.Equal(t, 422, f.rejected(path, body).Status, path)
	}
}

func TestTokenScopeLimitsItsPermissions(t *testing.T) {
	f := newFixture(t)
	f.shop()
	ctx := context.Background()
	reads := func(c *client.Client) error { _, err := c.Get(ctx, "/machines", nil, nil); return err }
	deploys := func(c *client.Client) error {
		_, err := c.Write(ctx, "/deployments", "", object{"project": "shop", "release": "1.0", "environment": "production"})
		return err
	}
	administers := func(c *client.Client) error { _, err := c.Write(ctx, "/projects/shop/disable", "", nil); return err }
	for scope, want := range map[domain.Scope][3]string{domain.ReadScope: {"", "forbidden", "forbidden"},
		domain.DeployScope: {"", "", "forbidden"}, domain.AdminScope: {"", "", ""}} {
		c := f.as(f.token(domain.TokenSettings{Scope: scope}))
		require.Equal(t, want, [3]string{client.KindOf(reads(c)), client.KindOf(deploys(c)), client.KindOf(administers(c))},
			scope)
	}
	join := f.as(f.token(domain.TokenSettings{Join: true}))
	require.Equal(t, client.Forbidden, client.KindOf(reads(join)))
	for _, bad := range []string{"", "nonsense", "0123456789ab.secret", f.admin.Token + "x", "agent:x:y"} {
		require.Equal(t, client.Unauthorised, client.KindOf(reads(f.as(bad))), bad)
	}
}

func TestRevokedOrExpiredTokenIsRejected(t *testing.T) {
	f := newFixture(t)
	until := f.clock.Now().Add(time.Hour)
	text := f.token(domain.TokenSettings{Scope: domain.ReadScope, Until: &until})
	reads := func(text string) string {
		_, err := f.as(text).Get(context.Background(), "/machines", nil, nil)
		return client.KindOf(err)
	}
	require.Empty(t, reads(text))
	f.clock.advance(2 * time.Hour)
	for range 2 * 20 { // a token that was valid is no guess: the answer stays the same
		require.Equal(t, client.Unauthorised, reads(text))
	}
	_, err := f.as(text).Get(context.Background(), "/machines", nil, nil)
	require.ErrorContains(t, err, "token "+strings.Split(text, ".")[0]+" expired at 2026-01-01T10:00:00Z")
	require.ErrorContains(t, err, "ask somebody with an admin token for another one: `drover token create --scope read")
	_, err = f.guessing(strings.Split(text, ".")[0]+".guess").Get(context.Background(), "/machines", nil, nil)
	require.ErrorContains(t, err, "the token is unknown, revoked or expired", "only its bearer learns that it has expired")
	other := f.token(domain.TokenSettings{Scope: domain.ReadScope})
	require.Empty(t, reads(other))
	_, err = f.admin.Delete(context.Background(), "/tokens/"+strings.Split(other, ".")[0], "")
	require.NoError(t, err)
	require.Equal(t, client.Unauthorised, reads(other))
}

func TestGuessingTokensIsLimitedAndValidTokensStillWork(t *testing.T) {
	f := newFixture(t)
	statuses := map[int]int{}
	for range 40 {
		var p *client.Problem
		_, err := f.guessing("0123456789ab.guess").Get(context.Background(), "/machines", nil, nil)
		require.ErrorAs(t, err, &p)
		statuses[p.Status]++
	}
	require.Positive(t, statuses[429])
	require.Positive(t, statuses[401])
	f.get("/machines", nil)
}

func TestTokenTextIsReturnedOnlyOnce(t *testing.T) {
	f := newFixture(t)
	var minted api.Minted
	require.NoError(t, f.admin.Post(context.Background(), "/tokens", "", object{"scope": "deploy"}, &minted))
	require.Regexp(t, `^[0-9a-f]{12}\.[A-Za-z0-9_-]{43}$`, minted.Token)
	for _, path := range []string{"/tokens", "/tokens/" + minted.ID, "/events"} {
		var text string
		f.get(path, &text)
		require.Contains(t, text, minted.ID, path)
		require.NotContains(t, text, strings.Split(minted.Token, ".")[1], path)
		require.NotContains(t, text, `"hash"`, path)
	}
	require.NoError(t, f.admin.Post(context.Background(), "/tokens", "", object{"join": true}, &minted))
	var token explain.Token
	f.get("/tokens/"+minted.ID, &token)
	require.Equal(t, 1, token.Uses)
	require.Equal(t, f.clock.Now().Add(time.Hour), *token.Until)
}

func TestDrainingServerRefusesNewStreamsAndEndsOpenOnes(t *testing.T) {
	f := newFixture(t)
	r, err := http.NewRequest(http.MethodGet, f.server.URL+"/api/v1/events/stream", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+f.admin.Token)
	stream := f.raw(r)
	require.Equal(t, 200, stream.StatusCode)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	f.api.Drain(ctx)
	require.NoError(t, ctx.Err())
	_, err = new(bytes.Buffer).ReadFrom(stream.Body)
	require.NoError(t, err, "the stream ended cleanly")
	require.Equal(t, 503, f.raw(r.Clone(context.Background())).StatusCode)
}
