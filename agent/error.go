package agent

// Kind classifies the error that ended the agent.
type Kind string

// The kinds of errors.
const (
	// Invalid: the configuration or the data folder is invalid.
	Invalid Kind = "invalid"
	// Forbidden: a server permanently refused this agent.
	Forbidden Kind = "forbidden"
	// Conflict: another agent uses the data folder.
	Conflict Kind = "conflict"
)

// Error is the error of Run. Its text is one sentence with a hint.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }
