package api

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
)

// Problem is a problem in the format that is written to HTTP (RFC 9457).
type Problem struct{ client.Problem }

// GetStatus returns the HTTP status of the response.
func (p *Problem) GetStatus() int { return p.Status }

// retryAfter is how many seconds a client waits after status 429 or 503 before it sends the request again.
const retryAfter = "5"

// GetHeaders returns the headers of the response. A server that cannot answer now says when to try again.
func (p *Problem) GetHeaders() http.Header {
	if p.Status != http.StatusServiceUnavailable && p.Status != http.StatusTooManyRequests {
		return nil
	}
	return http.Header{"Retry-After": {retryAfter}}
}

// ContentType returns the media type of RFC 9457.
func (p *Problem) ContentType(string) string { return client.ProblemType }

// problemOf converts any error to the problem that is returned to the caller.
func problemOf(err error) *Problem {
	p := problem.Of(err)
	status := p.Status
	if status == 0 {
		status = client.StatusOf(p.Kind)
	}
	return &Problem{client.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status,
		Kind: p.Kind, Detail: p.Detail, Hint: p.Hint, Errors: p.Places}}
}

// fromHuma converts the router's own errors, such as a missing field or an oversized body, to problems.
func fromHuma(status int, message string, errs ...error) huma.StatusError {
	if status == http.StatusInternalServerError && len(errs) == 1 {
		return problemOf(errs[0])
	}
	kind := client.Internal
	switch {
	case status == http.StatusNotFound:
		kind = client.NotFound
	case status >= 400 && status < 500:
		kind = client.Invalid
	}
	p := problem.New(kind, message, "").WithStatus(status)
	for _, err := range errs {
		if err == nil {
			continue
		}
		place := client.ProblemPlace{Message: err.Error()}
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) {
			place = client.ProblemPlace{Message: strings.TrimSpace(detail.Location + ": " + detail.Message),
				Location: detail.Location}
		}
		p.Places = append(p.Places, place)
	}
	if len(p.Places) > 0 && message == "validation failed" {
		p.Detail = "invalid request for this route"
		p.Hint = "see /api/openapi.json for the input of each route"
	}
	return problemOf(p)
}

// writeProblem writes an error outside the router's operations.
func writeProblem(w http.ResponseWriter, err error) {
	f := problemOf(err)
	maps.Copy(w.Header(), f.GetHeaders())
	w.Header().Set("Content-Type", client.ProblemType)
	w.WriteHeader(f.Status)
	writeJSON(w, f)
}

func writeJSON(w io.Writer, value any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // fails only if the reader has disconnected
}
