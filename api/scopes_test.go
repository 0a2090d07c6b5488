package api_test

import (
	"context"
	"crypto/tls"
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

// sender is the kind of credential that a request is sent with.
type sender string

const (
	nobody    sender = "nobody"
	reader    sender = "read"
	deployer  sender = "deploy"
	admin     sender = "admin"
	joinToken sender = "join token"
	itself    sender = "the machine's agent"
	another   sender = "another machine's agent"
)

var senders = []sender{nobody, reader, deployer, admin, joinToken, itself, another}

// The senders with access to a route.
var (
	readers   = []sender{reader, deployer, admin}
	deployers = []sender{deployer, admin}
	admins    = []sender{admin}
	ownAgents = []sender{admin, itself}
	joiners   = []sender{admin, joinToken, itself}
	probes    = []sender{nobody, reader, deployer, admin}
)

// routePermissions lists all routes, and which senders have access from another machine. A route without an entry
// fails the test.
var routePermissions = map[string][]sender{
	"GET /healthz": probes, // the response contains only the status of the process
	"GET /readyz":  probes, // returns only 200 or 503 without a token
	"GET /metrics": readers,

	"GET /api/v1/proof": senders, // returns nothing but a proof

	"GET /api/v1/machines":                            readers,
	"GET /api/v1/machines/{name}":                     readers,
	"GET /api/v1/environments":                        readers,
	"GET /api/v1/environments/{name}":                 readers,
	"GET /api/v1/policies":                            readers,
	"GET /api/v1/policies/{name}":                     readers,
	"GET /api/v1/projects":                            readers,
	"GET /api/v1/projects/{name}":                     readers,
	"GET /api/v1/triggers":                            readers,
	"GET /api/v1/triggers/{project}/{name}":           readers,
	"GET /api/v1/releases":                            readers,
	"GET /api/v1/releases/{project}/{name}":           readers,
	"GET /api/v1/deployments":                         readers,
	"GET /api/v1/deployments/{name}":                  readers,
	"GET /api/v1/deployments/{id}/output":             readers,
	"GET /api/v1/deployments/{id}/output/stream":      readers,
	"GET /api/v1/candidates":                          readers,
	"GET /api/v1/tokens":                              readers,
	"GET /api/v1/tokens/{name}":                       readers,
	"GET /api/v1/people":                              readers,
	"GET /api/v1/access":                              readers,
	"GET /api/v1/access/{name}":                       readers,
	"GET /api/v1/may":                                 readers,
	"GET /api/v1/servers":                             readers,
	"GET /api/v1/servers/{name}":                      readers,
	"GET /api/v1/events":                              readers,
	"GET /api/v1/events/stream":                       readers,
	"GET /api/v1/why":                                 readers,
	"GET /api/v1/log/verify":                          readers,
	"GET /api/v1/resources/{kind}/{name}":             readers,
	"GET /api/v1/due":                                 readers,
	"GET /api/v1/variables":                           readers,
	"GET /api/v1/past/{at}/machines/{name}":           readers,
	"GET /api/v1/past/{at}/environments/{name}":       readers,
	"GET /api/v1/past/{at}/policies/{name}":           readers,
	"GET /api/v1/past/{at}/projects/{name}":           readers,
	"GET /api/v1/past/{at}/triggers/{project}/{name}": readers,
	"GET /api/v1/past/{at}/releases/{project}/{name}": readers,
	"GET /api/v1/past/{at}/deployments/{name}":        readers,
	"GET /api/v1/past/{at}/access/{name}":             readers,
	"GET /api/v1/past/{at}/resources/{kind}/{name}":   readers,
	"GET /api/v1/status":                              readers,
	"GET /api/v1/doctor":                              readers,
	"POST /api/v1/deployments/reach":                  readers,

	"POST /api/v1/projects/{project}/releases":       deployers,
	"POST /api/v1/releases/{project}/{name}/retire":  deployers,
	"POST /api/v1/releases/{project}/{name}/restore": deployers,
	"POST /api/v1/deployments":                       deployers,
	"POST /api/v1/deployments/{name}/accept":         deployers,
	"POST /api/v1/deployments/{name}/cancel":         deployers,
	"POST /api/v1/deployments/{name}/kill":           deployers,
	"POST /api/v1/deployments/{name}/retry":          deployers,
	"POST /api/v1/rollback":                          deployers,
	"POST /api/v1/retry":                             deployers,
	"POST /api/v1/pins":                              deployers,
	"DELETE /api/v1/pins/{project}/{name}":           deployers,
	"POST /api/v1/holds":                             deployers,
	"DELETE /api/v1/holds/{project}/{name}":          deployers,

	"POST /api/v1/preview/deployments":                       deployers,
	"POST /api/v1/preview/deployments/{name}/accept":         deployers,
	"POST /api/v1/preview/deployments/{name}/cancel":         deployers,
	"POST /api/v1/preview/deployments/{name}/retry":          deployers,
	"POST /api/v1/preview/releases/{project}/{name}/restore": deployers,
	"POST /api/v1/preview/rollback":                          deployers,
	"POST /api/v1/preview/retry":                             deployers,
	"POST /api/v1/preview/pins":                              deployers,
	"POST /api/v1/preview/pins/{project}/{name}":             deployers,
	"POST /api/v1/preview/holds":                             deployers,
	"POST /api/v1/preview/holds/{project}/{name}":            deployers,
	"POST /api/v1/preview/machines/{name}/enable":            admins,
	"POST /api/v1/preview/projects/{name}/enable":            admins,
	"POST /api/v1/preview/triggers/{project}/{name}/enable":  admins,

	"GET /api/v1/log/backup":                         admins,
	"POST /api/v1/apply":                             admins,
	"POST /api/v1/tokens":                            admins,
	"POST /api/v1/server-key/rotate":                 admins,
	"DELETE /api/v1/tokens/{name}":                   admins,
	"POST /api/v1/people":                            admins,
	"DELETE /api/v1/people/{name}":                   admins,
	"DELETE /api/v1/access/{name}":                   admins,
	"DELETE /api/v1/environments/{name}":             admins,
	"DELETE /api/v1/policies/{name}":                 admins,
	"DELETE /api/v1/projects/{name}":                 admins,
	"DELETE /api/v1/machines/{name}":                 admins,
	"DELETE /api/v1/triggers/{project}/{name}":       admins,
	"POST /api/v1/machines/{name}/enable":            admins,
	"POST /api/v1/machines/{name}/disable":           admins,
	"POST /api/v1/machines/{name}/reimage":           admins,
	"POST /api/v1/projects/{name}/enable":            admins,
	"POST /api/v1/projects/{name}/disable":           admins,
	"POST /api/v1/triggers/{project}/{name}/enable":  admins,
	"POST /api/v1/triggers/{project}/{name}/disable": admins,
	"POST /api/v1/log/clear":                         admins,
	"POST /api/v1/log/accept-restore":                admins,
	"GET /api/v1/log/export":                         admins,

	"POST /api/v1/machines":                                joiners, // another machine's agent is refused
	"POST /api/v1/machines/{name}/reports":                 ownAgents,
	"GET /api/v1/machines/{name}/work":                     ownAgents,
	"POST /api/v1/deployments/{id}/machines/{name}/claim":  ownAgents,
	"POST /api/v1/deployments/{id}/machines/{name}/output": ownAgents,
	"POST /api/v1/deployments/{id}/machines/{name}/end":    ownAgents,
}

// mine is the machine in the paths.
const mine = "box-01"

// firstWrite is a response that ends the request at its first write, because streams do not end by themselves.
type firstWrite struct {
	*httptest.ResponseRecorder
	end context.CancelFunc
}

func (a firstWrite) WriteHeader(status int) {
	a.ResponseRecorder.WriteHeader(status)
	a.end()
}

func (a firstWrite) Write(p []byte) (int, error) {
	defer a.end()
	return a.ResponseRecorder.Write(p)
}

// sendFrom sends a request over TLS from the given remote address.
func (f *fixture) sendFrom(remote, method, path, bearer, body string) *httptest.ResponseRecorder {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = remote, "localhost:7070"
	if path != client.ProofPath { // its answer depends on the keys of a real connection
		r.TLS = &tls.ConnectionState{}
	}
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer := firstWrite{httptest.NewRecorder(), end}
	f.api.Handler().ServeHTTP(answer, r)
	return answer.ResponseRecorder
}

// operations returns all operations in the OpenAPI document.
func (f *fixture) operations() (all []string) {
	var document struct{ Paths map[string]map[string]any }
	require.NoError(f.t,
		json.Unmarshal(f.sendFrom("192.0.2.1:1", "GET", "/api/openapi.json", "", "").Body.Bytes(), &document))
	for path, methods := range document.Paths {
		for method := range methods {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// bodies contains valid bodies for the routes that check the body before the permissions.
var bodies = map[string]string{
	"POST /api/v1/machines": `{"name": "` + mine + `", "environment": "production", "instance": "%s", "secret": "` + strings.Repeat("5e",
		32) + `"}`,
	"POST /api/v1/machines/{name}/reports":                 `{"status": "healthy"}`,
	"POST /api/v1/deployments/{id}/machines/{name}/claim":  `{"session": ""}`,
	"POST /api/v1/deployments/{id}/machines/{name}/output": `{"session": "", "sequence": 1, "data": ""}`,
	"POST /api/v1/deployments/{id}/machines/{name}/end":    `{"session": "", "state": "failed"}`,
}

// credentials returns a credential for each sender.
func (f *fixture) credentials() map[sender]string {
	secret := strings.Repeat("5e", 32)
	agentOf := func(machine string) string {
		h := f.joinedEarlier(machine)
		d := f.dial(h)
		receive(d, welcome)
		d.send(client.FromAgent{Goodbye: &client.Goodbye{}})
		d.waitUntilClosed()
		return "agent:" + h.Instance + ":" + secret
	}
	return map[sender]string{nobody: "", reader: f.token(domain.TokenSettings{Scope: domain.ReadScope}),
		deployer: f.token(domain.TokenSettings{Scope: domain.DeployScope}), admin: f.admin.Token,
		joinToken: f.join(0), itself: agentOf(mine), another: agentOf("box-02")}
}

func TestEachRouteAdmitsExactlyTheSendersInItsEntry(t *testing.T) {
	f := newFixture(t)
	f.shop()
	operations := f.operations()
	require.Subset(t, operations, keysOf(routePermissions), "an entry has no route")
	credentials := f.credentials()
	for i, operation := range operations {
		allowed, known := routePermissions[operation]
		require.True(t, known, "%s has no entry: add the senders that have access", operation)
		method, path, _ := strings.Cut(operation, " ")
		path = strings.NewReplacer("{name}", mine, "{project}", "ghost", "{id}", uuid.NewString(), "{kind}", "machines", "{at}", "1").
			Replace(path)
		for _, sender := range senders {
			body := bodies[operation]
			if body == "" {
				body = "{}"
			} else if strings.Contains(body, "%s") {
				body = fmt.Sprintf(body, uuid.NewString())
			}
			if method == http.MethodDelete || strings.HasSuffix(path, "able") {
				path = strings.ReplaceAll(path, mine, "ghost") // senders with access must not change anything
			}
			answer := f.sendFrom(fmt.Sprintf("192.0.2.%d:9999", i), method, path, credentials[sender], body)
			refused := answer.Code == http.StatusUnauthorized || answer.Code == http.StatusForbidden
			require.Equal(t, !slices.Contains(allowed, sender), refused, "%s by %s: %d %s", operation, sender, answer.Code,
				answer.Body)
			require.Less(t, answer.Code, 500, "%s by %s: %s", operation, sender, answer.Body)
			require.Equal(t, sender == nobody && refused, answer.Code == http.StatusUnauthorized, "%s by %s", operation, sender)
		}
	}
}

func TestNoRouteBypassesTheRouter(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var unguarded []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if !strings.HasSuffix(file, "_test.go") && strings.Contains(line, "mux.Handle") {
				unguarded = append(unguarded, strings.TrimSpace(line))
			}
		}
	}
	require.Equal(t, []string{
		`a.mux.HandleFunc("GET /api/v1/agent", a.serveAgent)`,                  // authenticates with its hello
		`a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {`, // returns the not-found problem
	}, unguarded, "a route outside the router has no access check")
}

func TestDetailsWithoutATokenAreOnlyAvailableOnLoopback(t *testing.T) {
	f := newFixture(t)
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401, "/api/v1/machines": 401} {
		require.Equal(t, status, f.sendFrom("192.0.2.1:1", "GET", path, "", "").Code, path)
	}
	f.ready = fmt.Errorf("the disk of host-7 is full")
	require.NotContains(t, f.sendFrom("192.0.2.1:1", "GET", "/readyz", "", "").Body.String(), "host-7")
	require.Contains(t, f.sendFrom("127.0.0.1:1", "GET", "/readyz", "", "").Body.String(), "host-7")
	require.Equal(t, 200, f.sendFrom("127.0.0.1:1", "GET", "/metrics", "", "").Code)
	require.Equal(t, 401, f.sendFrom("127.0.0.1:1", "GET", "/api/v1/machines", "", "").Code)
}

func keysOf(m map[string][]sender) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
