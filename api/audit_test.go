package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/internal/accesslog"
	"github.com/droverhq/drover/internal/ids"
)

// accessLog collects the entries of the access log.
type accessLog struct {
	mu      sync.Mutex
	entries []access.Entry
}

func (l *accessLog) Record(e access.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// of returns the entries of a kind.
func (l *accessLog) of(kind access.Kind) (found []access.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func audited(t *testing.T) (*fixture, *accessLog) {
	f, l := newFixture(t), &accessLog{}
	f.config.Access.LogTo(l)
	return f, l
}

func TestDenialsAreRecordedWithoutSecrets(t *testing.T) {
	f, log := audited(t)
	until := f.clock.Now().Add(time.Hour)
	reader := f.create(f.admin, object{"name": "ci", "scope": "read"})
	expired := f.token(domain.TokenSettings{Scope: domain.ReadScope, Name: "old", Until: &until})
	f.clock.advance(2 * time.Hour)
	secret := strings.Split(reader.Token, ".")[1]
	get := func(bearer string) {
		_, err := f.guessing(bearer).Get(context.Background(), "/machines", nil, nil)
		require.Error(t, err)
	}
	get("")
	get(reader.ID + ".wrong-" + secret)
	get(secret) // the secret alone, by mistake
	get("agent:01234567-89ab-cdef-0123-456789abcdef:" + secret)
	get(expired)
	_, err := f.as(reader.Token).Delete(context.Background(), "/tokens/"+reader.Token, "") // the text instead of the id
	require.Equal(t, client.Forbidden, client.KindOf(err))
	_, err = f.admin.Delete(context.Background(), "/tokens/"+reader.Token, "")
	require.Equal(t, client.NotFound, client.KindOf(err))

	machines, revoke := "GET /api/v1/machines", "DELETE /api/v1/tokens/{name}"
	type denial struct {
		token, name, route string
		reason             access.Reason
	}
	var seen []denial
	for _, e := range log.of(access.Denied) {
		require.Contains(t, e.Remote, "127.0.0.1:")
		require.NotEmpty(t, e.Detail)
		seen = append(seen, denial{e.Token, e.TokenName, e.Route, e.Reason})
	}
	require.Equal(t, []denial{
		{"", "", machines, access.NoToken}, {reader.ID, "ci", machines, access.InvalidToken},
		{access.UnknownToken, "", machines, access.InvalidToken},
		{access.UnknownToken, "", machines, access.NotPermitted}, // an agent's secret over TCP without TLS
		{expired[:12], "old", machines, access.ExpiredToken}, {reader.ID, "ci", revoke, access.NotPermitted},
	}, seen)
	text, err := json.Marshal(log.entries)
	require.NoError(t, err)
	require.NotContains(t, string(text), secret)
	require.Contains(t, f.metrics(), `drover_access_denied_total{reason="invalid-token"} 2`)
}

func TestGuessingClientIsRecordedAsRateLimited(t *testing.T) {
	f, log := audited(t)
	for range 40 {
		_, _ = f.guessing("0123456789ab.guess").Get(context.Background(), "/machines", nil, nil)
	}
	last := log.of(access.Denied)[39]
	require.Equal(t, access.RateLimited, last.Reason)
	require.Equal(t, access.UnknownToken, last.Token)
}

func TestUseOfAccessIsRecorded(t *testing.T) {
	f, log := audited(t)
	reader := f.create(f.admin, object{"name": "ci", "scope": "read"})
	for range 5 {
		_, err := f.as(reader.Token).Get(context.Background(), "/machines", nil, nil)
		require.NoError(t, err)
	}
	require.NoError(t, f.admin.Download(context.Background(), "/log/export", io.Discard))
	_, err := f.admin.Delete(context.Background(), "/tokens/ci", "")
	require.NoError(t, err)
	_, err = f.admin.Delete(context.Background(), "/tokens/ci", "")
	require.NoError(t, err)
	ops := "apiVersion: drover.dev/v1\nkind: Access\nmetadata: {name: ops}\n" +
		"spec: {who: {groups: [ops]}, permission: viewer, projects: [\"*\"], environments: [\"*\"]}\n"
	require.NoError(t, f.admin.Post(context.Background(), "/apply", "",
		object{"documents": []object{{"file": "access.yaml", "text": ops}}}, nil))
	_, err = f.admin.Delete(context.Background(), "/access/ops", "")
	require.NoError(t, err)
	require.Equal(t, "ops", log.of(access.AccessDefined)[0].Subject)
	require.Equal(t, "ops", log.of(access.AccessDeleted)[0].Subject)
	var rotated api.RotatedKey
	require.NoError(t, f.admin.Post(context.Background(), "/server-key/rotate", "", nil, &rotated))
	require.Equal(t, rotated.Key, log.of(access.ServerKeyRotated)[0].Subject)
	created, exported := log.of(access.TokenCreated), log.of(access.Exported)
	require.Len(t, created, 1)
	require.Equal(t, reader.ID+" ci", created[0].Subject)
	require.Equal(t, f.admin.Token[:12], created[0].Token)
	require.Len(t, exported, 1)
	require.Equal(t, "GET /api/v1/log/export", exported[0].Route)
	require.Len(t, log.of(access.TokenUsed), 2, "each token once, not each request")
	revoked := log.of(access.TokenRevoked)
	require.Len(t, revoked, 1, "the second request changed nothing")
	require.Equal(t, reader.ID+" ci", revoked[0].Subject, "a name can be used again")
}

func TestRefusedAgentIsRecorded(t *testing.T) {
	f, log := audited(t)
	f.shop()
	refused := receive(f.dial(hello("web-01", "0123456789ab.guess")), refusal)
	require.NotEmpty(t, refused.Reason)
	require.Eventually(t, func() bool { return len(log.of(access.Denied)) == 1 }, timeout, time.Millisecond)
	e := log.of(access.Denied)[0]
	require.Equal(t, access.AgentRefused, e.Reason)
	require.Equal(t, "web-01", e.Machine)
}

// BenchmarkDenial compares a flood of denials with and without an access log.
func BenchmarkDenial(b *testing.B) {
	for _, logged := range []bool{false, true} {
		b.Run(map[bool]string{false: "without", true: "with"}[logged], func(b *testing.B) {
			f := &fixture{clock: &manualClock{}, log: memory.New()}
			var err error
			f.engine, err = engine.Open(b.Context(), engine.Config{Log: f.log, Clock: f.clock, Server: ids.New()})
			require.NoError(b, err)
			f.connect()
			if logged {
				log := accesslog.New(b.TempDir(), zap.NewNop(), time.Now)
				b.Cleanup(log.Close)
				f.config.Access.LogTo(log)
			}
			handler := f.api.Handler()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "/api/v1/machines", nil)
				r.Header.Set("Authorization", "Bearer 0123456789ab.guess")
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
