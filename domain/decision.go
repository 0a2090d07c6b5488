package domain

// Decision is the output of a pure rule: events to append to one stream, all in one append or not at all.
type Decision struct {
	// Kind names the rule, such as "end-deployment". Event ids derive from it.
	Kind   string
	Stream string
	Events []Event
	// Causes lists the events that caused the decision; may be empty.
	Causes []ID
}
