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

// posts are the routes that take a body, with one that each takes.
var posts = []struct{ path, body string }{
	{"/apply", `{"documents": [{"file": "a.yaml", "text": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: staging}\nspec: {}\n"}], "dryRun": false}`},
	{"/tokens", `{"join": true, "uses": 2, "environments": ["production"], "roles": ["web"], "until": "2027-01-01T00:00:00Z"}`},
	{"/machines", `{"name": "web-02", "environment": "production", "roles": ["web"], "policy": "default", "disabled": true}`},
	{"/machines/web-01/reports", `{"status": "online", "instance": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "session": "7d444840-9dc0-11d1-b245-5ffdce74fad3", "detail": "x"}`},
	{"/machines/web-01/enable", ``},
	{"/projects/shop/releases", `{"version": "1.1"}`},
	{"/deployments", `{"project": "shop", "release": "1.0", "environment": "production", "machines": ["web-01"], "maxParallel": 1, "stopAfterFailures": 1, "reason": "why"}`},
	{"/deployments/7d444840-9dc0-11d1-b245-5ffdce74fad2/machines/web-01/end", `{"session": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "state": "failed", "exitCode": 1, "reason": "step-failed", "step": "s", "detail": "d"}`},
	{"/deployments/7d444840-9dc0-11d1-b245-5ffdce74fad2/machines/web-01/output", `{"session": "", "sequence": 1, "data": "aGVsbG8="}`},
	{"/deployments/7d444840-9dc0-11d1-b245-5ffdce74fad2/machines/web-01/claim", `{"session": ""}`},
	{"/rollback", `{"project": "shop", "environment": "production"}`},
	{"/retry", `{"project": "shop", "machine": "web-01"}`},
	{"/pins", `{"project": "shop", "release": "1.0", "environment": "production", "until": "2026-02-01T00:00:00Z", "reason": "r"}`},
	{"/holds", `{"project": "shop", "machine": "web-01", "reason": "r"}`},
	{"/log/clear", `{"stream": "machine/web-01"}`},
}

// sound says that whatever was taken can be folded, here and by whoever reads the log from its beginning.
func (y *yard) sound() {
	y.t.Helper()
	y.engine.Read(func(v *projections.View) { require.Empty(y.t, v.Aside) })
	for rec, err := range y.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(y.t, err)
		fact, err := domain.Decode(rec.Type, rec.Data)
		require.NoError(y.t, err, "%s %s", rec.Type, rec.Data)
		require.NotNil(y.t, fact)
	}
}

// FuzzNoBodyBreaksTheAPI looks for bodies that are answered with a fault of the server or without a sentence, or that get
// something into the log which nobody can fold.
func FuzzNoBodyBreaksTheAPI(f *testing.F) {
	for i, each := range posts {
		f.Add(uint8(i), []byte(each.body))
	}
	for i, text := range []string{`null`, `[]`, `{"name": 7}`, `{"name": "\u0000", "environment": "production"}`, `{"version": "` + strings.Repeat("9", 300) + `"}`,
		`{"documents": [{"text": "{"}]}`, `{"until": "0000-01-01T00:00:00Z"}`, `{"join": true, "uses": -1}`, "\xff", `{"a":` + strings.Repeat("[", 2000)} {
		f.Add(uint8(i), []byte(text))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		y := newYard(t)
		y.shop()
		y.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
		to := posts[int(which)%len(posts)]
		answer := y.sendFrom("192.0.2.1:1", http.MethodPost, "/api/v1"+to.path, y.admin.Token, string(body))
		text := answer.Body.Bytes()
		require.True(t, json.Valid(text) || len(text) == 0, "%d %q", answer.Code, text)
		require.Less(t, answer.Code, 500, "%s: %s", to.path, text)
		if answer.Code >= 400 {
			var p client.Problem
			require.NoError(t, json.Unmarshal(text, &p))
			require.NotEmpty(t, p.Kind, "%s", text)
			require.NotEmpty(t, p.Detail, "%s", text)
			require.Equal(t, answer.Code, p.Status)
			require.Less(t, len(text), 64<<10+4*len(body), "an answer is no echo that grows")
		}
		y.sound()
	})
}

// FuzzNoMessageOfAnAgentReachesBeyondItsMachine looks for first and later messages of an agent that end the server, that
// change what is another machine's, or that get something into the log which nobody can fold.
func FuzzNoMessageOfAnAgentReachesBeyondItsMachine(f *testing.F) {
	for _, text := range []string{`{"heartbeat": {}}`, `{"health": {"status": "healthy", "detail": "x"}}`, `{"claim": {"deployment": "DEPLOYMENT"}}`,
		`{"output": {"deployment": "DEPLOYMENT", "sequence": 1, "data": "aGVsbG8="}}`,
		`{"end": {"deployment": "DEPLOYMENT", "state": "succeeded", "reason": "x", "step": "install", "exitCode": 1, "detail": "d"}}`,
		`{"answer": {"deployment": "DEPLOYMENT", "running": true}}`, `{"goodbye": {"delete": true}}`, `{"goodbye": {}}`, `null`, `[]`, `{`, "\xff", `{"claim": null}`,
		`{"hello": {"machine": "web-01"}}`, `{"end": {"deployment": "DEPLOYMENT", "state": "\u0000", "detail": "\ud800"}}`, `{"output": {"sequence": -9223372036854775808}}`} {
		f.Add([]byte(text), false)
	}
	f.Add([]byte(`{"hello": {"machine": "web-09", "instance": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "secret": "`+strings.Repeat("ab", 32)+
		`", "session": "7d444840-9dc0-11d1-b245-5ffdce74fad3", "join": "TOKEN", "environment": "production", "roles": ["web"], "version": "1", `+
		`"memory": {"log": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "made": "", "machine": "web-09", "revision": 1, "event": "", "successes": {"shop": "x"}}}}`), true)
	f.Fuzz(func(t *testing.T, message []byte, first bool) {
		y := newYard(t)
		y.shop()
		join := y.join(0)
		other := y.dial(hello("web-01", join))
		hears(other, welcome)
		self := y.dial(hello("web-02", join))
		hears(self, welcome)
		y.tick()
		work := hears(other, offer)
		other.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
		require.True(t, hears(other, claimed).Counts)
		before := y.machine("web-01")

		text := strings.NewReplacer("DEPLOYMENT", work.Deployment, "TOKEN", join).Replace(string(message))
		if first {
			self.conn.CloseNow()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			conn, _, err := websocket.Dial(ctx, y.door.URL+client.AgentPath, nil)
			require.NoError(t, err)
			defer conn.CloseNow()
			require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte(text)))
			_, answer, err := conn.Read(ctx) // it is welcomed or refused, in words
			require.NoError(t, err)
			var m client.ToAgent
			require.NoError(t, json.Unmarshal(answer, &m))
			require.True(t, m.Welcome != nil || m.Refused != nil && m.Refused.Reason != "", "%s", answer)
		} else {
			require.NoError(t, self.conn.Write(context.Background(), websocket.MessageText, []byte(text)))
			_ = self.conn.Write(context.Background(), websocket.MessageText, []byte(`{"goodbye": {}}`))
			self.closes()
		}
		other.isHeard()
		require.Equal(t, before, y.machine("web-01"))
		for rec, err := range y.log.ReadStream(context.Background(), domain.PartStream(domain.ID(uuid.MustParse(work.Deployment)), "web-01"), 1, 0) {
			require.NoError(t, err)
			require.Fail(t, "another machine's part was touched", "%s", rec.Type)
		}
		y.sound()
	})
}
