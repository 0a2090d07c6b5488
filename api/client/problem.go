package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Kinds of problems. A script can tell by them what to do, whatever the words are.
const (
	Invalid      = "invalid"      // the wish itself is wrong
	NotFound     = "not-found"    // it names what does not exist
	Conflict     = "conflict"     // it does not fit what is so
	Forbidden    = "forbidden"    // its sender may not
	Unauthorised = "unauthorised" // nobody knows who its sender is
	Unavailable  = "unavailable"  // no server answers, or it cannot now; later may help
	Internal     = "internal"     // a fault of the server
)

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is a refusal or a fault, as RFC 9457 writes it. Every error of a Client is one, but for its
// context's.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"` // 0: no server was reached
	// Detail is one sentence that names the place.
	Detail string `json:"detail"`
	Kind   string `json:"kind"`
	// Hint says what to do instead; may be empty.
	Hint string `json:"hint,omitempty"`
	// Errors are the places that are wrong, where there are several.
	Errors []ProblemPlace `json:"errors,omitempty"`
	cause  error
}

// ProblemPlace is one thing that is wrong, and where.
type ProblemPlace struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"` // FILE:LINE:COLUMN, or a path in the body
}

// Error is the sentence with its hint, and one line for each place.
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

// Unwrap is what kept a server from being reached; nil if one answered.
func (p *Problem) Unwrap() error { return p.cause }

// KindOf is the kind of the Problem in err; empty if there is none.
func KindOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Kind
	}
	return ""
}

// StatusOf is the HTTP status that a kind of problem is answered with.
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

// kindOfStatus is for answers that are no Problem of drover, as from a proxy between.
func kindOfStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return Unauthorised
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return NotFound
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

// asProblem reads the problem of an answer that is no success.
func asProblem(server string, answer *http.Response, body []byte) *Problem {
	p := &Problem{}
	isProblem := strings.HasPrefix(answer.Header.Get("Content-Type"), ProblemType)
	if !isProblem || json.Unmarshal(body, p) != nil || p.Kind == "" {
		p = &Problem{Title: http.StatusText(answer.StatusCode), Kind: kindOfStatus(answer.StatusCode),
			Detail: fmt.Sprintf("%s answered %s", server, answer.Status),
			Hint:   "what answers there may be no drover server"}
	}
	if better := misplaced(server, answer, body, p); better != nil {
		p = better
	}
	p.Status = answer.StatusCode
	return p
}

// bare takes away what net/http puts before the reason: method and address, which the sentence has already.
func bare(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.HasSuffix(err.Error(), inner.Error()) {
			return err
		}
		err = inner
	}
}
