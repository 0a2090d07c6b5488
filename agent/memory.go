package agent

import (
	"encoding/json"

	"github.com/droverhq/drover/api/client"
)

// fitted returns the memory with as many successes as a hello can hold: about two hundred projects with long names, or four
// hundred with short ones. Of more projects, each connection sends another random selection, so a restored log is
// detected a little later. The statement after the welcome has all of them.
func fitted(m *client.Memory, maxBytes int) *client.Memory {
	if text, err := json.Marshal(m); err == nil && len(text) <= maxBytes {
		return m
	}
	small := *m
	small.Successes, small.Deployments = map[string]string{}, map[string]string{}
	small.Earlier, small.EarlierDeployments = map[string]string{}, map[string]string{}
	text, err := json.Marshal(small)
	if err != nil {
		return nil
	}
	left := maxBytes - len(text) - len(`"successes":{},"deployments":{},"earlier":{},"earlierDeployments":{},`)
	for _, each := range []struct{ from, fromDeployments, to, toDeployments map[string]string }{
		{m.Successes, m.Deployments, small.Successes, small.Deployments},
		{m.Earlier, m.EarlierDeployments, small.Earlier, small.EarlierDeployments},
	} {
		for project, success := range each.from { // in a random order
			deployment := each.fromDeployments[project]
			left -= entryBytes(project, success) + entryBytes(project, deployment)
			if left < 0 {
				return &small
			}
			each.to[project] = success
			if deployment != "" {
				each.toDeployments[project] = deployment
			}
		}
	}
	return &small
}

// entryBytes returns the size of an entry of a map as JSON.
func entryBytes(key, value string) int {
	k, _ := json.Marshal(key) // a string has always JSON
	v, _ := json.Marshal(value)
	return len(k) + len(v) + len(":,")
}
