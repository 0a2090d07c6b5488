package client_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

// Messages as all versions of agents and servers send them.
var (
	fromAgent = []string{
		`{"hello":{"machine":"web-01","instance":"i","secret":"s","session":"n","join":"t","environment":"production","roles":["web"],"version":"1",` +
			`"memory":{"log":"l","made":"m","machine":"web-01","revision":3,"event":"e","successes":{"shop":"p"},"deployments":{"shop":"d"}}}}`,
		`{"hello":{"machine":"","instance":"","session":"","version":""}}`,
		`{"heartbeat":{}}`,
		`{"health":{"status":"warning","detail":"slow"}}`,
		`{"claim":{"deployment":"d"}}`,
		`{"output":{"deployment":"d","sequence":1,"data":"aGVsbG8="}}`,
		`{"end":{"deployment":"d","state":"failed","reason":"step-failed","step":"install","exitCode":2,"detail":"no"}}`,
		`{"end":{"deployment":"d","state":"succeeded"}}`,
		`{"end":{"deployment":"d","state":"failed","reason":"one-of-a-later-version"}}`,
		`{"answer":{"deployment":"d","running":true}}`,
		`{"goodbye":{"delete":true}}`,
	}
	toAgent = []string{
		`{"welcome":{"log":"l","made":"m","server":"s","settings":{"heartbeatEvery":"10s","offlineAfter":"30s"},"unfinished":[{"deployment":"d","project":"shop","session":"n"}],"warnings":["w"]}}`,
		`{"settings":{"heartbeatEvery":"2.5s","offlineAfter":"1h0m0s","healthCheck":{"every":"1m0s","timeout":"30s","script":"true"}}}`,
		`{"settings":{"heartbeatEvery":"0s","offlineAfter":"0s","healthCheck":{"every":"0s","timeout":"0s","script":""}}}`,
		`{"offer":{"deployment":"d","project":"shop","environment":"production","machine":"web-01","release":"1.0","previousRelease":"0.9","cause":"person",` +
			`"steps":[{"name":"a","run":"true","folder":"/srv","timeout":"30m0s","retries":2},{"name":"b"}],"variables":{"A":"b"},"secrets":["S"]}}`,
		`{"offer":{"deployment":"","project":"","environment":"","machine":"","release":"","cause":"","steps":[]}}`,
		`{"claimed":{"deployment":"d","counts":false,"reason":"already-claimed"}}`,
		`{"claimed":{"deployment":"d","counts":true}}`,
		`{"ended":{"deployment":"d","event":"e"}}`,
		`{"told":{"log":"l","revision":4,"event":"e"}}`,
		`{"refused":{"reason":"r","final":true,"server":"http://a"}}`,
	}
)

func TestMessagesEncodeToTheSameJSON(t *testing.T) {
	for _, text := range fromAgent {
		var m client.FromAgent
		require.NoError(t, json.Unmarshal([]byte(text), &m))
		again, err := json.Marshal(m)
		require.NoError(t, err)
		require.Equal(t, text, string(again))
	}
	for _, text := range toAgent {
		var m client.ToAgent
		require.NoError(t, json.Unmarshal([]byte(text), &m))
		again, err := json.Marshal(m)
		require.NoError(t, err)
		require.Equal(t, text, string(again))
	}
}
