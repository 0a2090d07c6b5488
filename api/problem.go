package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// Problem is client.Problem as this side answers it.
type Problem struct{ client.Problem }

// GetStatus is the HTTP status that the problem is answered with.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of RFC 9457.
func (p *Problem) ContentType(string) string { return client.ProblemType }

func problem(kind, detail, hint string) *Problem {
	status := client.StatusOf(kind)
	return &Problem{client.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Kind: kind, Detail: detail, Hint: hint}}
}

func invalid(format string, args ...any) *Problem {
	return problem(client.Invalid, fmt.Sprintf(format, args...), "")
}

func missing(format string, args ...any) *Problem {
	return problem(client.NotFound, fmt.Sprintf(format, args...), "")
}

func (p *Problem) hint(text string) *Problem {
	p.Hint = text
	return p
}

func (p *Problem) status(status int) *Problem {
	p.Status, p.Title = status, http.StatusText(status)
	return p
}

// problemOf turns any error of the engine, the log or the domain into the problem that is answered.
func problemOf(err error) *Problem {
	var own *Problem
	var rejection *domain.Rejection
	var wrong resource.Problems
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &rejection):
		return problem(string(rejection.Kind), rejection.Reason, rejection.Hint)
	case errors.As(err, &wrong):
		return filesProblem(wrong)
	case errors.Is(err, engine.ErrFenced):
		return problem(client.Unavailable, err.Error(), "upgrade this server, or ask one that is newer")
	case errors.Is(err, engine.ErrDoubted):
		return problem(client.Conflict, err.Error(), doubtHint)
	case errors.Is(err, eventlog.ErrFull):
		return problem(client.Unavailable, err.Error(), "make room on the server's disk")
	case errors.Is(err, eventlog.ErrTooLarge):
		return problem(client.Invalid, err.Error(), "send less at once").status(http.StatusRequestEntityTooLarge)
	case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, eventlog.ErrUnknownOutcome), errors.Is(err, eventlog.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem(client.Unavailable, err.Error(), "send the same again, under the same "+client.KeyHeader)
	}
	return problem(client.Internal, err.Error(), "the server's own log may say more")
}

// doubtHint says what a person does about a log that has lost events.
const doubtHint = "nothing is decided until `drover log accept-restore`"

// filesProblem tells all that is wrong in files that were sent.
func filesProblem(wrong resource.Problems) *Problem {
	p := invalid("the files hold %d mistakes; nothing was written", len(wrong))
	if len(wrong) == 1 {
		p = invalid("the files hold a mistake; nothing was written")
	}
	for _, each := range wrong {
		location := each.File
		if each.Line > 0 {
			location = fmt.Sprintf("%s:%d:%d", each.File, each.Line, each.Column)
		}
		p.Errors = append(p.Errors, client.ProblemPlace{Message: each.Error(), Location: location})
	}
	return p
}

// fromHuma is how the router's own refusals (a missing field, a body too large) become problems.
func fromHuma(status int, message string, errs ...error) huma.StatusError {
	kind := client.Internal
	switch {
	case status == http.StatusNotFound:
		kind = client.NotFound
	case status >= 400 && status < 500:
		kind = client.Invalid
	}
	p := problem(kind, message, "").status(status)
	for _, err := range errs {
		if err == nil {
			continue
		}
		place := client.ProblemPlace{Message: err.Error()}
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) {
			place = client.ProblemPlace{Message: strings.TrimSpace(detail.Location + ": " + detail.Message), Location: detail.Location}
		}
		p.Errors = append(p.Errors, place)
	}
	if status == http.StatusInternalServerError && len(errs) == 1 {
		return problemOf(errs[0])
	}
	if len(p.Errors) > 0 && message == "validation failed" {
		p.Detail = "the request is not as this route takes it"
		p.Hint = "/api/openapi.json says what each route takes"
	}
	return p
}

// write answers outside of the router's operations.
func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", client.ProblemType)
	w.WriteHeader(p.Status)
	writeJSON(w, p)
}
