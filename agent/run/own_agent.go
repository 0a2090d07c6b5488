package run

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Recipe is how a step restarts its own agent.
const Recipe = "systemd-run --on-active=5s systemctl restart drover-agent"

// ownAgentGrace is how long a step that waits for the end of its own agent may run after the agent was asked to stop.
const ownAgentGrace = 10 * time.Second

// ownAgentPoll is how often the processes of the step are examined meanwhile.
const ownAgentPoll = time.Second

// awaitsAgent reports whether a process waits for the end of the agent: `systemctl` with the agent's unit, or any
// program with the option --pid and the agent's process id, such as `tail --pid`. Only its arguments count. The text of
// a script does not show what it waits for, and the sender of a signal is unknown. unit is the agent's unit, such as
// drover-agent.service; it may be empty.
func awaitsAgent(arguments []string, unit string, agent int) bool {
	if len(arguments) == 0 {
		return false
	}
	program, arguments, id := filepath.Base(arguments[0]), arguments[1:], strconv.Itoa(agent)
	if program == "systemctl" && unit != "" {
		return slices.Contains(arguments, unit) || slices.Contains(arguments, strings.TrimSuffix(unit, ".service"))
	}
	i := slices.Index(arguments, "--pid") + 1
	return slices.Contains(arguments, "--pid="+id) || i > 0 && i < len(arguments) && arguments[i] == id
}

// awaitsAgent reports whether a process of the group waits for the end of this agent.
func (g Group) awaitsAgent() bool {
	unit, agent := ownUnit(), os.Getpid()
	return slices.ContainsFunc(g.members(), func(p process) bool { return awaitsAgent(p.arguments(), unit, agent) })
}
