package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/api/resource"
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
	return &Problem{bounded(client.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status,
		Kind: p.Kind, Detail: p.Detail, Hint: p.Hint, Errors: slices.Clone(p.Places)})}
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
	found := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	for _, err := range found[:min(len(found), maxPlaces)] {
		p.Places = append(p.Places, placeOf(err))
	}
	if len(p.Places) > 0 && message == "validation failed" {
		p.Detail = "invalid request for this route"
		if len(found) > maxPlaces {
			p.Detail = fmt.Sprintf("invalid request for this route: %d errors, of which %d are shown", len(found), maxPlaces)
		}
		p.Hint = "see /api/openapi.json for the input of each route"
	}
	return problemOf(p)
}

// Bounds of a response with a problem. A request must not choose how long the response to it is, nor how long it takes to
// write.
const (
	// maxPlaces is how many errors of one request are listed.
	maxPlaces = resource.MaxProblems
	// maxDetail bounds the sentence of a problem and its hint, in bytes.
	maxDetail = 4 << 10
	// maxMessage bounds the sentence about one of several errors. One in a file quotes the line and contains its name.
	maxMessage = 2 << 10
	// maxLocation bounds the location of an error in the request.
	maxLocation = 512
	// maxFileName bounds the name of a file in messages.
	maxFileName = 300
)

// placeOf converts one error of the router. The text of a *huma.ErrorDetail contains the value that is invalid, which can
// be the whole body; the response has only its location.
func placeOf(err error) client.ProblemPlace {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return client.ProblemPlace{Message: err.Error()}
	}
	location := shorten(detail.Location, maxLocation)
	return client.ProblemPlace{Message: strings.TrimSpace(location + ": " + detail.Message), Location: location}
}

// bounded limits the length of a problem.
func bounded(p client.Problem) client.Problem {
	p.Detail, p.Hint = shorten(p.Detail, maxDetail), shorten(p.Hint, maxDetail)
	if len(p.Errors) > maxPlaces {
		p.Errors = p.Errors[:maxPlaces]
	}
	for i, place := range p.Errors {
		p.Errors[i] = client.ProblemPlace{Message: shorten(place.Message, maxMessage),
			Location: shorten(place.Location, maxLocation)}
	}
	return p
}

// shorten cuts a text to at most maxBytes bytes and a mark, never inside a character.
func shorten(text string, maxBytes int) string {
	if len(text) <= maxBytes {
		return text
	}
	for maxBytes > 0 && !utf8.RuneStart(text[maxBytes]) {
		maxBytes--
	}
	return text[:maxBytes] + "…"
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
