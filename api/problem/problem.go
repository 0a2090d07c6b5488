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

// Problem is an error response.
type Problem struct {
	// Kind is one of the kinds of package client, such as client.Invalid.
	Kind string
	// Detail is one sentence without a full stop that describes the problem and its place.
	Detail string
	// Hint suggests what to do instead; may be empty.
	Hint string
	// Status is the HTTP status; 0: the status of the kind.
	Status int
	// Places lists the errors in the request if there can be several.
	Places []client.ProblemPlace
}

// Error returns the text that clients show.
func (p *Problem) Error() string {
	return (&client.Problem{Detail: p.Detail, Hint: p.Hint, Errors: p.Places}).Error()
}

// New returns a problem.
func New(kind, detail, hint string) *Problem { return &Problem{Kind: kind, Detail: detail, Hint: hint} }

// Invalid returns a problem with the request itself.
func Invalid(format string, args ...any) *Problem { return of(client.Invalid, format, args) }

// NotFound returns a problem for a request that names something that does not exist.
func NotFound(format string, args ...any) *Problem { return of(client.NotFound, format, args) }

// Conflict returns a problem for a request that contradicts the current state.
func Conflict(format string, args ...any) *Problem { return of(client.Conflict, format, args) }

// Forbidden returns a problem for a caller that lacks the permission.
func Forbidden(format string, args ...any) *Problem { return of(client.Forbidden, format, args) }

// Unavailable returns a problem for a server that cannot answer now. A later attempt may succeed.
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

// LostEventsHint is the hint of problems about a log that has lost events.
const LostEventsHint = "no decisions are made until you run `drover eventlog accept-restore`"

// Of converts an error of the engine, the log, the domain or of files in the request to a problem. It returns a
// *Problem in err unchanged. Any other error becomes a problem of kind client.Internal.
func Of(err error) *Problem {
	var own *Problem
	var rejection *domain.Rejection
	var wrong resource.Problems
	var busy *engine.Busy
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &rejection):
		return New(string(rejection.Kind), rejection.Reason, rejection.Hint)
	case errors.As(err, &wrong):
		return ofFiles(wrong)
	case errors.Is(err, engine.ErrFenced):
		return New(client.Unavailable, err.Error(), "or send the request to a newer server")
	case errors.As(err, &busy):
		return busyProblem(busy)
	case errors.Is(err, engine.ErrContended):
		return New(client.Conflict, err.Error(), repeatHint)
	case errors.Is(err, eventlog.ErrForeign): // a newer drover has migrated the log, or it was replaced
		return New(client.Unavailable, err.Error(), "or send the request to another server")
	case errors.Is(err, engine.ErrLostEvents):
		return New(client.Conflict, err.Error(), LostEventsHint)
	case errors.Is(err, eventlog.ErrFull):
		return New(client.Unavailable, err.Error(), "free disk space on the server")
	case errors.Is(err, eventlog.ErrTooLarge):
		return New(client.Invalid, err.Error(), "send less data in one request").WithStatus(http.StatusRequestEntityTooLarge)
	case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, eventlog.ErrUnknownOutcome),
		errors.Is(err, eventlog.ErrClosed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return New(client.Unavailable, err.Error(), repeatHint)
	}
	return New(client.Internal, err.Error(), "see the server's log for details")
}

// repeatHint is the hint of problems after which the same request can succeed.
const repeatHint = "send the request again with the same " + client.KeyHeader

// busyProblem returns the problem of a command that got no turn. It is not 503: the server works, and a load balancer
// must not take it out of service.
func busyProblem(busy *engine.Busy) *Problem {
	return New(client.Unavailable, busy.Error(), repeatHint).WithStatus(http.StatusTooManyRequests)
}

// ofFiles returns a problem that lists every error in the files of a request.
func ofFiles(wrong resource.Problems) *Problem {
	p := Invalid("the files contain %d errors; nothing was written", len(wrong))
	if len(wrong) == 1 {
		p = Invalid("the files contain an error; nothing was written")
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

// CheckDeadline returns a problem if until has passed. A nil until means no deadline.
func CheckDeadline(now time.Time, until *time.Time) error {
	if until != nil && !now.Before(*until) {
		return Invalid("invalid until %s: the time has passed", until.UTC().Format(time.RFC3339)).WithHint("use a time in the future")
	}
	return nil
}
