package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

func TestEmptyListsAreArrays(t *testing.T) {
	f := newFixture(t)
	for _, kind := range []string{"machines", "environments", "projects", "triggers", "releases", "deployments",
		"candidates"} {
		var list struct{ Items, Position json.RawMessage }
		f.get("/"+kind, &list)
		require.JSONEq(t, "[]", string(list.Items), kind)
		require.Equal(t, byte('"'), list.Position[0], "positions are text")
	}
}

func TestResourcesAreListedAndFoundByName(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	for path, want := range map[string]string{
		"/machines/web-01": `"environment":"production"`, "/environments/production": `"machines":1`,
		"/policies/default": `"offlineAfter":"30s"`,
		"/projects/shop":    `"releases":1`, "/triggers/shop/joins": `"events":["MachineAvailable"]`,
		"/releases/shop/1.0":                     `"environments":["production"]`,
		"/servers/" + f.engine.Server().String(): `"self":true`, "/servers": `"alive":true`, "/tokens": `"kind":"admin"`,
		"/deployments": `"state":"succeeded"`, "/candidates": `"verdict":"wait"`, "/resources/project/shop": "run: \"true\"",
	} {
		var text string
		f.get(path, &text)
		require.Contains(t, text, want, path)
	}
}

func TestMissingResourcesAreNotFound(t *testing.T) {
	f := newFixture(t)
	f.shop()
	for _, path := range []string{"/machines/nobody", "/environments/x", "/policies/x", "/projects/x", "/triggers/shop/x",
		"/releases/shop/9", "/servers/x",
		"/tokens/x", "/deployments/x", "/resources/machine/x", "/resources/pod/x", "/why?machine=nobody",
		"/deployments/x/output", "/machines/a%2Fb"} {
		var p *client.Problem
		_, err := f.admin.Get(context.Background(), strings.Split(path, "?")[0], queryOf(path), nil)
		require.ErrorAs(t, err, &p, path)
		require.Equal(t, 404, p.Status, path)
		require.Equal(t, "not-found", p.Kind, path)
		require.NotEmpty(t, p.Detail, path)
	}
	var p *client.Problem
	_, err := f.admin.Get(context.Background(), "/nowhere", nil, nil)
	require.ErrorAs(t, err, &p)
	require.Equal(t, "invalid", p.Kind, "an unknown route means that the client has another version")
	require.Contains(t, p.Hint, "its version differs")
}

func TestListPagesAreComplete(t *testing.T) {
	f := newFixture(t)
	f.shop()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.do(domain.ApplyMachine{Name: name, Environment: "production"})
	}
	var names []string
	for next := ""; ; {
		var list explain.List[explain.Machine]
		f.get("/machines?limit=2&next="+next, &list)
		for _, m := range list.Items {
			names = append(names, m.Name)
		}
		if next = list.Next; next == "" {
			break
		}
	}
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, names)
}

func TestMachinesAreFiltered(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"}})
	f.do(domain.ApplyMachine{Name: "db-01", Environment: "production", Roles: []string{"db"}, Disabled: true})
	for filter, want := range map[string]int{"role=web": 1, "state=disabled": 1, "state=behind": 2, "state=online": 0,
		"environment=staging":       0,
		"project=shop&state=behind": 2, "project=nobody": 0, "machine=db-01": 1, "state=held": 0, "state=unknown": 2} {
		var list explain.List[explain.Machine]
		f.get("/machines?"+filter, &list)
		require.Len(t, list.Items, want, filter)
	}
	for _, filter := range []string{"state=sleeping", "limit=0", "limit=99999", "colour=red"} {
		var p *client.Problem
		_, err := f.admin.Get(context.Background(), "/machines", queryOf("/machines?"+filter), nil)
		require.ErrorAs(t, err, &p, filter)
		require.Equal(t, 422, p.Status, filter)
	}
}

func TestReadReflectsTheGivenPosition(t *testing.T) {
	f := newFixture(t)
	f.shop()
	written := f.post("/machines", object{"name": "web-01", "environment": "production"})
	var m explain.Machine
	f.get("/machines/web-01?after="+written.Position, &m)
	require.Equal(t, "web-01", m.Name)
	var p *client.Problem
	_, err := f.admin.Get(context.Background(), "/machines/web-01", queryOf("/?after=soon"), nil)
	require.ErrorAs(t, err, &p)
	require.Equal(t, 422, p.Status)
}

func TestOpenAPIIsPublishedWithoutDocumentationPages(t *testing.T) {
	f := newFixture(t)
	answer, err := http.Get(f.server.URL + "/api/openapi.json")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	var spec struct {
		OpenAPI string
		Paths   map[string]any
	}
	require.NoError(t, json.Unmarshal(text, &spec))
	require.Regexp(t, `^3\.1`, spec.OpenAPI)
	for _, path := range []string{"/api/v1/machines", "/api/v1/deployments/{id}/machines/{name}/claim",
		"/api/v1/events/stream", "/readyz", "/api/v1/apply"} {
		require.Contains(t, spec.Paths, path)
	}
	require.NotContains(t, string(text), "$schema")
	for _, path := range []string{"/docs", "/schemas/Machine.json"} {
		answer, err := http.Get(f.server.URL + path)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, 404, answer.StatusCode, path)
	}
}

// deadlineRecorder records the write deadline of a response.
type deadlineRecorder struct {
	*httptest.ResponseRecorder
	until time.Time
}

// SetWriteDeadline records the deadline instead of setting it on a connection.
func (w *deadlineRecorder) SetWriteDeadline(until time.Time) error {
	w.until = until
	return nil
}

func TestVerifyingTheLogHasNoWriteDeadline(t *testing.T) {
	f := newFixture(t)
	for path, bounded := range map[string]bool{"/api/v1/machines": true, "/api/v1/log/verify": false} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+f.admin.Token)
		w := &deadlineRecorder{ResponseRecorder: httptest.NewRecorder()}
		f.api.Handler().ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Equal(t, bounded, !w.until.IsZero(), path)
	}
}
