package domain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the details of a release.
const (
	MaxNotesBytes  = 16 << 10
	MaxCommitBytes = 200
	MaxURLBytes    = 2000
)

// ReleaseDetails is what a person or a pipeline says about one release, beside what it copies from the project.
type ReleaseDetails struct {
	// Variables override those of the project, of roles and of environments, in every environment.
	Variables map[string]string `json:"variables,omitempty"`
	Notes     string            `json:"notes,omitempty"`  // what has changed, for people
	Commit    string            `json:"commit,omitempty"` // of the source
	URL       string            `json:"url,omitempty"`    // where to read more
}

// ParseVariables returns the variables of lines of the form NAME=VALUE; nil without lines. wrong is a line that has no
// name, or whose name another line has.
func ParseVariables(lines []string) (variables map[string]string, wrong string) {
	for _, line := range lines {
		name, value, ok := strings.Cut(line, "=")
		if _, twice := variables[name]; !ok || name == "" || twice {
			return nil, line
		}
		if variables == nil {
			variables = map[string]string{}
		}
		variables[name] = value
	}
	return variables, ""
}

// check rejects invalid details.
func (d ReleaseDetails) check() *Rejection {
	if r := checkVariables(d.Variables, nil); r != nil {
		return r
	}
	switch {
	case len(d.Notes) > MaxNotesBytes:
		return invalid("the notes are %d bytes long", len(d.Notes)).
			hint("use at most %d bytes, and give the address of longer notes as the URL", MaxNotesBytes)
	case containsNUL(d.Notes) || !utf8.ValidString(d.Notes):
		return invalid("the notes are not valid text").hint("use UTF-8 without NUL bytes")
	case len(d.Commit) > MaxCommitBytes || !isWord(d.Commit):
		return invalid("invalid commit %.80q", d.Commit).
			hint("use one word of at most %d bytes, such as 9f3c2e1", MaxCommitBytes)
	case len(d.URL) > MaxURLBytes || !isWord(d.URL) || !isWebAddress(d.URL):
		return invalid("invalid URL %.80q", d.URL).
			hint("use an address of at most %d bytes that begins with https:// or http://", MaxURLBytes)
	}
	return nil
}

// isWord reports whether text is valid UTF-8 without spaces and control characters. It can be empty.
func isWord(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
}

// isWebAddress reports whether text is empty or an address for a browser.
func isWebAddress(text string) bool {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(text, scheme); ok {
			return rest != "" && rest[0] != '/'
		}
	}
	return text == ""
}

// release returns the event that would create the release now.
func (c CreateRelease) release(p *Project) ReleaseCreated {
	created := p.Settings.release()
	created.Incarnation, created.Version, created.Origin = p.Incarnation, c.Version, c.Origin
	if len(c.Details.Variables) > 0 {
		created.Overridden = c.Details.Variables
	}
	created.Notes, created.Commit, created.URL = c.Details.Notes, c.Details.Commit, c.Details.URL
	return created
}

// differences names the fields in which the release differs from one that the event would create.
func (r *Release) differences(e ReleaseCreated) (names []string) {
	for _, field := range []struct {
		name string
		same bool
	}{
		{"steps", slices.Equal(r.Steps, e.Steps)},
		{"variables", maps.Equal(r.Variables, e.Variables) && maps.Equal(r.Overridden, e.Overridden) &&
			sameOf(r.Environments, e.Environments, variablesOf) && sameOf(r.Roles, e.Roles, variablesOf)},
		{"secrets", slices.Equal(r.Secrets, e.Secrets) &&
			sameOf(r.Environments, e.Environments, secretsOf) && sameOf(r.Roles, e.Roles, secretsOf)},
		{"notes", r.Notes == e.Notes}, {"commit", r.Commit == e.Commit}, {"URL", r.URL == e.URL},
	} {
		if !field.same {
			names = append(names, field.name)
		}
	}
	return names
}

func variablesOf(v Values) string { return fmt.Sprintf("%q", v.Variables) } // sorted by name
func secretsOf(v Values) string   { return fmt.Sprintf("%q", v.Secrets) }

// sameOf reports whether two sets of overrides have equal values of one kind. An override without such values is as none.
func sameOf(a, b map[string]Values, kind func(Values) string) bool {
	for name := range a {
		if kind(a[name]) != kind(b[name]) {
			return false
		}
	}
	for name := range b {
		if kind(a[name]) != kind(b[name]) {
			return false
		}
	}
	return true
}
