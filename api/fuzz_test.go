package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// postBodies contains the routes with a body, and a valid body for each.
var postBodies = []struct{ path, body string }{
	{
		"/apply",
		`{"documents": [{"file": "a.yaml", "text": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: staging}\nspec: {}\n"}], "dryRun": false}`,
	},
	{
		"/tokens",
		`{"join": true, "uses": 2, "environments": ["production"], "roles": ["web"], "until": "2027-01-01T00:00:00Z"}`,
	},
	{
		"/machines",
		`{"name": "web-02", "environment": "production", "roles": ["web"], "policy": "default", "disabled": true}`,
	},
	{
		"/machines/web-01/reports",
		`{"status": "online", "instance": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "session": "7d444840-9dc0-11d1-b245-5ffdce74fad3", "detail": "x"}`,
	},
	{"/machines/web-01/enable", ``},
	{"/projects/shop/releases", `{"version": "1.1"}`},
	{
		"/deployments",
		`{"project": "shop", "release": "1.0", "environment": "production", "machines": ["web-01"], "maxParallel": 1, "stopAfterFailures": 1, "reason": "why"}`,
	},
	{
		"/deployments/7d444840-9dc0-11d1-b245-5ffdce74fad2/machines/web-01/end",
		`{"session": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "state": "failed", "exitCode": 1, "reason": "step-failed", "step": "s", "detail": "d"}`,
	},
	{
		"/deployments/7d444840-9dc0-11d1-b245-5ffdce74fad2/machines/web-01/output",
		`{"session": "", "sequence": 1, "data": "aGVsbG8="}`,
	},
	{"/deployments/7d444840-9dc0-11d1-b245-5ffdce74fad2/machines/web-01/claim", `{"session": ""}`},
	{"/releases/shop/1.0/retire", `{"reason": "r"}`},
	{"/releases/shop/1.0/restore", `{"reason": "r"}`},
	{"/rollback", `{"project": "shop", "environment": "production"}`},
	{"/retry", `{"project": "shop", "machine": "web-01"}`},
	{
		"/pins",
		`{"project": "shop", "release": "1.0", "environment": "production", "until": "2026-02-01T00:00:00Z", "reason": "r"}`,
	},
	{"/holds", `{"project": "shop", "machine": "web-01", "reason": "r"}`},
	{"/log/clear", `{"stream": "machine/web-01"}`},
}

// checkLog checks that every recorded event can be folded and decoded.
func (f *fixture) checkLog() {
	f.t.Helper()
	f.engine.Read(func(v *projections.View) { require.Empty(f.t, v.Aside) })
	for rec, err := range f.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(f.t, err)
		fact, err := domain.Decode(rec.Type, rec.Data)
		require.NoError(f.t, err, "%s %s", rec.Type, rec.Data)
		require.NotNil(f.t, fact)
	}
}

// FuzzRequestBodyCannotBreakTheAPI searches for bodies that cause an internal error, a response without a message, or
// an event that cannot be folded.
func FuzzRequestBodyCannotBreakTheAPI(f *testing.F) {
	for i, each := range postBodies {
		f.Add(uint8(i), []byte(each.body))
	}
	for i, text := range []string{`null`, `[]`, `{"name": 7}`, `{"name": "\u0000", "environment": "production"}`,
		`{"version": "` + strings.Repeat("9", 300) + `"}`,
		`{"documents": [{"text": "{"}]}`, `{"until": "0000-01-01T00:00:00Z"}`, `{"join": true, "uses": -1}`, "\xff", `{"a":` + strings.Repeat("[", 2000)} {
		f.Add(uint8(i), []byte(text))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		f := newFixture(t)
		f.shop()
		f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
		to := postBodies[int(which)%len(postBodies)]
		answer := f.sendFrom("192.0.2.1:1", http.MethodPost, "/api/v1"+to.path, f.admin.Token, string(body))
		text := answer.Body.Bytes()
		require.True(t, json.Valid(text) || len(text) == 0, "%d %q", answer.Code, text)
		require.Less(t, answer.Code, 500, "%s: %s", to.path, text)
		if answer.Code >= 400 {
			var p client.Problem
			require.NoError(t, json.Unmarshal(text, &p))
			require.NotEmpty(t, p.Kind, "%s", text)
			require.NotEmpty(t, p.Detail, "%s", text)
			require.Equal(t, answer.Code, p.Status)
			require.Less(t, len(text), 64<<10+4*len(body), "the size of a response is bounded")
		}
		f.checkLog()
	})
}

