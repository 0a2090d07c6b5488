package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/query"
)

// twoProjects adds project shop with machine web-01 in production, and project blog with machine secret-09 in staging.
// Project shop has a trigger, a pin, a hold and a deployment in both environments.
func (f *fixture) twoProjects() {
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	f.do(domain.ApplyEnvironment{Name: "staging"})
	f.do(domain.ApplyMachine{Name: "secret-09", Environment: "staging"})
	f.do(domain.ApplyProject{Name: "blog",
		Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "secret-script"}}}})
	f.do(domain.ApplyTrigger{Project: "blog", Name: "secret-joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"staging"}}})
	f.do(domain.ApplyTrigger{Project: "shop", Name: "both", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production", "staging"}}})
	f.do(domain.CreateRelease{Project: "blog", Version: "9.9"})
	for project, version := range map[string]string{"shop": "1.0", "blog": "9.9"} {
		f.do(domain.Deploy{Project: project, Release: version, Environment: "staging", Reason: "secret-reason"})
		f.do(domain.SetHold{Project: project, Machine: "secret-09", Reason: "secret-reason"})
		f.do(domain.SetPin{Project: project, Release: version, Environment: "staging", Reason: "secret-reason"})
		f.do(domain.Deploy{Project: project, Release: version, Environment: "production"})
		f.do(domain.SetHold{Project: project, Machine: "web-01"})
	}
}

// limited returns a token with a permission for project shop in production.
func (f *fixture) limited(permission domain.Permission) string {
	return f.token(domain.TokenSettings{Permission: permission, Projects: []string{"shop"},
		Environments: []string{"production"}})
}

// now returns the position of the end of the log.
func (f *fixture) now() string { return f.engine.Position().String() }

// deploymentOf returns the id of the newest deployment of a project in an environment.
func (f *fixture) deploymentOf(project, environment string) string {
	var list struct{ Items []struct{ ID string } }
	f.get("/deployments?project="+project+"&environment="+environment, &list)
	require.NotEmpty(f.t, list.Items)
	return list.Items[0].ID
}

func TestLimitedReaderSeesOnlyItsProjectInItsEnvironment(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	viewer := f.limited(domain.Viewer)
	shown := map[string]string{ // path: what the reader sees
		"/machines": `"web-01"`, "/machines/web-01": `"web-01"`, "/environments": `"production"`,
		"/environments/production": `"production"`, "/projects": `"shop"`, "/projects/shop": `"shop"`,
		"/triggers": `"joins"`, "/triggers/shop/joins": `"joins"`,
		"/triggers/shop/both": `"production"`, "/resources/trigger/joins?project=shop": "joins", "/releases": `"1.0"`, "/releases/shop/1.0": `"1.0"`,
		"/deployments": `"shop"`, "/candidates": `"web-01"`, "/why?machine=web-01": `"shop"`, "/due": `"items"`,
		"/variables?project=shop&environment=production": `"items"`, "/variables?project=shop&machine=web-01": `"items"`,
		"/status": `"shop"`, "/status?environment=production": `"shop"`,
		"/past/" + f.now() + "/projects/shop": `"shop"`, "/past/" + f.now() + "/resources/project/shop": "shop",
		"/events": `"DeploymentQueued"`, "/resources/machine/web-01": "web-01", "/resources/project/shop": "shop",
		"/deployments/" + f.deploymentOf("shop", "production"):             `"shop"`,
		"/deployments/" + f.deploymentOf("shop", "production") + "/output": `"items"`,
	}
	for path, want := range shown {
		answer := f.sendFrom("192.0.2.1:1", http.MethodGet, "/api/v1"+path, viewer, "")
		require.Equal(t, http.StatusOK, answer.Code, "%s: %s", path, answer.Body)
		require.Contains(t, answer.Body.String(), want, path)
		for _, secret := range []string{"blog", "secret", "staging", "9.9"} {
			require.NotContains(t, answer.Body.String(), secret, path)
		}
	}
	for path, like := range map[string]string{ // path of a hidden resource, path of one that does not exist
		"/machines/secret-09": "/machines/ghost", "/environments/staging": "/environments/ghost",
		"/projects/blog": "/projects/ghost", "/triggers/blog/secret-joins": "/triggers/ghost/secret-joins",
		"/releases/blog/9.9": "/releases/ghost/9.9", "/why?machine=secret-09": "/why?machine=ghost",
		"/why?machine=web-01&project=blog": "/why?machine=web-01&project=ghost",
		"/resources/machine/secret-09":     "/resources/machine/ghost", "/resources/project/blog": "/resources/project/ghost",
		"/resources/trigger/both?project=shop":         "/resources/trigger/ghost?project=shop",
		"/resources/environment/staging":               "/resources/environment/ghost",
		"/resources/trigger/secret-joins?project=blog": "/resources/trigger/ghost?project=blog",
		"/past/" + f.now() + "/projects/blog":          "/past/" + f.now() + "/projects/ghost",
		"/past/" + f.now() + "/resources/project/blog": "/past/" + f.now() + "/resources/project/ghost",
		"/past/" + f.now() + "/machines/secret-09":     "/past/" + f.now() + "/machines/ghost",
		"/status?project=blog":                         "/status?project=ghost", "/status?environment=staging": "/status?environment=ghost",
		"/variables?project=blog&environment=production":                   "/variables?project=ghost&environment=production",
		"/variables?project=shop&environment=staging":                      "/variables?project=shop&environment=ghost",
		"/variables?project=shop&machine=secret-09":                        "/variables?project=shop&machine=ghost",
		"/machines?project=blog":                                           "/machines?project=ghost",
		"/deployments/" + f.deploymentOf("shop", "staging"):                "/deployments/" + ids.New().String(),
		"/deployments/" + f.deploymentOf("blog", "production") + "/output": "/deployments/" + ids.New().String() + "/output",
	} {
		hidden := f.sendFrom("192.0.2.1:1", http.MethodGet, "/api/v1"+path, viewer, "")
		missing := f.sendFrom("192.0.2.1:1", http.MethodGet, "/api/v1"+like, viewer, "")
		require.Equal(t, missing.Code, hidden.Code, path)
		names := func(text, path string) string {
			for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return strings.ContainsRune("/?=&", r) }) {
				text = strings.ReplaceAll(text, part, "NAME")
			}
			return text
		}
		require.Equal(t, names(missing.Body.String(), like), names(hidden.Body.String(), path), path)
	}
}

// TestLimitedReaderIsRefusedWhereNothingIsFiltered fails for a new read until its route filters its answer, or is listed
// here as one for readers of everything.
func TestLimitedReaderIsRefusedWhereNothingIsFiltered(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	viewer := f.limited(domain.Viewer)
	whole := []string{"GET /metrics", "GET /api/v1/policies", "GET /api/v1/policies/{name}", "GET /api/v1/tokens",
		"GET /api/v1/tokens/{name}", "GET /api/v1/people", "GET /api/v1/servers", "GET /api/v1/servers/{name}",
		"GET /api/v1/access", "GET /api/v1/access/{name}", "GET /api/v1/past/{at}/access/{name}",
		"GET /api/v1/past/{at}/policies/{name}", "GET /api/v1/may", "GET /api/v1/log/verify",
		"GET /api/v1/doctor"}
	now := f.now()
	for operation, allowed := range routePermissions {
		if !slices.Contains(allowed, reader) || slices.Contains(allowed, nobody) {
			continue
		}
		method, path, _ := strings.Cut(operation, " ")
		path = strings.NewReplacer("{name}", "ghost", "{project}", "ghost", "{id}", ids.New().String(), "{kind}", "machine",
			"{at}", now).Replace(path)
		answer := f.sendFrom("192.0.2.1:1", method, path, viewer, `{"project": "shop", "environment": "production"}`)
		require.Equal(t, slices.Contains(whole, operation), answer.Code == http.StatusForbidden, "%s: %d %s", operation,
			answer.Code, answer.Body)
	}
}

func TestLimitedReaderFollowsOnlyItsEventsUntilItsAccessChanges(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	text := f.token(domain.TokenSettings{Permission: domain.NoPermission, Groups: []string{"ops"}})
	grant := domain.ApplyAccess{Name: "ops", Settings: domain.AccessSettings{Permission: domain.Viewer,
		Who: domain.AccessWho{Groups: []string{"ops"}}, Projects: []string{"shop"}, Environments: []string{"production"}}}
	f.do(grant)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		f.server.URL+"/api/v1/events/stream?after=0", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+text)
	answer := f.raw(request)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	f.do(domain.CreateRelease{Project: "blog", Version: "9.10"})
	f.do(domain.CreateRelease{Project: "shop", Version: "1.1"})
	var read strings.Builder
	lines := bufio.NewScanner(answer.Body)
	for !strings.Contains(read.String(), `"1.1"`) && lines.Scan() {
		read.WriteString(lines.Text())
	}
	f.do(domain.DeleteAccess{Name: "ops"})
	for lines.Scan() { // ends with the stream
		read.WriteString(lines.Text())
	}
	require.Contains(t, read.String(), "HoldSet")
	for _, secret := range []string{"blog", "secret", "9.10"} {
		require.NotContains(t, read.String(), secret)
	}
}

