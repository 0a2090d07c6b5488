// Package problem is the error that people and agents are answered with: a kind, one sentence and a hint. Packages
// access, agents and query return it; only package api writes it to HTTP. Of turns every other error of the domain,
// the engine and the log into one.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// Problem is a refusal or a fault.
type Problem struct {
	// Kind is one of the kinds of package client, such as client.Invalid.
	Kind string
	// Detail is one sentence without a full stop that names the place.
	Detail string
	// Hint says what to do instead; may be empty.
	Hint string
	// Status is the HTTP status of a problem that has a narrower one than its kind; 0: that of the kind.
	Status int
	// Places are the places that are wrong, where there are several.
	Places []client.ProblemPlace
}

// Error is the text of the problem, as a client shows it.
func (p *Problem) Error() string {
	return (&client.Problem{Detail: p.Detail, Hint: p.Hint, Errors: p.Places}).Error()
}

// New makes a problem of a kind.
func New(kind, detail, hint string) *Problem { return &Problem{Kind: kind, Detail: detail, Hint: hint} }

// Invalid says that the request itself is wrong.
func Invalid(format string, args ...any) *Problem { return of(client.Invalid, format, args) }

// NotFound says that the request names something that does not exist.
func NotFound(format string, args ...any) *Problem { return of(client.NotFound, format, args) }

// Conflict says that the request does not fit the current state.
func Conflict(format string, args ...any) *Problem { return of(client.Conflict, format, args) }

// Forbidden says that the caller may not do this.
func Forbidden(format string, args ...any) *Problem { return of(client.Forbidden, format, args) }

// Unavailable says that the server cannot answer now; a later attempt may succeed.
func Unavailable(format string, args ...any) *Problem { return of(client.Unavailable, format, args) }

func of(kind, format string, args []any) *Problem {
	return &Problem{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// WithHint sets the hint and returns p.
func (p *Problem) WithHint(format string, args ...any) *Problem {
	p.Hint = fmt.Sprintf(format, args...)
	return p
}

// WithStatus sets the HTTP status and returns p.
func (p *Problem) WithStatus(status int) *Problem {
	p.Status = status
	return p
}

// DoubtHint says what a person does about a log that has lost events.
const DoubtHint = "nothing is decided until `drover eventlog accept-restore`"

// Of turns any error of the engine, the log, the domain or of files that were sent into a problem. A *Problem in err
// is returned as it is; an unknown error is a fault of this server.
func Of(err error) *Problem {
	var own *Problem
	var rejection *domain.Rejection
	var wrong resource.Problems
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &rejection):
		return New(string(rejection.Kind), rejection.Reason, rejection.Hint)
	case errors.As(err, &wrong):
		return ofFiles(wrong)
	case errors.Is(err, engine.ErrFenced):
		return New(client.Unavailable, err.Error(), "or use a server that is newer")
	case errors.Is(err, engine.ErrLostEvents):
		return New(client.Conflict, err.Error(), DoubtHint)
	case errors.Is(err, eventlog.ErrFull):
		return New(client.Unavailable, err.Error(), "make room on the server's disk")
	case errors.Is(err, eventlog.ErrTooLarge):
		return New(client.Invalid, err.Error(), "send less at once").WithStatus(http.StatusRequestEntityTooLarge)
	case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, eventlog.ErrUnknownOutcome), errors.Is(err, eventlog.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return New(client.Unavailable, err.Error(), "send the same again, under the same "+client.KeyHeader)
	}
	return New(client.Internal, err.Error(), "the server's own log may say more")
}

// ofFiles names every mistake in files that were sent.
func ofFiles(wrong resource.Problems) *Problem {
	p := Invalid("the files hold %d mistakes; nothing was written", len(wrong))
	if len(wrong) == 1 {
		p = Invalid("the files hold a mistake; nothing was written")
	}
	for _, each := range wrong {
		location := each.File
		if each.Line > 0 {
			location = fmt.Sprintf("%s:%d:%d", each.File, each.Line, each.Column)
		}
		p.Places = append(p.Places, client.ProblemPlace{Message: each.Error(), Location: location})
	}
	return p
}

// CheckDeadline returns a problem if until has passed; nil is no deadline.
func CheckDeadline(now time.Time, until *time.Time) error {
	if until != nil && !now.Before(*until) {
		return Invalid("invalid until %s", until.UTC().Format(time.RFC3339)).WithHint("use a time in the future")
	}
	return nil
}