// FuzzAgentMessageAffectsOnlyItsMachine searches for first and later messages of an agent that crash the server,
// change another machine, or cause an event that cannot be folded.
func FuzzAgentMessageAffectsOnlyItsMachine(f *testing.F) {
	for _, text := range []string{`{"heartbeat": {}}`, `{"health": {"status": "healthy", "detail": "x"}}`,
		`{"claim": {"deployment": "DEPLOYMENT"}}`,
		`{"output": {"deployment": "DEPLOYMENT", "sequence": 1, "data": "aGVsbG8="}}`,
		`{"end": {"deployment": "DEPLOYMENT", "state": "succeeded", "reason": "x", "step": "install", "exitCode": 1, "detail": "d"}}`,
		`{"answer": {"deployment": "DEPLOYMENT", "running": true}}`, `{"goodbye": {"delete": true}}`, `{"goodbye": {}}`, `null`, `[]`, `{`, "\xff", `{"claim": null}`,
		`{"hello": {"machine": "web-01"}}`, `{"end": {"deployment": "DEPLOYMENT", "state": "\u0000", "detail": "\ud800"}}`, `{"output": {"sequence": -9223372036854775808}}`} {
		f.Add([]byte(text), false)
	}
	f.Add(
		[]byte(
			`{"hello": {"machine": "web-09", "instance": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "secret": "`+strings.Repeat("ab",
				32)+
				`", "session": "7d444840-9dc0-11d1-b245-5ffdce74fad3", "join": "TOKEN", "environment": "production", "roles": ["web"], "version": "1", `+
				`"memory": {"log": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "made": "", "machine": "web-09", "revision": 1, "event": "", "successes": {"shop": "x"}}}}`,
		),
		true,
	)
	f.Fuzz(func(t *testing.T, message []byte, first bool) {
		f := newFixture(t)
		f.shop()
		join := f.join(0)
		other := f.dial(hello("web-01", join))
		receive(other, welcome)
		self := f.dial(hello("web-02", join))
		receive(self, welcome)
		f.tick()
		work := receive(other, offer)
		other.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
		require.True(t, receive(other, claimed).Counts)
		before := f.machine("web-01")

		text := strings.NewReplacer("DEPLOYMENT", work.Deployment, "TOKEN", join).Replace(string(message))
		if first {
			self.conn.CloseNow()
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			conn, _, err := websocket.Dial(ctx, f.server.URL+client.AgentPath, nil)
			require.NoError(t, err)
			defer conn.CloseNow()
			require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte(text)))
			_, answer, err := conn.Read(ctx) // a welcome, or a refusal with a reason
			require.NoError(t, err)
			var m client.ToAgent
			require.NoError(t, json.Unmarshal(answer, &m))
			require.True(t, m.Welcome != nil || m.Refused != nil && m.Refused.Reason != "", "%s", answer)
		} else {
			require.NoError(t, self.conn.Write(context.Background(), websocket.MessageText, []byte(text)))
			_ = self.conn.Write(context.Background(), websocket.MessageText, []byte(`{"goodbye": {}}`))
			self.waitUntilClosed()
		}
		other.synchronize()
		require.Equal(t, before, f.machine("web-01"))
		for rec, err := range f.log.ReadStream(context.Background(),
			domain.PartStream(domain.ID(uuid.MustParse(work.Deployment)), "web-01"), 1, 0) {
			require.NoError(t, err)
			require.Fail(t, "another machine's part was changed", "%s", rec.Type)
		}
		f.checkLog()
	})
}
