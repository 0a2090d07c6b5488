package cli_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client/clienttest"
)

func TestKillNamesTheMachinesWhoseAgentsCannotStop(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Drover-Position", "7")
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"position":"7","events":["DeploymentCancelled"]}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":"d","state":"running","machines":[{"name":"web-01","state":"running","cannotStop":true},
			{"name":"web-02","state":"running"},{"name":"web-03","state":"running","cannotStop":true}]}`)
	}
	s := newFixture(t)
	for flags, want := range map[string]string{
		"":       "warning: the agents of web-01, web-03 are too old to stop a running part, so it will finish; upgrade them",
		"web-01": "warning: the agent of web-01 is too old",
		"web-02": "",
	} {
		args := []string{"cancel", "0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10", "--kill", "--server",
			answering(t, clienttest.Proves("id.x", answer)), "--token", "id.x"}
		if flags != "" {
			args = append(args, "--machine", flags)
		}
		_, stderr, code := s.run(args...)
		require.Zero(t, code, stderr)
		require.Contains(t, stderr, "is cancelled, and ")
		if want == "" {
			require.NotContains(t, stderr, "warning")
		}
		require.Contains(t, stderr, want)
	}
}
