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

// environment returns the environment of every step of a part. If a key occurs twice, the later entry applies.
func environment(inherit []string, w client.Work, secrets map[string]string) ([]string, error) {
	all := Inherited(inherit)
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

// Inherited returns environ without the variables that only drover sets. A nil environ means the environment of this
// process.
func Inherited(environ []string) []string {
	if environ == nil {
		environ = os.Environ()
	}
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return strings.HasPrefix(entry, ownPrefix)
	})
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
