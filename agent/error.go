package agent

// Kind says what sort of error ended the agent.
type Kind string

// The kinds of errors.
const (
	// Invalid: the configuration or the data folder is not as it must be.
	Invalid Kind = "invalid"
	// Forbidden: a server refused this agent for ever.
	Forbidden Kind = "forbidden"
	// Conflict: another agent uses the data folder.
	Conflict Kind = "conflict"
)

// Error is why Run returned. Its text is one sentence with a hint.
type Error struct {
	Kind Kind
	Err  error
}

// Error is the sentence.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives what is behind it.
func (e *Error) Unwrap() error { return e.Err }
