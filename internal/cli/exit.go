package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/droverhq/drover/agent"
	"github.com/droverhq/drover/api/client"
	apiproblem "github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// failure is an error with an exit code.
type failure struct {
	code int
	kind string
	// text is one sentence without a full stop; hint tells the user what to do.
	text, hint string
	places     []client.ProblemPlace
}

// Error returns the sentence with its hint, and one more line for each location.
func (f *failure) Error() string {
	text := f.text
	if f.hint != "" {
		text += " (" + f.hint + ")"
	}
	for _, place := range f.places {
		text += "\n" + place.Message
	}
	return text
}

func usage(format string, args ...any) error {
	return &failure{code: exitUsage, kind: "usage", text: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return &failure{code: exitError, kind: client.Invalid, text: fmt.Sprintf(format, args...)}
}

// asFailure converts any error of a command into a failure.
func asFailure(err error) *failure {
	var own *failure
	var problem *client.Problem
	var local *apiproblem.Problem // of a command that opens the log itself
	var rejection *domain.Rejection
	var ended *agent.Error
	var file *fs.PathError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &problem):
		text := problem.Detail
		if text == "" {
			text = problem.Title
		}
		return &failure{code: codeOf(problem.Kind), kind: problem.Kind, text: text, hint: problem.Hint,
			places: problem.Errors}
	case errors.As(err, &local):
		return &failure{code: codeOf(local.Kind), kind: local.Kind, text: local.Detail, hint: local.Hint}
	case errors.As(err, &rejection):
		return &failure{code: codeOf(string(rejection.Kind)), kind: string(rejection.Kind), text: rejection.Reason,
			hint: rejection.Hint}
	case errors.As(err, &ended):
		return &failure{code: codeOf(string(ended.Kind)), kind: string(ended.Kind), text: err.Error()}
	case errors.As(err, &file) && file.Path == os.Stdout.Name():
		return &failure{code: exitError, kind: client.Unavailable, text: "write to stdout: " + file.Err.Error()}
	case errors.Is(err, context.Canceled):
		return &failure{code: exitError, kind: "interrupted", text: "interrupted"}
	}
	return &failure{code: exitError, kind: client.Internal, text: err.Error()}
}

func codeOf(kind string) int {
	switch kind {
	case client.NotFound:
		return exitMissing
	case client.Conflict:
		return exitConflict
	case client.Forbidden, client.Unauthorised:
		return exitDenied
	}
	return exitError
}

// write prints a failure as a sentence, or as one JSON object.
func (f *failure) write(w io.Writer, asJSON bool) {
	if !asJSON {
		fmt.Fprintf(w, "drover: %s\n", strings.ReplaceAll(explain.Text(f.Error()), "\n", "\n  "))
		return
	}
	text, err := json.Marshal(map[string]any{"error": struct {
		Kind     string                `json:"kind"`
		Message  string                `json:"message"`
		Hint     string                `json:"hint,omitempty"`
		Errors   []client.ProblemPlace `json:"errors,omitempty"`
		ExitCode int                   `json:"exitCode"`
	}{f.kind, f.text, f.hint, f.places, f.code}})
	if err != nil { // impossible: all fields are strings and integers
		text = []byte(`{"error":{"kind":"internal"}}`)
	}
	fmt.Fprintln(w, explain.Text(string(text)))
}
