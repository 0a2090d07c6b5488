package api_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/ids"
)

// ask sends a request to /api/v1 from another machine.
func (f *fixture) ask(method, path, token, body string) *httptest.ResponseRecorder {
	return f.sendFrom("192.0.2.1:1", method, "/api/v1"+path, token, body)
}

// requireSame checks that two answers are equal but for a name.
func requireSame(t *testing.T, missing, hidden *httptest.ResponseRecorder, missingName, hiddenName string) {
	t.Helper()
	require.Equal(t, missing.Code, hidden.Code, "%s", hidden.Body)
	require.Equal(t, strings.ReplaceAll(missing.Body.String(), missingName, "NAME"),
		strings.ReplaceAll(hidden.Body.String(), hiddenName, "NAME"))
}

func TestHiddenMachineInADeploymentDoesNotExist(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	body := func(field, machine string) string {
		return `{"project": "shop", "environment": "production", "release": "1.0", "` + field + `": ["` + machine + `"]}`
	}
	for permission, paths := range map[domain.Permission][]string{
		domain.Viewer: {"/deployments/reach"}, domain.Deployer: {"/deployments/reach", "/deployments"},
	} {
		caller := f.limited(permission)
		for _, path := range paths {
			for _, field := range []string{"machines", "exclude"} {
				missing := f.ask(http.MethodPost, path, caller, body(field, "ghost"))
				require.Equal(t, http.StatusNotFound, missing.Code, missing.Body)
				requireSame(t, missing, f.ask(http.MethodPost, path, caller, body(field, "secret-09")), "ghost", "secret-09")
			}
		}
	}
	answer := f.ask(http.MethodPost, "/deployments/reach", f.token(domain.TokenSettings{Permission: domain.Viewer}),
		body("machines", "secret-09"))
	require.Contains(t, answer.Body.String(), "machine secret-09 is in environment staging, not in production")
}

func TestHiddenDeploymentCannotBeToldFromOneThatDoesNotExist(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	deployer, ghost := f.limited(domain.Deployer), ids.New().String()
	missing := f.ask(http.MethodPost, "/deployments/"+ghost+"/cancel", deployer, "{}")
	require.Equal(t, http.StatusNotFound, missing.Code, missing.Body)
	for _, hidden := range []string{f.deploymentOf("shop", "staging"), f.deploymentOf("blog", "production")} {
		requireSame(t, missing, f.ask(http.MethodPost, "/deployments/"+hidden+"/cancel", deployer, "{}"), ghost, hidden)
	}
	operator := f.limited(domain.Operator) // sees the deployment
	visible := f.ask(http.MethodPost, "/deployments/"+f.deploymentOf("shop", "production")+"/cancel", operator, "{}")
	require.Equal(t, http.StatusForbidden, visible.Code, visible.Body)
}

func TestProjectShowsOnlyTriggersAndWaitingMachinesThatTheReaderSees(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	f.do(domain.ApplyTrigger{Project: "shop", Name: "secret-trigger", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"staging"}}})
	f.do(domain.ApplyTrigger{Project: "shop", Name: "everywhere", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{domain.All}}})
	f.do(domain.ApplyMachine{Name: "secret-10", Environment: "staging"})
	f.do(domain.ApplyMachine{Name: "web-02", Environment: "production"})
	read := func(path, token string, into any) {
		t.Helper()
		answer := f.ask(http.MethodGet, path, token, "")
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), into))
	}
	type project struct {
		Triggers []string
		Waiting  int
	}
	type trigger struct {
		Name    string
		Waiting int
	}
	var all, seen project
	read("/projects/shop", f.token(domain.TokenSettings{Permission: domain.Viewer}), &all)
	require.Equal(t, project{[]string{"both", "everywhere", "joins", "secret-trigger"}, 3}, all)
	viewer := f.limited(domain.Viewer)
	read("/projects/shop", viewer, &seen)
	require.Equal(t, project{[]string{"both", "everywhere", "joins"}, 2}, seen)
	var list struct{ Items []project }
	read("/projects", viewer, &list)
	require.Equal(t, []project{seen}, list.Items)
	var one trigger
	read("/triggers/shop/both", viewer, &one)
	require.Equal(t, trigger{"both", 1}, one)
	for _, path := range []string{"/triggers", "/releases"} {
		var shown, hidden struct{ Items []trigger }
		read(path+"?environment=staging&project=shop", f.token(domain.TokenSettings{Permission: domain.Viewer}), &shown)
		require.NotEmpty(t, shown.Items)
		read(path+"?environment=staging", viewer, &hidden)
		require.Empty(t, hidden.Items, "%s tells what is used in a hidden environment", path)
	}
}

func TestEventsOfATriggerAreShownToThoseWhoSeeTheTrigger(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	hidden := domain.ApplyTrigger{Project: "shop", Name: "secret-trigger", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"staging"}}}
	f.do(hidden)
	f.do(domain.SetTriggerEnabled{Project: "shop", Name: "secret-trigger"})
	f.do(domain.SetTriggerEnabled{Project: "shop", Name: "secret-trigger", Enabled: true})
	f.do(domain.SetTriggerEnabled{Project: "shop", Name: "joins"})
	f.do(domain.DeleteTrigger{Project: "shop", Name: "secret-trigger"})
	hidden.Name = "secret-other"
	f.do(hidden)
	f.do(domain.SetTriggerEnabled{Project: "shop", Name: "secret-other"})
	f.requireHidden("secret", "trigger joins disabled", "/events?limit=5000", "/why?machine=web-01&project=shop")
}

