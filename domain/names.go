package domain

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Maximum lengths of names. A version may be longer because it often contains a commit id.
const (
	MaxNameLength    = 63
	MaxVersionLength = 128
)

// Kinds of streams. A stream is named KIND/NAME, except for the single watch stream, whose name is its kind.
const (
	MachineStreams     = "machine"
	ProjectStreams     = "project"
	ReleaseStreams     = "release"
	EnvironmentStreams = "environment"
	PolicyStreams      = "policy"
	TokenStreams       = "token"
	ServerStreams      = "server"
	PartStreams        = "part"
	AccessStreams      = "access"
	WatchStream        = "watch"
)

// MachineStream returns the stream of a machine.
func MachineStream(name string) string { return MachineStreams + "/" + name }

// ProjectStream returns the stream of a project, with all decisions about it.
func ProjectStream(name string) string { return ProjectStreams + "/" + name }

// ReleaseStream returns the stream of a release. incarnation distinguishes successive projects with the same name: it
// is the id of the ProjectDefined event that created the project.
func ReleaseStream(project string, incarnation ID, version string) string {
	return ReleaseStreams + "/" + project + "/" + incarnation.String() + "/" + version
}

// EnvironmentStream returns the stream of an environment.
func EnvironmentStream(name string) string { return EnvironmentStreams + "/" + name }

// PolicyStream returns the stream of a machine policy.
func PolicyStream(name string) string { return PolicyStreams + "/" + name }

// TokenStream returns the stream of a token.
func TokenStream(id string) string { return TokenStreams + "/" + id }

// ServerKeyStream is the stream with the key of the servers. The ids of tokens contain no such word.
const ServerKeyStream = TokenStreams + "/server-key"

// ServerStream returns the stream of a server.
func ServerStream(id ID) string { return ServerStreams + "/" + id.String() }

// PartStream returns the stream of a part, with its claims and its end.
func PartStream(deployment ID, machine string) string {
	return PartStreams + "/" + deployment.String() + "/" + machine
}

// AccessStream returns the stream of an Access.
func AccessStream(name string) string { return AccessStreams + "/" + name }

// SplitStream splits the name of a stream into its kind and the rest.
func SplitStream(stream string) (kind, name string) {
	kind, name, _ = strings.Cut(stream, "/")
	return kind, name
}

// ParsePartStream parses the name of a part's stream without the kind.
func ParsePartStream(name string) (deployment ID, machine string, err error) {
	id, machine, _ := strings.Cut(name, "/")
	deployment, err = ParseID(id)
	return deployment, machine, err
}

// ParseReleaseStream parses the name of a release's stream without the kind.
func ParseReleaseStream(name string) (project string, incarnation ID, version string, err error) {
	project, rest, _ := strings.Cut(name, "/")
	id, version, _ := strings.Cut(rest, "/")
	incarnation, err = ParseID(id)
	return project, incarnation, version, err
}

// CheckName rejects a name that cannot be part of a stream name, a file name or a metric label. what is the kind of
// thing, for the message.
func CheckName(what, name string) *Rejection {
	return checkText(what, name, MaxNameLength, "._-")
}

// CheckVersion rejects a release version that cannot be part of a path or an environment variable.
func CheckVersion(version string) *Rejection {
	return checkText("version", version, MaxVersionLength, "._-+")
}

func checkText(what, text string, maxLength int, marks string) *Rejection {
	if text == "" {
		return invalid("%s must not be empty", what).hint("use letters, digits and %q", marks)
	}
	for i, c := range text { // i counts characters, because the loop ends at the first non-ASCII character
		if c >= utf8.RuneSelf || !isAlphanumeric(byte(c)) && (i == 0 || !strings.ContainsRune(marks, c)) {
			return invalid("%s %.80q has %q at character %d", what, text, c, i+1).
				hint("use letters, digits and %q, beginning with a letter or digit", marks)
		}
	}
	if len(text) > maxLength {
		return invalid("%s %.40q… has %d characters", what, text, len(text)).hint("use at most %d", maxLength)
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// SortedUnique returns a sorted copy of names without duplicates, so that equal sets are equal values. It returns nil
// for an empty list.
func SortedUnique(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// checkRoles checks the number of roles and each name.
func checkRoles(roles []string) *Rejection {
	if len(roles) > MaxRoles {
		return invalid("too many roles: %d", len(roles)).hint("use at most %d", MaxRoles)
	}
	for _, role := range roles {
		if r := CheckName("role", role); r != nil {
			return r
		}
	}
	return nil
}
