package domain

import "fmt"

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