// TestLimitedCallerChangesOnlyWhatItIsGranted fails for a new write until it is listed with a body.
func TestLimitedCallerChangesOnlyWhatItIsGranted(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	deployment := f.deploymentOf("shop", "production")
	in := `{"project": "shop", "environment": "production", "machine": "web-01", "release": "1.0"}`
	writes := map[string]string{
		"POST /api/v1/projects/{project}/releases": `{"version": "1.0"}`, "POST /api/v1/deployments": in,
		"POST /api/v1/deployments/{name}/accept": "{}",
		"POST /api/v1/deployments/{name}/cancel": "{}", "POST /api/v1/deployments/{name}/kill": "{}",
		"POST /api/v1/deployments/{name}/retry": `{"failed": true}`, "POST /api/v1/rollback": `{"project": "shop", "environment": "production"}`,
		"POST /api/v1/retry":                   `{"project": "shop", "machine": "web-01"}`,
		"POST /api/v1/pins":                    `{"project": "shop", "environment": "production", "release": "1.0"}`,
		"POST /api/v1/holds":                   `{"project": "shop", "machine": "web-01"}`,
		"DELETE /api/v1/pins/{project}/{name}": "", "DELETE /api/v1/holds/{project}/{name}": "",
		"POST /api/v1/apply":           "",
		"POST /api/v1/tokens":          `{"scope": "read"}`,
		"DELETE /api/v1/tokens/{name}": "", "POST /api/v1/people": `{"name": "Ann"}`,
		"DELETE /api/v1/people/{name}": "", "DELETE /api/v1/access/{name}": "",
		"DELETE /api/v1/environments/{name}": "", "DELETE /api/v1/policies/{name}": "",
		"DELETE /api/v1/projects/{name}": "", "DELETE /api/v1/machines/{name}": "",
		"DELETE /api/v1/triggers/{project}/{name}": "", "POST /api/v1/machines/{name}/enable": "{}",
		"POST /api/v1/machines/{name}/reimage": "{}",
		"POST /api/v1/machines/{name}/disable": "{}", "POST /api/v1/projects/{name}/enable": "{}",
		"POST /api/v1/projects/{name}/disable": "{}", "POST /api/v1/triggers/{project}/{name}/enable": "{}",
		"POST /api/v1/triggers/{project}/{name}/disable": "{}", "POST /api/v1/log/clear": `{"stream": "machine/web-01"}`,
		"POST /api/v1/log/accept-restore": "{}", "GET /api/v1/log/backup": "", "GET /api/v1/log/export": "",
		"POST /api/v1/machines": `{"name": "web-01", "environment": "production"}`,
	}
	writes["POST /api/v1/server-key/rotate"] = "{}"
	writes["POST /api/v1/releases/{project}/{name}/retire"] = `{"reason": "r"}`
	writes["POST /api/v1/releases/{project}/{name}/restore"] = "{}"
	writes["POST /api/v1/deployments"] = `{"project": "shop", "environment": "production", "release": "1.0"}`
	writes["POST /api/v1/apply"] = applyBody("kind: Trigger\nmetadata: {name: joins}\nspec: {project: shop, events: [MachineAvailable], environments: [production]}")
	granted := []string{ // by admin for shop in production
		"POST /api/v1/projects/{project}/releases", "POST /api/v1/deployments", "POST /api/v1/deployments/{name}/cancel",
		"POST /api/v1/deployments/{name}/kill", "POST /api/v1/deployments/{name}/retry",
		"POST /api/v1/deployments/{name}/accept",
		"POST /api/v1/rollback", "POST /api/v1/retry", "POST /api/v1/pins", "DELETE /api/v1/pins/{project}/{name}",
		"POST /api/v1/holds", "DELETE /api/v1/holds/{project}/{name}", "POST /api/v1/apply",
		"DELETE /api/v1/triggers/{project}/{name}", "POST /api/v1/triggers/{project}/{name}/enable",
		"POST /api/v1/triggers/{project}/{name}/disable",
	}
	for operation := range routePermissions { // a preview needs what its write needs
		path, isPreview := strings.CutPrefix(operation, "POST /api/v1/preview")
		for _, method := range []string{"POST", "DELETE"} {
			of := method + " /api/v1" + path
			body, known := writes[of]
			if !isPreview || !known {
				continue
			}
			writes[operation] = body
			if slices.Contains(granted, of) {
				granted = append(granted, operation)
			}
		}
	}
	here := f.limited(domain.Admin)
	elsewhere := f.token(domain.TokenSettings{Permission: domain.Admin, Projects: []string{"blog"},
		Environments: []string{"staging"}})
	last := func(a, b string) int { // what other requests need is deleted last
		return strings.Compare(fmt.Sprint(strings.HasPrefix(a, "DELETE"), a), fmt.Sprint(strings.HasPrefix(b, "DELETE"), b))
	}
	for _, operation := range slices.SortedFunc(slices.Values(keysOf(routePermissions)), last) {
		allowed := routePermissions[operation]
		if slices.Contains(allowed, reader) || slices.Contains(allowed, itself) && operation != "POST /api/v1/machines" {
			continue
		}
		body, known := writes[operation]
		require.True(t, known, "%s has no entry", operation)
		method, path, _ := strings.Cut(operation, " ")
		name := map[bool]string{true: "production", false: "web-01"}[strings.Contains(path, "/pins/")]
		switch {
		case strings.Contains(path, "/deployments/"):
			name = deployment
		case strings.Contains(path, "/triggers/"):
			name = "joins"
		case strings.Contains(path, "/projects/"):
			name = "shop"
		}
		path = strings.NewReplacer("{name}", name, "{project}", "shop").Replace(path)
		refused := f.sendFrom("192.0.2.1:1", method, path, elsewhere, body)
		if strings.Contains(path, "/deployments/") { // a hidden deployment does not exist
			require.Equal(t, http.StatusNotFound, refused.Code, refused.Body)
		} else {
			require.Equal(t, http.StatusForbidden, refused.Code, "%s: %s", operation, refused.Body)
			require.Contains(t, refused.Body.String(), " may not ", operation)
		}
		answer := f.sendFrom("192.0.2.1:1", method, path, here, body)
		require.Equal(t, slices.Contains(granted, operation), answer.Code != http.StatusForbidden, "%s: %d %s", operation,
			answer.Code, answer.Body)
	}
}

