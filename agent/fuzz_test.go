package agent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

// FuzzServerMessageCannotBreakTheAgent searches for messages after which an agent accepts no work, runs work that it
// must not run, or writes outside its folder.
func FuzzServerMessageCannotBreakTheAgent(f *testing.F) {
	for _, text := range []string{`{"settings": {"heartbeatEvery": "50ms", "offlineAfter": "1s"}}`,
		`{"settings": {"heartbeatEvery": "-1s", "offlineAfter": "9999h"}}`,
		`{"offer": {"deployment": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "project": "shop", "steps": [{"name": "s", "run": "touch ran"}], "variables": {"A": "b"}, "secrets": ["S"]}}`,
		`{"offer": {"deployment": "../../out", "steps": [{"name": "s", "run": "true"}]}}`, `{"offer": {"deployment": ""}}`, `{"offer": {"deployment": "a/b\u0000"}}`,
		`{"claimed": {"deployment": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "counts": true}}`, `{"ended": {"deployment": "../../out", "event": "x"}}`,
		`{"told": {"log": "x", "revision": -1, "event": "y"}}`, `{"welcome": {"log": "log-2", "unfinished": [{"deployment": "../../out"}], "warnings": ["\u001b[2J"]}}`,
		`{"refused": {"reason": "no"}}`, `{"refused": {"reason": "no", "final": true}}`, `null`, `{}`, `[]`, `{`, "\xff", `{"offer": null}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var m client.ToAgent
		known := json.Unmarshal(message, &m) == nil
		if m.Settings != nil && m.Settings.HealthCheck != nil || m.Welcome != nil && m.Welcome.Settings.HealthCheck != nil ||
			m.Refused != nil && m.Refused.Server != "" {
			t.Skip("the agent would run a random script or contact a random server")
		}
		server := newServer(t)
		c := configuration(t, server)
		above := t.TempDir()
		c.Data = filepath.Join(above, "deep", "data")
		a := startAgent(t, c)
		conversation := server.welcome(t)
		conversation.sendText(t, string(message))
		switch {
		case known && m.Refused != nil && m.Refused.Final:
			require.Error(t, a.wait(t))
		case known && m.Refused != nil:
			conversation.drop()
			server.welcome(t)
		case known && m.Welcome != nil: // it may name parts that the agent must answer for before it claims another one
			for range 2 {
				expect(t, conversation, aStatement)
			}
		case known && m.Offer != nil:
			expect(t, conversation, aHeartbeat)
		default:
			w := work("0d444840-9dc0-11d1-b245-5ffdce74fad2", "true")
			conversation.send(t, client.ToAgent{Offer: &w})
			require.Equal(t, w.Deployment, expect(t, conversation, aClaim).Deployment)
		}
		require.NotContains(t, server.allReceived(), `"end":{"deployment":"7d444840`,
			"a part whose claim did not count must not run")
		entries, err := os.ReadDir(above)
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing is written outside the data folder")
		entries, err = os.ReadDir(filepath.Join(above, "deep"))
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing is written outside the data folder")
	})
}
