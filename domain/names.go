package domain

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Longest names. A version may be longer because it often carries a commit id.
const (
	MaxNameLength    = 63
	MaxVersionLength = 128
)

// Kinds of streams; a stream is KIND/NAME, or the kind alone for the one watch stream.
const (
	MachineStreams     = "machine"
	ProjectStreams     = "project"
	ReleaseStreams     = "release"
	EnvironmentStreams = "environment"
	PolicyStreams      = "policy"
	TokenStreams       = "token"
	ServerStreams      = "server"
	PartStreams        = "part"
	WatchStream        = "watch"
)

// MachineStream is where the facts of one machine are.
func MachineStream(name string) string { return MachineStreams + "/" + name }

// ProjectStream is the boundary of consistency: all that is decided about one project.
func ProjectStream(name string) string { return ProjectStreams + "/" + name }

// ReleaseStream is where one release of a project is created. incarnation tells projects apart that had the same name one
// after another: it is the id of the first ProjectDefined since the project was created.
func ReleaseStream(project string, incarnation ID, version string) string {
	return ReleaseStreams + "/" + project + "/" + incarnation.String() + "/" + version
}

// EnvironmentStream is where an environment is defined and deleted.
func EnvironmentStream(name string) string { return EnvironmentStreams + "/" + name }

// PolicyStream is where a machine policy is defined and deleted.
func PolicyStream(name string) string { return PolicyStreams + "/" + name }

// TokenStream is where a token is created, used and revoked.
func TokenStream(id string) string { return TokenStreams + "/" + id }

// ServerStream is where a server says that it started.
func ServerStream(id ID) string { return ServerStreams + "/" + id.String() }

// PartStream holds the claim and the end of one machine's share of a deployment.
func PartStream(deployment ID, machine string) string {
	return PartStreams + "/" + deployment.String() + "/" + machine
}

// SplitStream parts a stream's name into its kind and the rest.
func SplitStream(stream string) (kind, name string) {
	kind, name, _ = strings.Cut(stream, "/")
	return kind, name
}

// ParsePartStream reads what PartStream wrote, less the kind.
func ParsePartStream(name string) (deployment ID, machine string, err error) {
	id, machine, _ := strings.Cut(name, "/")
	deployment, err = ParseID(id)
	return deployment, machine, err
}

// ParseReleaseStream reads what ReleaseStream wrote, less the kind.
func ParseReleaseStream(name string) (project string, incarnation ID, version string, err error) {
	project, rest, _ := strings.Cut(name, "/")
	id, version, _ := strings.Cut(rest, "/")
	incarnation, err = ParseID(id)
	return project, incarnation, version, err
}

// CheckName refuses a name that could not be a stream's, a file's or a label's.
func CheckName(what, name string) *Rejection {
	return checkText(what, name, MaxNameLength, "._-")
}

// CheckVersion refuses a release version that could not be part of a path or a variable.
func CheckVersion(version string) *Rejection {
	return checkText("version", version, MaxVersionLength, "._-+")
}

func checkText(what, text string, longest int, marks string) *Rejection {
	if text == "" {
		return invalid("%s is empty", what).hint("give it a name of letters, digits and %q", marks)
	}
	for i, c := range text { // up to the first that is not ASCII, bytes are characters
		if c >= utf8.RuneSelf || !isAlphanumeric(byte(c)) && (i == 0 || !strings.ContainsRune(marks, c)) {
			return invalid("%s %.80q has %q at character %d", what, text, c, i+1).
				hint("use letters, digits and %q, beginning with a letter or digit", marks)
		}
	}
	if len(text) > longest {
		return invalid("%s %.40q… has %d characters", what, text, len(text)).hint("use at most %d", longest)
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Names sorts names and drops repeats, so that equal sets are equal values. Empty is nil.
func Names(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// checkRoles checks each of roles and their number.
func checkRoles(roles []string) *Rejection {
	if len(roles) > MaxRoles {
		return invalid("%d roles are given", len(roles)).hint("use at most %d", MaxRoles)
	}
	for _, role := range roles {
		if r := CheckName("role", role); r != nil {
			return r
		}
	}
	return nil
}
