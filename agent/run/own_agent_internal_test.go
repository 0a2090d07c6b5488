package run

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProcessThatWaitsForTheAgentIsRecognized(t *testing.T) {
	const agent = 4711
	for name, c := range map[string]struct {
		arguments []string
		unit      string
		waits     bool
	}{
		"systemctl":             {[]string{"systemctl", "restart", "drover-agent"}, "drover-agent.service", true},
		"systemctl with a path": {[]string{"/bin/systemctl", "stop", "agent.service"}, "agent.service", true},
		"another unit":          {[]string{"systemctl", "restart", "shop"}, "drover-agent.service", false},
		"no unit":               {[]string{"systemctl", "restart", "drover-agent"}, "", false},
		"another program":       {[]string{"sudo", "-u", "drover-agent", "./migrate"}, "drover-agent.service", false},
		"the agent's id":        {[]string{"tail", "--pid=4711", "-f", "/dev/null"}, "", true},
		"the id apart":          {[]string{"tail", "-f", "--pid", "4711", "/dev/null"}, "drover-agent.service", true},
		"another id":            {[]string{"tail", "--pid=47110", "-f", "/dev/null"}, "", false},
		"no id":                 {[]string{"tail", "--pid"}, "", false},
		"a number":              {[]string{"sleep", "4711"}, "", false},
		"a zombie":              {[]string{""}, "drover-agent.service", false},
		"nothing":               {nil, "drover-agent.service", false},
	} {
		require.Equal(t, c.waits, awaitsAgent(c.arguments, c.unit, agent), name)
	}
}

func TestScriptThatStopsAndAwaitsTheAgentIsRecognized(t *testing.T) {
	for script, waits := range map[string]bool{
		"A=$PPID\nkill -TERM $A; while kill -0 $A; do sleep 1; done":                                true,
		"pkill drover; while pgrep drover; do sleep 1; done":                                        true,
		"pkill app; while pgrep app; do sleep 1; done; ./migrate":                                   false,
		"kill $(cat app.pid); while kill -0 $(cat app.pid); do sleep 1; done; echo $DROVER_RELEASE": false,
		"kill -HUP $PPID":                      false,
		"while pgrep drover; do sleep 1; done": false,
	} {
		require.Equal(t, waits, scriptAwaitsAgent(script), script)
	}
}
