package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Kinds of problems. Scripts can rely on them; the texts may change.
const (
	Invalid      = "invalid"      // the request itself is wrong
	NotFound     = "not-found"    // the request names something that does not exist
	Conflict     = "conflict"     // the request contradicts the current state
	Forbidden    = "forbidden"    // the caller lacks the permission
	Unauthorised = "unauthorised" // the caller is unknown
	Unavailable  = "unavailable"  // no server can answer now; a later attempt may succeed
	Internal     = "internal"     // an internal error of the server
)

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is an error response as defined by RFC 9457. Every error of a Client is a *Problem, except for errors of its
// context and of the writer of a download.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"` // 0: no server was reached
	// Detail is one sentence that describes the problem and its place.
	Detail string `json:"detail"`
	Kind   string `json:"kind"`
	// Hint suggests what to do instead; may be empty.
	Hint string `json:"hint,omitempty"`
	// Errors lists the errors in the request if there can be several.
	Errors []ProblemPlace `json:"errors,omitempty"`
	cause  error
}

// ProblemPlace is one error in a request, with its place.
type ProblemPlace struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"` // FILE:LINE:COLUMN, or a path in the body
}

// Error returns the detail with the hint, followed by one line for each entry of Errors.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	for _, place := range p.Errors {
		text += "\n" + place.Message
	}
	return text
}

// Unwrap returns the underlying connection error, or nil if a server responded.
func (p *Problem) Unwrap() error { return p.cause }

// KindOf returns the kind of the *Problem in err, or an empty string.
func KindOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Kind
	}
	return ""
}

// StatusOf returns the HTTP status of responses with a kind of problem.
func StatusOf(kind string) int {
	switch kind {
	case Invalid:
		return http.StatusUnprocessableEntity
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case Forbidden:
		return http.StatusForbidden
	case Unauthorised:
		return http.StatusUnauthorized
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// kindOfStatus returns the kind for a response that is not a drover problem, for example from a proxy.
func kindOfStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return Unauthorised
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return Internal // another program does not know which objects exist
	case http.StatusConflict:
		return Conflict
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return Unavailable
	}
	if status >= 400 && status < 500 {
		return Invalid
	}
	return Internal
}

// problemOf returns the problem of an unsuccessful response.
func problemOf(server string, response *http.Response, body []byte) *Problem {
	p := &Problem{}
	isProblem := strings.HasPrefix(response.Header.Get("Content-Type"), ProblemType)
	if !isProblem || json.Unmarshal(body, p) != nil || p.Kind == "" {
		p = &Problem{Title: http.StatusText(response.StatusCode), Kind: kindOfStatus(response.StatusCode),
			Detail: fmt.Sprintf("%s answered %s", server, response.Status),
			Hint:   "is a drover server running there?"}
	}
	if better := addressProblem(server, response, body, p); better != nil {
		p = better
	}
	p.Status = response.StatusCode
	return p
}

// reason returns err without the method and the address that net/http puts before it, because the message already
// contains them.
func reason(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.HasSuffix(err.Error(), inner.Error()) {
			return err
		}
		err = inner
	}
}
