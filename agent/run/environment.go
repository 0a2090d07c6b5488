package run

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/client"
)

// ownPrefix begins the variables that only drover sets.
const ownPrefix = "DROVER_"

// environment is what every step of a part sees; of two entries for one key the later counts.
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

// mark is the entry by which a process can be told to belong to a deployment's part.
func mark(deployment string) string { return "DROVER_DEPLOYMENT=" + deployment }

// Inherited is the environment (nil: that of this process) without what only drover sets.
func Inherited(environ []string) []string {
	if environ == nil {
		environ = os.Environ()
	}
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return strings.HasPrefix(entry, ownPrefix)
	})
}

// checkVariable refuses what an environment cannot hold.
func checkVariable(key, value string) error {
	if key == "" || strings.ContainsAny(key, "=\x00 \t\n") {
		return fmt.Errorf("%.80q: not a name that an environment variable can have", key)
	}
	if strings.HasPrefix(key, ownPrefix) {
		return fmt.Errorf("%.80s: names that begin with DROVER_ are drover's own", key)
	}
	if strings.Contains(value, "\x00") {
		return fmt.Errorf("%.80s: its value has a zero byte, which an environment variable cannot hold", key)
	}
	return nil
}