func applyBody(texts ...string) string {
	var files []object
	for i, text := range texts {
		files = append(files, object{"file": fmt.Sprint(i, ".yaml"), "text": "apiVersion: drover.dev/v1\n" + text})
	}
	body, _ := json.Marshal(object{"documents": files})
	return string(body)
}

func TestApplyIsRefusedAsAWholeWithAllThatIsMissing(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	owner := f.token(domain.TokenSettings{Permission: domain.Owner, Projects: []string{"shop"}})
	shop := "kind: Project\nmetadata: {name: shop}\nspec: {steps: [{name: new, run: \"true\"}]}"
	answer := f.sendFrom("192.0.2.1:1", http.MethodPost, "/api/v1/apply", owner, applyBody(shop,
		"kind: Project\nmetadata: {name: blog}\nspec: {}", "kind: Machine\nmetadata: {name: web-01}\nspec: {environment: production}",
		"kind: Trigger\nmetadata: {name: t}\nspec: {project: ghost, events: [MachineAvailable], environments: [nowhere]}"))
	require.Equal(t, http.StatusForbidden, answer.Code)
	var p client.Problem
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
	require.Contains(t, p.Detail, "nothing was written")
	require.Len(t, p.Errors, 3)
	require.Contains(t, p.Errors[0].Message, "Project blog: ")
	require.Contains(t, p.Errors[0].Message, "may not change the settings of project blog in all environments")
	require.Contains(t, p.Errors[1].Message, "may not change machine web-01")
	require.NotContains(t, answer.Body.String(), "does not exist")
	answer = f.sendFrom("192.0.2.1:1", http.MethodPost, "/api/v1/apply", owner, applyBody(shop))
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	require.Contains(t, answer.Body.String(), `"changed"`)
}

