package run

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/client"
)

// ownPrefix starts the names of variables that only drover sets.
const ownPrefix = "DROVER_"

// environment returns the environment of every step of a part. It appends to inherited. If a key occurs twice, the later entry applies.
func environment(inherited []string, w client.Work, secrets map[string]string) ([]string, error) {
	all := inherited
	for _, of := range []struct {
		what   string
		values map[string]string
	}{{"variable", w.Variables}, {"secret", secrets}} {
		for _, key := range slices.Sorted(maps.Keys(of.values)) {
			if err := checkVariable(key, of.values[key]); err != nil {
				return nil, fmt.Errorf("%s %w", of.what, err)
			}
			all = append(all, key+"="+of.values[key])
		}
	}
	return append(all,
		"DROVER_MACHINE="+w.Machine,
		"DROVER_ENVIRONMENT="+w.Environment,
		"DROVER_PROJECT="+w.Project,
		"DROVER_RELEASE="+w.Release,
		"DROVER_PREVIOUS_RELEASE="+w.PreviousRelease,
		mark(w.Deployment),
		"DROVER_CAUSE="+w.Cause,
	), nil
}

// mark returns the environment entry that identifies the processes of a deployment's part.
func mark(deployment string) string { return "DROVER_DEPLOYMENT=" + deployment }

// inheritedNames are the variables of the agent that steps and health checks get. All others can be credentials, such as
// those of a cloud, and need Part.PassEnv. LC_* is inherited too.
var inheritedNames = []string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LANGUAGE", "TZ",
	"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
	"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
}

// Inherited returns the entries of environ that scripts get: inheritedNames, LC_*, those named in pass, and always a HOME. A nil environ
// means the environment of this process.
func Inherited(environ, pass []string) []string {
	return withHome(filter(environ, func(name string) bool {
		return slices.Contains(inheritedNames, name) || strings.HasPrefix(name, "LC_") || slices.Contains(pass, name)
	}))
}

// filter returns the entries of environ whose names pass, without the variables that only drover sets. A nil environ
// means the environment of this process.
func filter(environ []string, passes func(name string) bool) []string {
	if environ == nil {
		environ = os.Environ()
	}
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, ownPrefix) || !passes(name)
	})
}

// CheckPassEnv rejects a name that Part.PassEnv cannot have.
func CheckPassEnv(name string) error {
	if name == "" || strings.ContainsAny(name, "=*\x00 \t\r\n") {
		return fmt.Errorf("invalid --pass-env %.80q: use the name of one environment variable, such as AWS_PROFILE", name)
	}
	if strings.HasPrefix(name, ownPrefix) {
		return fmt.Errorf("invalid --pass-env %.80s: names that begin with DROVER_ are reserved for drover", name)
	}
	return nil
}

// checkVariable rejects names and values that an environment variable cannot have.
func checkVariable(key, value string) error {
	if key == "" || strings.ContainsAny(key, "=\x00 \t\n") {
		return fmt.Errorf("%.80q is not a valid name for an environment variable", key)
	}
	if strings.HasPrefix(key, ownPrefix) {
		return fmt.Errorf("%.80s: names that begin with DROVER_ are reserved for drover", key)
	}
	if strings.Contains(value, "\x00") {
		return fmt.Errorf("%.80s: the value contains a zero byte, which an environment variable cannot hold", key)
	}
	return nil
}
