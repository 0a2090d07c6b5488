package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// who is what a request is sent with.
type who string

const (
	nobody    who = "nobody"
	reader    who = "read"
	deployer  who = "deploy"
	admin     who = "admin"
	joinToken who = "join token"
	itself    who = "the machine's agent"
	another   who = "another machine's agent"
)

var everybody = []who{nobody, reader, deployer, admin, joinToken, itself, another}

// Who may use a route.
var (
	readers   = []who{reader, deployer, admin}
	deployers = []who{deployer, admin}
	admins    = []who{admin}
	ownAgents = []who{admin, itself}
	joiners   = []who{admin, joinToken, itself}
	probes    = []who{nobody, reader, deployer, admin}
)

// doors are all routes, and who may use each from another machine. A route without a row fails the test.
var doors = map[string][]who{
	"GET /healthz": probes, // says that the server lives, and no more
	"GET /readyz":  probes, // says 200 or 503 to whoever has no token
	"GET /metrics": readers,

	"GET /api/v1/machines": readers, "GET /api/v1/machines/{name}": readers,
	"GET /api/v1/environments": readers, "GET /api/v1/environments/{name}": readers,
	"GET /api/v1/policies": readers, "GET /api/v1/policies/{name}": readers,
	"GET /api/v1/projects": readers, "GET /api/v1/projects/{name}": readers,
	"GET /api/v1/triggers": readers, "GET /api/v1/triggers/{project}/{name}": readers,
	"GET /api/v1/releases": readers, "GET /api/v1/releases/{project}/{name}": readers,
	"GET /api/v1/deployments": readers, "GET /api/v1/deployments/{name}": readers,
	"GET /api/v1/deployments/{id}/output": readers, "GET /api/v1/deployments/{id}/output/stream": readers,
	"GET /api/v1/candidates": readers, "GET /api/v1/tokens": readers, "GET /api/v1/tokens/{name}": readers, "GET /api/v1/people": readers,
	"GET /api/v1/servers": readers, "GET /api/v1/servers/{name}": readers,
	"GET /api/v1/events": readers, "GET /api/v1/events/stream": readers,
	"GET /api/v1/why": readers, "GET /api/v1/log/verify": readers,
	"GET /api/v1/resources/{kind}/{name}": readers, "GET /api/v1/due": readers,
	"GET /api/v1/doctor": readers, "POST /api/v1/deployments/reach": readers,

	"POST /api/v1/projects/{project}/releases": deployers, "POST /api/v1/deployments": deployers,
	"POST /api/v1/deployments/{name}/cancel": deployers, "POST /api/v1/rollback": deployers, "POST /api/v1/retry": deployers,
	"POST /api/v1/pins": deployers, "DELETE /api/v1/pins/{project}/{name}": deployers,
	"POST /api/v1/holds": deployers, "DELETE /api/v1/holds/{project}/{name}": deployers,

	"GET /api/v1/log/backup": admins, "POST /api/v1/apply": admins, "POST /api/v1/tokens": admins, "DELETE /api/v1/tokens/{name}": admins,
	"POST /api/v1/people": admins, "DELETE /api/v1/people/{name}": admins,
	"DELETE /api/v1/environments/{name}": admins, "DELETE /api/v1/policies/{name}": admins,
	"DELETE /api/v1/projects/{name}": admins, "DELETE /api/v1/machines/{name}": admins, "DELETE /api/v1/triggers/{project}/{name}": admins,
	"POST /api/v1/machines/{name}/enable": admins, "POST /api/v1/machines/{name}/disable": admins,
	"POST /api/v1/projects/{name}/enable": admins, "POST /api/v1/projects/{name}/disable": admins,
	"POST /api/v1/triggers/{project}/{name}/enable": admins, "POST /api/v1/triggers/{project}/{name}/disable": admins,
	"POST /api/v1/log/clear": admins, "POST /api/v1/log/accept-restore": admins, "GET /api/v1/log/export": admins,

	"POST /api/v1/machines":                joiners, // another machine's agent is told that it is not this one
	"POST /api/v1/machines/{name}/reports": ownAgents, "GET /api/v1/machines/{name}/work": ownAgents,
	"POST /api/v1/deployments/{id}/machines/{name}/claim":  ownAgents,
	"POST /api/v1/deployments/{id}/machines/{name}/output": ownAgents,
	"POST /api/v1/deployments/{id}/machines/{name}/end":    ownAgents,
}

// mine is the machine that paths name.
const mine = "box-01"

// answered is an answer; it ends the request as soon as its beginning is known, for streams do not end by themselves.
type answered struct {
	*httptest.ResponseRecorder
	end context.CancelFunc
}

func (a answered) WriteHeader(status int) {
	a.ResponseRecorder.WriteHeader(status)
	a.end()
}

func (a answered) Write(p []byte) (int, error) {
	defer a.end()
	return a.ResponseRecorder.Write(p)
}

// sendFrom sends a request as it comes from another machine.
func (y *yard) sendFrom(remote, method, path, bearer, body string) *httptest.ResponseRecorder {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.RemoteAddr = remote
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer := answered{httptest.NewRecorder(), end}
	y.api.Handler().ServeHTTP(answer, r)
	return answer.ResponseRecorder
}

