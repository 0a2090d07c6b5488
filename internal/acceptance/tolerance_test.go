package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// apiFleet is a fleet whose machines are only requests to the HTTP API.
type apiFleet struct {
	*fleet
	token string
	names []string

	guard    sync.Mutex
	sessions map[string]string
}

// post sends a request, again while the server limits or refuses it for a moment, and decodes the answer.
func (f *apiFleet) post(path string, body, into any) {
	data, _ := json.Marshal(body)
	harnesstest.Until(f.t, path+" succeeds", func() error {
		request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.server.URL()+"/api/v1"+path,
			bytes.NewReader(data))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+f.token)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode >= http.StatusMultipleChoices {
			return fmt.Errorf("%s", response.Status)
		}
		return json.NewDecoder(response.Body).Decode(into)
	})
}

// each calls do for every machine, by several workers.
func (f *apiFleet) each(do func(i int, name string)) {
	const workers = 8
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(f.names); i += workers {
				do(i, f.names[i])
			}
		})
	}
	group.Wait()
}

func (f *apiFleet) join(_ int, name string) {
	var ignored map[string]any
	f.post("/machines", map[string]any{"name": name, "environment": "production"}, &ignored)
	var reported struct{ Session string }
	f.post("/machines/"+name+"/reports", map[string]any{"status": "online", "instance": uuid.NewString()}, &reported)
	f.guard.Lock()
	defer f.guard.Unlock()
	f.sessions[name] = reported.Session
}

// carryOut claims and ends the part of a machine. Every 125th machine fails: 16 of 2 000.
func (f *apiFleet) carryOut(deployment string) func(i int, name string) {
	return func(i int, name string) {
		var ignored map[string]any
		part := "/deployments/" + deployment + "/machines/" + name
		f.post(part+"/claim", map[string]any{"session": f.sessions[name]}, &ignored)
		end := map[string]any{"session": f.sessions[name], "state": "succeeded"}
		if i%125 == 0 {
			end["state"], end["reason"] = "failed", "step-failed"
		}
		f.post(part+"/end", end, &ignored)
	}
}

const tolerantFleet = `apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
---
apiVersion: drover.dev/v1
kind: MachinePolicy
metadata: {name: default}
spec: {offlineAfter: 1h}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {automatic: {backoff: 1h}, steps: [{name: install, run: "true"}]}
`

// TestReleaseIsWantedAlthough16Of2000MachinesFail deploys with a tolerance of one percent, and waits as a pipeline does.
func TestReleaseIsWantedAlthough16Of2000MachinesFail(t *testing.T) {
	if testing.Short() {
		t.Skip("2 000 machines")
	}
	plain, _ := newFleet(t)
	f := &apiFleet{fleet: plain, sessions: map[string]string{}}
	f.token = strings.TrimSpace(f.ok("", "token", "create", "--scope", "admin"))
	f.ok(tolerantFleet, "apply", "-f", "-")
	f.ok("", "release", "create", "shop", "1.0")
	for i := range 2000 {
		f.names = append(f.names, fmt.Sprintf("web-%04d", i))
	}
	f.each(f.join)

	waited := make(chan harness.Result, 1)
	go func() {
		waited <- f.Run("", "deploy", "shop", "1.0", "--to", "production", "--max-failures", "1%", "--wait")
	}()
	deployment := ""
	harnesstest.Until(t, "the deployment is listed", func() error {
		deployment = strings.TrimPrefix(strings.TrimSpace(f.Run("", "get", "deployments", "-o", "name").Stdout), "deployment/")
		if deployment == "" {
			return fmt.Errorf("no deployment yet")
		}
		return nil
	})
	f.each(f.carryOut(deployment))

	result := <-waited
	require.Zero(t, result.Code, "exit code: %s", result.Stderr)
	require.Contains(t, result.Stderr, "succeeded with 16 failures (maxFailures 1%): 16 failed, 1984 succeeded")
	failed := f.why("web-0000")
	require.Equal(t, why{Wanted: "1.0", Actual: "", Verdict: "wait", Reason: "backing-off"}, failed,
		"it has no hold, and its failure is the first attempt")
}
