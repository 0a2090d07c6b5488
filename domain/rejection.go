package domain

import (
	"errors"
	"fmt"
)

// RejectionKind classifies rejections. The API maps it to HTTP status codes, the command line to exit codes.
type RejectionKind string

// The kinds of rejections.
const (
	Invalid   RejectionKind = "invalid"   // the command itself is wrong
	NotFound  RejectionKind = "not-found" // it names something that does not exist
	Conflict  RejectionKind = "conflict"  // it contradicts the current state
	Forbidden RejectionKind = "forbidden" // the caller lacks the permission
)

// Rejection is the answer to a command that is not executed. Nothing was written.
type Rejection struct {
	Kind RejectionKind
	// Reason is one sentence without a full stop that names the place.
	Reason string
	// Hint suggests what to do instead; may be empty.
	Hint string

	// about is what a caller must be permitted to read to get this rejection; missing is the one that others get. It
	// is nil if the rejection reveals nothing.
	about   Need
	missing *Rejection

	noPlace bool
}

// IsNoPlace reports whether an error means that the join token of a machine has reached its machine limit.
func IsNoPlace(err error) bool {
	var r *Rejection
	return errors.As(err, &r) && r.noPlace
}

// reveals sets what the rejection reveals: something in a project and an environment. Callers who may not read it get
// missing, the rejection for something that does not exist.
func (r *Rejection) reveals(project, environment string, missing *Rejection) *Rejection {
	r.about, r.missing = Need{Verb: ReadVerb, Project: project, Environment: environment}, missing
	return r
}

// For returns the rejection that a caller gets: it does not reveal what the caller may not read.
func (r *Rejection) For(caller Principal) *Rejection {
	if r == nil || r.missing == nil || caller.Allows(r.about) {
		return r
	}
	return r.missing
}

// Error returns the reason, followed by the hint in parentheses.
func (r *Rejection) Error() string {
	if r.Hint == "" {
		return r.Reason
	}
	return r.Reason + " (" + r.Hint + ")"
}

func reject(kind RejectionKind, format string, args ...any) *Rejection {
	return &Rejection{Kind: kind, Reason: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Rejection  { return reject(Invalid, format, args...) }
func notFound(format string, args ...any) *Rejection { return reject(NotFound, format, args...) }
func conflict(format string, args ...any) *Rejection { return reject(Conflict, format, args...) }

func (r *Rejection) hint(format string, args ...any) *Rejection {
	r.Hint = fmt.Sprintf(format, args...)
	return r
}