func TestCommandIsDecidedOnThePermissionsOfTheLog(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	token := ids.NewToken()
	f.do(domain.CreateToken{ID: token.ID, Settings: domain.TokenSettings{Permission: domain.NoPermission}, Hash: token.Hash()})
	grant := domain.ApplyAccess{Name: "x", Settings: domain.AccessSettings{Permission: domain.Releaser,
		Who: domain.AccessWho{Tokens: []string{token.ID}}, Projects: []string{"shop"}, Environments: []string{"*"}}}
	f.do(grant)
	release := func(version string) error { // as a command that passed its route before the Access was deleted
		_, err := f.engine.Handle(context.Background(), ids.New(), domain.CreateRelease{Project: "shop", Version: version,
			Origin: domain.Origin{Actor: domain.Actor{Kind: domain.TokenActor, ID: token.ID, Token: token.ID}}})
		return err
	}
	require.NoError(t, release("2.0"))
	f.do(domain.DeleteAccess{Name: "x"})
	var r *domain.Rejection
	require.ErrorAs(t, release("2.1"), &r)
	require.Equal(t, domain.Forbidden, r.Kind)
	f.do(grant)
	require.NoError(t, release("2.2"))
	f.do(domain.RevokeToken{ID: token.ID})
	require.ErrorAs(t, release("2.3"), &r)
	require.Contains(t, r.Reason, "the token was revoked")
}

