package domain

// Decision is what a pure rule wants written: the events go to one stream in one append, or not at all.
type Decision struct {
	// Kind names the rule, such as "end-deployment"; it is part of the events' ids.
	Kind   string
	Stream string
	Events []Event
	// Causes are the events that led to it; may be empty.
	Causes []ID
}
