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

// carryOut claims and ends the part of a machine, once the server permits that. The machines for which fails returns true
// fail.
func (f *apiFleet) carryOut(deployment string, fails func(i int) bool) func(i int, name string) {
	return func(i int, name string) {
		var ignored map[string]any
		part := "/deployments/" + deployment + "/machines/" + name
		harnesstest.Until(f.t, "the part of "+name+" may start", func() error {
			var claimed struct {
				Counts bool
				Reason string
			}
			f.post(part+"/claim", map[string]any{"session": f.sessions[name]}, &claimed)
			if !claimed.Counts {
				return fmt.Errorf("the claim does not count: %s", claimed.Reason)
			}
			return nil
		})
		end := map[string]any{"session": f.sessions[name], "state": "succeeded"}
		if fails(i) {
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

// newAPIFleet starts a server and joins machines.
func newAPIFleet(t *testing.T, machines int) *apiFleet {
	plain, _ := newFleet(t)
	f := &apiFleet{fleet: plain, sessions: map[string]string{}}
	f.token = strings.TrimSpace(f.ok("", "token", "create", "--scope", "admin"))
	f.ok(tolerantFleet, "apply", "-f", "-")
	for i := range machines {
		f.names = append(f.names, fmt.Sprintf("web-%04d", i))
	}
	f.each(f.join)
	return f
}

// begin runs a command that queues a deployment and waits for its end. It returns the id of the deployment and the result.
func (f *apiFleet) begin(args ...string) (deployment string, waited <-chan harness.Result) {
	newest := func() string {
		name := strings.TrimSpace(f.Run("", "get", "deployments", "--limit", "1", "-o", "name").Stdout)
		return strings.TrimPrefix(name, "deployment/")
	}
	before, result := newest(), make(chan harness.Result, 1)
	go func() { result <- f.Run("", append(args, "--wait")...) }()
	harnesstest.Until(f.t, "the deployment is listed", func() error {
		if deployment = newest(); deployment == before {
			return fmt.Errorf("no deployment yet")
		}
		return nil
	})
	return deployment, result
}

// every125th are 16 of 2 000 machines.
func every125th(i int) bool { return i%125 == 7 }

// TestReleaseIsWantedAlthough16Of2000MachinesFail deploys with a tolerance of one percent and waits, as a pipeline does. It
// repairs the rest, and then deploys in waves.
func TestReleaseIsWantedAlthough16Of2000MachinesFail(t *testing.T) {
	if testing.Short() {
		t.Skip("2 000 machines")
	}
	f := newAPIFleet(t, 2000)
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		f.ok("", "release", "create", "shop", version)
	}

	first, waited := f.begin("deploy", "shop", "1.0", "--to", "production", "--max-failures", "1%")
	f.each(f.carryOut(first, every125th))
	result := <-waited
	require.Zero(t, result.Code, "exit code: %s", result.Stderr)
	require.Contains(t, result.Stderr, "succeeded with 16 failures (maxFailures 1%): 16 failed, 1984 succeeded")
	require.Contains(t, result.Stderr, "16 machines: a step failed — web-0007, web-0132, … 14 more")
	require.Less(t, strings.Count(result.Stderr, "\n"), 30, "the log of a pipeline stays short: %s", result.Stderr)
	require.Equal(t, why{Wanted: "1.0", Actual: "", Verdict: "wait", Reason: "backing-off"}, f.why("web-0007"),
		"it has no hold, and its failure is the first attempt")

	repair, waited := f.begin("retry", first, "--failed")
	f.each(func(i int, name string) {
		if every125th(i) {
			f.carryOut(repair, func(int) bool { return false })(i, name)
		}
	})
	result = <-waited
	require.Zero(t, result.Code, "exit code: %s", result.Stderr)
	require.Equal(t, why{Wanted: "1.0", Actual: "1.0", Verdict: "none", Reason: "up-to-date"}, f.why("web-0007"))

	waves := []string{"--to", "production", "--max-failures", "1%", "--waves", "1,10%,50%,100%"}
	second, waited := f.begin(append([]string{"deploy", "shop", "1.1"}, waves...)...)
	f.each(f.carryOut(second, every125th))
	result = <-waited
	require.Zero(t, result.Code, "exit code: %s", result.Stderr)
	require.Equal(t, "1.1", f.why("web-0007").Wanted)

	third, waited := f.begin(append([]string{"deploy", "shop", "1.2"}, waves...)...)
	f.carryOut(third, func(int) bool { return true })(0, "web-0000")
	result = <-waited
	require.Equal(t, 3, result.Code, "exit code: %s", result.Stderr)
	require.Contains(t, result.Stderr, "1 failed")
	require.Contains(t, result.Stderr, "1999 cancelled")
	require.Equal(t, why{Wanted: "1.1", Actual: "1.1", Verdict: "none", Reason: "up-to-date"}, f.why("web-1999"),
		"the other machines never started the bad release")
}