// requireHidden checks that a limited viewer finds what is shown in each of the answers and in the live stream, and
// nothing that is hidden.
func (f *fixture) requireHidden(hidden, shown string, paths ...string) {
	f.t.Helper()
	viewer := f.limited(domain.Viewer)
	for _, path := range paths {
		answer := f.ask(http.MethodGet, path, viewer, "")
		require.Equal(f.t, http.StatusOK, answer.Code, answer.Body)
		require.Contains(f.t, answer.Body.String(), shown, path)
		require.NotContains(f.t, answer.Body.String(), hidden, path)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.server.URL+"/api/v1/events/stream?after=0",
		http.NoBody)
	require.NoError(f.t, err)
	request.Header.Set("Authorization", "Bearer "+viewer)
	lines := bufio.NewScanner(f.raw(request).Body)
	f.do(domain.CreateRelease{Project: "shop", Version: "end-of-test"})
	found := false
	for lines.Scan() && !strings.Contains(lines.Text(), "end-of-test") {
		require.NotContains(f.t, lines.Text(), hidden)
		found = found || strings.Contains(lines.Text(), shown)
	}
	require.True(f.t, found, "the stream does not contain %q", shown)
}

func TestLostStateNamesOnlyProjectsThatTheReaderSees(t *testing.T) {
	f := newFixture(t)
	h, d, _ := f.installed()
	f.do(domain.ApplyProject{Name: "billing",
		Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}}})
	f.do(domain.CreateRelease{Project: "billing", Version: "7.7"})
	f.do(domain.Deploy{Project: "billing", Release: "7.7", Environment: "production"})
	f.tick()
	work := receive(d, offer)
	d.send(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	receive(d, claimed)
	d.succeed(work.Deployment)
	d.send(client.FromAgent{Goodbye: &client.Goodbye{}})
	d.waitUntilClosed()
	h.Session = uuid.NewString()
	d = f.dial(h)
	receive(d, welcome)
	other := client.RememberedProject{Release: "0.9", Deployments: []string{uuid.NewString()}}
	d.send(client.FromAgent{Remembered: &client.Remembered{
		Projects: map[string]client.RememberedProject{"shop": other, "billing": other}}})
	d.synchronize()
	require.Equal(t, 1, f.events("MachineLostState"))
	f.requireHidden("billing", "that it installed 1.0 of project shop", "/events?limit=5000",
		"/why?machine=web-01&project=shop")
}

func TestEventsOfAnEarlierMachineOfTheSameNameStayInItsEnvironment(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	f.do(domain.ApplyMachine{Name: "app-01", Environment: "staging", Roles: []string{"secret-role"}})
	f.do(domain.SetHold{Project: "shop", Machine: "app-01", Reason: "secret-reason"})
	f.do(domain.DeleteMachine{Name: "app-01"})
	f.do(domain.ApplyMachine{Name: "app-01", Environment: "production", Roles: []string{"new-role"}})
	f.requireHidden("secret", "new-role", "/events?limit=5000", "/why?machine=app-01&project=shop")
}

func TestIdempotencyKeyOfAnotherCallerRevealsNothingAndBlocksNothing(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	admin := f.token(domain.TokenSettings{Scope: domain.AdminScope})
	deployer := f.limited(domain.Deployer)
	write := func(token, key, path, body string) (int, client.Written) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.server.URL+"/api/v1"+path,
			strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(client.KeyHeader, key)
		answer := f.raw(request)
		var written client.Written
		_ = json.NewDecoder(answer.Body).Decode(&written)
		return answer.StatusCode, written
	}
	here := `{"project": "shop", "release": "1.0", "environment": "production"}`
	there := `{"project": "shop", "release": "1.0", "environment": "staging"}`

	key := uuid.NewString()
	status, first := write(admin, key, "/deployments", there)
	require.Equal(t, http.StatusOK, status)
	status, stolen := write(deployer, key, "/deployments", there)
	require.Equal(t, http.StatusForbidden, status)
	require.Empty(t, stolen.Deployment)
	status, repeat := write(admin, key, "/deployments", there)
	require.Equal(t, http.StatusOK, status)
	require.True(t, repeat.Repeat)
	require.Equal(t, first.Deployment, repeat.Deployment)

	key = uuid.NewString()
	status, own := write(deployer, key, "/deployments", here)
	require.Equal(t, http.StatusOK, status)
	status, other := write(admin, key, "/deployments", there)
	require.Equal(t, http.StatusOK, status)
	require.False(t, other.Repeat)
	status, same := write(admin, uuid.NewString(), "/deployments", here)
	require.Equal(t, http.StatusOK, status)
	require.NotEqual(t, own.Deployment, same.Deployment)
	status, _ = write(deployer, key, "/deployments", there)
	require.Equal(t, http.StatusConflict, status, "the caller used its own key for two commands")
	_, again := write(deployer, key, "/deployments", here)
	require.Equal(t, own.Deployment, again.Deployment)

	key = uuid.NewString() // two callers send the same command with the same key
	_, a := write(admin, key, "/deployments", here)
	_, b := write(deployer, key, "/deployments", here)
	require.NotEmpty(t, a.Deployment)
	require.NotEmpty(t, b.Deployment)
	require.NotEqual(t, a.Deployment, b.Deployment)
	_, repeat = write(deployer, key, "/deployments", here)
	require.True(t, repeat.Repeat)
	require.Equal(t, b.Deployment, repeat.Deployment)
}

func TestDescriptionOfTheAPINeedsNoToken(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/api/openapi.json", "/api/openapi.yaml", "/api/openapi-3.0.json",
		"/api/openapi-3.0.yaml"} {
		require.Equal(t, http.StatusOK, f.sendFrom("192.0.2.1:1", http.MethodGet, path, "", "").Code, path)
	}
	require.Equal(t, http.StatusUnauthorized, f.ask(http.MethodGet, "/machines", "", "").Code)
}
