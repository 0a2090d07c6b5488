package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

// maxAnswer is more than the longest response with a problem: 20 errors, each with a sentence and a location.
const maxAnswer = 64 << 10

// problemFor sends a body that is invalid and returns the problem. The response must be short.
func problemFor(f *fixture, path, body string) client.Problem {
	answer := f.sendFrom("192.0.2.1:1", http.MethodPost, path, f.admin.Token, body)
	return shortProblem(f, answer)
}

func shortProblem(f *fixture, answer *httptest.ResponseRecorder) client.Problem {
	require.GreaterOrEqual(f.t, answer.Code, 400)
	require.Less(f.t, answer.Body.Len(), maxAnswer)
	var p client.Problem
	require.NoError(f.t, json.Unmarshal(answer.Body.Bytes(), &p))
	return p
}

// unknownKeys returns an object with many keys that no route knows. Each has a value that would be noticed in an answer.
func unknownKeys(number int) string {
	var b strings.Builder
	for i := range number {
		fmt.Fprintf(&b, `,"unknown-%d":"quoted"`, i)
	}
	return "{" + b.String()[1:] + "}"
}

func TestBodyWithManyUnknownKeysHasShortAnswerWithoutValues(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/api/v1/deployments", "/api/v1/apply", "/api/v1/tokens"} {
		p := problemFor(f, path, unknownKeys(4000))
		require.Contains(t, p.Detail, "errors, of which 20 are shown", path)
		require.Len(t, p.Errors, 20)
		for _, place := range p.Errors {
			require.NotContains(t, place.Message, "quoted")
			require.Contains(t, place.Message, place.Location)
		}
	}
	p := problemFor(f, "/api/v1/apply", `{"documents":[`+strings.Repeat("1,", 100_000)+`1]}`)
	require.Len(t, p.Errors, 20)
}

func TestErrorsQuoteOnlyTheBeginningOfLongInput(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", 500_000)
	for path, body := range map[string]string{
		"/api/v1/deployments":          `{"` + long + `":1}`,
		"/api/v1/tokens":               `{"scope":"` + long + `"}`,
		"/api/v1/machines/m/exclude":   `{"` + long + `":{"` + long + `":1}}`,
		"/api/v1/apply":                `{"documents":[{"file":"` + long + `.yaml","text":"a: 1\nb: 2\nc: 3"}]}`,
		"/api/v1/projects/p/releases":  `{"version":"` + long + `"}`,
		"/api/v1/projects/p/releases?": `{"version":"1","variables":{"` + long + `":"1"}}`,
	} {
		problemFor(f, path, body)
	}
}

func TestManyUnknownQueryParametersHaveShortAnswer(t *testing.T) {
	f := newFixture(t)
	var query strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&query, "&k%d=1", i)
	}
	answer := f.sendFrom("192.0.2.1:1", http.MethodGet, "/api/v1/events?"+query.String()[1:], f.admin.Token, "")
	require.Len(t, shortProblem(f, answer).Errors, 20)
}

func TestLongFileNameKeepsItsEndInMessages(t *testing.T) {
	f := newFixture(t)
	p := problemFor(f, "/api/v1/apply", `{"documents":[{"file":"`+strings.Repeat("é", 5000)+`last.yaml","text":"a: 1"}]}`)
	require.Contains(t, p.Errors[0].Location, "last.yaml:1:1")
}