func TestWhoMayAndWhyNotAnswerForNowAndForThePast(t *testing.T) {
	f := newFixture(t)
	f.twoProjects()
	token := ids.NewToken()
	f.do(domain.CreateToken{ID: token.ID, Settings: domain.TokenSettings{Permission: domain.NoPermission,
		Person: "p-0123456789ab"}, Hash: token.Hash()})
	granted := f.do(domain.ApplyAccess{Name: "x", Settings: domain.AccessSettings{Permission: domain.Deployer,
		Who: domain.AccessWho{People: []string{"p-0123456789ab"}}, Projects: []string{"shop"}, Environments: []string{"*"}}})
	f.do(domain.DeleteAccess{Name: "x"})
	may := func(more string) (answers query.MayAnswers) {
		f.get("/may?can=deploy&project=shop&environment=production"+more, &answers)
		return answers
	}
	tokens := func(answers query.MayAnswers) (all []string) {
		for _, item := range answers.Items {
			all = append(all, item.Token)
		}
		return all
	}
	require.NotContains(t, tokens(may("")), token.ID)
	require.Len(t, may("").Items, 1, "the admin")
	at := "&at=" + granted.Position.String()
	require.Contains(t, tokens(may(at)), token.ID)
	for _, who := range []string{token.ID, "p-0123456789ab"} {
		now, then := may("&who="+who).Items, may("&who="+who+at).Items
		require.Len(t, now, 1)
		require.False(t, now[0].May)
		require.Equal(t, "token "+token.ID+" may not deploy project shop in environment production: nothing is granted to it",
			now[0].Because)
		require.True(t, then[0].May)
		require.Equal(t, "token "+token.ID+" may deploy project shop in environment production: Access x gives person "+
			"p-0123456789ab permission deployer for project shop in all environments", then[0].Because)
	}
	var p *client.Problem
	for path, kind := range map[string]string{"/may?can=fly": client.Invalid, "/may?can=deploy&who=ghost": client.NotFound} {
		_, err := f.admin.Get(context.Background(), "/may", queryOf(path), nil)
		require.ErrorAs(t, err, &p, path)
		require.Equal(t, kind, p.Kind, path)
	}
	var noted query.MayAnswers
	f.get("/may?can=deploy&project=shop&environment=prod", &noted)
	require.Equal(t, []string{"environment prod does not exist; did you mean production?"}, noted.Notes)
	f.do(domain.SetProjectEnabled{Name: "shop"})
	f.do(domain.RevokeToken{ID: token.ID})
	require.Equal(t, []string{"project shop is disabled, so no part of it starts"}, may("").Notes)
	require.Contains(t, may("&who=" + token.ID).Items[0].Because, "the token was revoked")
}
