package run

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStepThatWaitsForItsOwnAgentIsRecognized(t *testing.T) {
	sh := []string{"/bin/sh", "-e", "/var/lib/drover-agent/parts/d-1/step-1.sh"}
	for name, c := range map[string]struct {
		script    string
		arguments [][]string
		unit      string
		waits     bool
	}{
		"systemctl":             {"upgrade", [][]string{sh, {"systemctl", "restart", "drover-agent"}}, "drover-agent.service", true},
		"systemctl with suffix": {"upgrade", [][]string{sh, {"systemctl", "stop", "agent.service"}}, "agent.service", true},
		"another unit":          {"upgrade", [][]string{sh, {"systemctl", "restart", "shop"}}, "drover-agent.service", false},
		"no unit":               {"upgrade", [][]string{sh, {"systemctl", "restart", "drover-agent"}}, "", false},
		"kill and wait":         {"kill -TERM $A; while kill -0 $A; do sleep 1; done", [][]string{sh}, "", true},
		"pkill and wait":        {"pkill drover; while pgrep drover; do sleep 1; done", [][]string{sh}, "", true},
		"kill only":             {"kill -HUP $(cat shop.pid)", [][]string{sh}, "", false},
		"wait only":             {"while pgrep shop; do sleep 1; done", [][]string{sh}, "", false},
		"the data folder":       {"sleep 60", [][]string{sh}, "drover-agent.service", false},
	} {
		require.Equal(t, c.waits, awaitsAgent(c.script, c.arguments, c.unit), name)
	}
}