// operations are all that the server says that it has.
func (y *yard) operations() (all []string) {
	var document struct{ Paths map[string]map[string]any }
	require.NoError(y.t, json.Unmarshal(y.sendFrom("192.0.2.1:1", "GET", "/api/openapi.json", "", "").Body.Bytes(), &document))
	for path, methods := range document.Paths {
		for method := range methods {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// bodies are what routes take that look at the body before they know who may send it.
var bodies = map[string]string{
	"POST /api/v1/machines":                                `{"name": "` + mine + `", "environment": "production", "instance": "%s", "secret": "` + strings.Repeat("5e", 32) + `"}`,
	"POST /api/v1/machines/{name}/reports":                 `{"status": "healthy"}`,
	"POST /api/v1/deployments/{id}/machines/{name}/claim":  `{"session": ""}`,
	"POST /api/v1/deployments/{id}/machines/{name}/output": `{"session": "", "sequence": 1, "data": ""}`,
	"POST /api/v1/deployments/{id}/machines/{name}/end":    `{"session": "", "state": "failed"}`,
}

// credentials makes what each of everybody proves themselves with.
func (y *yard) credentials() map[who]string {
	secret := strings.Repeat("5e", 32)
	agentOf := func(machine string) string {
		h := hello(machine, y.join(1))
		d := y.dial(h)
		hears(d, welcome)
		d.say(client.FromAgent{Goodbye: &client.Goodbye{}})
		d.closes()
		return "agent:" + h.Instance + ":" + secret
	}
	return map[who]string{nobody: "", reader: y.token(domain.TokenSettings{Scope: domain.ReadScope}),
		deployer: y.token(domain.TokenSettings{Scope: domain.DeployScope}), admin: y.admin.Token,
		joinToken: y.join(0), itself: agentOf(mine), another: agentOf("box-02")}
}

func TestEachRouteLetsInWhoItsRowNamesAndNobodyElse(t *testing.T) {
	y := newYard(t)
	y.shop()
	operations := y.operations()
	require.Subset(t, operations, keysOf(doors), "a row is for no route")
	credentials := y.credentials()
	for i, operation := range operations {
		allowed, known := doors[operation]
		require.True(t, known, "%s has no row: say who may use it", operation)
		method, path, _ := strings.Cut(operation, " ")
		path = strings.NewReplacer("{name}", mine, "{project}", "ghost", "{id}", uuid.NewString(), "{kind}", "machines").Replace(path)
		for _, sender := range everybody {
			body := bodies[operation]
			if body == "" {
				body = "{}"
			} else if strings.Contains(body, "%s") {
				body = fmt.Sprintf(body, uuid.NewString())
			}
			if method == http.MethodDelete || strings.HasSuffix(path, "able") {
				path = strings.ReplaceAll(path, mine, "ghost") // who may is to change nothing
			}
			answer := y.sendFrom(fmt.Sprintf("192.0.2.%d:9999", i), method, path, credentials[sender], body)
			refused := answer.Code == http.StatusUnauthorized || answer.Code == http.StatusForbidden
			require.Equal(t, !slices.Contains(allowed, sender), refused, "%s by %s: %d %s", operation, sender, answer.Code, answer.Body)
			require.Less(t, answer.Code, 500, "%s by %s: %s", operation, sender, answer.Body)
			require.Equal(t, sender == nobody && refused, answer.Code == http.StatusUnauthorized, "%s by %s", operation, sender)
		}
	}
}

func TestNoRouteIsAddedBesideTheOnesThatAreGuarded(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var beside []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if !strings.HasSuffix(file, "_test.go") && strings.Contains(line, "mux.Handle") {
				beside = append(beside, strings.TrimSpace(line))
			}
		}
	}
	require.Equal(t, []string{
		`a.mux.HandleFunc("GET /api/v1/agent", a.serveAgent)`,                  // says hello first
		`a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {`, // is the answer that there is no route
	}, beside, "a route that the router does not know is guarded by nobody")
}

func TestWithoutATokenOnlyThisMachineIsToldAboutTheServer(t *testing.T) {
	y := newYard(t)
	for path, afar := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401, "/api/v1/machines": 401} {
		require.Equal(t, afar, y.sendFrom("192.0.2.1:1", "GET", path, "", "").Code, path)
	}
	y.ready = fmt.Errorf("the disk of host-7 is full")
	require.NotContains(t, y.sendFrom("192.0.2.1:1", "GET", "/readyz", "", "").Body.String(), "host-7")
	require.Contains(t, y.sendFrom("127.0.0.1:1", "GET", "/readyz", "", "").Body.String(), "host-7")
	require.Equal(t, 200, y.sendFrom("127.0.0.1:1", "GET", "/metrics", "", "").Code)
	require.Equal(t, 401, y.sendFrom("127.0.0.1:1", "GET", "/api/v1/machines", "", "").Code)
}

func keysOf(m map[string][]who) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
