package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/internal/server"
)

func TestTokensAndSecretsAreNotLogged(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	data, socket := socketOf(t)
	r := start(t, server.Config{Data: data, Logger: zap.New(core)})
	defer r.stopped(t)
	as := func(token string) *client.Client {
		return &client.Client{Servers: []string{socket}, Token: token}
	}
	admin := contexts(t).List[0].Token
	var minted struct{ Token string }
	require.NoError(t, as(admin).Post(t.Context(), "/tokens", "", map[string]any{"join": true, "uses": 0}, &minted))
	apply := map[string]any{"documents": []map[string]string{{"file": "a",
		"text": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: e}\nspec: {}\n"}}}
	require.NoError(t, as(admin).Post(t.Context(), "/apply", "", apply, nil))
	secret, instance := strings.Repeat("5ec7e7", 8), uuid.NewString()
	body := map[string]any{"name": "box-01", "environment": "e", "instance": instance, "secret": secret}
	_, err := as(minted.Token).Write(t.Context(), "/machines", "", body)
	require.NoError(t, err)
	_, err = as("agent:"+instance+":"+secret).Write(t.Context(), "/machines/box-01/reports", "",
		map[string]any{"status": "online"})
	require.NoError(t, err)
	for _, bad := range []string{"0123456789ab.a-guessed-secret", "agent:" + instance + ":a-guessed-secret"} {
		_, err := as(bad).Get(context.Background(), "/machines", nil, nil)
		require.Equal(t, client.Unauthorised, client.KindOf(err))
	}
	id := uuid.NewString()
	header := http.Header{}
	header.Set(handshake.Header, handshake.NewCredential(handshake.AgentName(id), secret).Start(handshake.Connection{}).First())
	header.Set(handshake.JoinHeader, handshake.NewCredential(handshake.JoinName("0123456789ab"), "a-guessed-secret").
		Start(handshake.Connection{}).First())
	conn, _, err := websocket.Dial(t.Context(), r.address+client.AgentPath, &websocket.DialOptions{HTTPHeader: header})
	require.NoError(t, err)
	defer conn.CloseNow()
	hello, err := json.Marshal(client.FromAgent{Hello: &client.Hello{Machine: "box-02", Instance: id,
		Session: uuid.NewString(), Secret: secret, Join: "0123456789ab.a-guessed-secret", Environment: "e"}})
	require.NoError(t, err)
	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, hello))
	_, refusal, err := conn.Read(t.Context())
	require.NoError(t, err)
	require.Contains(t, string(refusal), "unknown join token")
	require.Eventually(t, func() bool { return logged.FilterMessage("agent refused").Len() > 0 },
		timeout, time.Millisecond)
	for _, entry := range logged.All() {
		line := fmt.Sprint(entry.Message, entry.ContextMap())
		for _, hidden := range []string{admin[13:], minted.Token[13:], secret, "a-guessed-secret"} {
			require.NotContains(t, line, hidden)
		}
	}
}
