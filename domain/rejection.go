package domain

import "fmt"

// RejectionKind says what sort of no a rejection is; doors map it to status and exit codes.
type RejectionKind string

// The kinds of rejections.
const (
	Invalid   RejectionKind = "invalid"   // the wish itself is wrong
	NotFound  RejectionKind = "not-found" // it names what does not exist
	Conflict  RejectionKind = "conflict"  // it does not fit what is so
	Forbidden RejectionKind = "forbidden" // its sender may not
)

// Rejection refuses a command. It is an answer, not a fault: nothing was written.
type Rejection struct {
	Kind RejectionKind
	// Reason is one sentence without a full stop that names the place.
	Reason string
	// Hint says what to do instead; may be empty.
	Hint string
}

// Error makes a rejection usable as an error at the doors.
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
