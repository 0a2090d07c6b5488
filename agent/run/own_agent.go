package run

import (
	"os"
	"path/filepath"
	"regexp"
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

// namesAgent, sendsSignals and awaitsEnd match a script that mentions drover or the parent of the shell, sends signals,
// and waits for the end of a process that is not its child.
var (
	namesAgent   = regexp.MustCompile(`\bdrover\b|\$\{?PPID\b`)
	sendsSignals = regexp.MustCompile(`\b(kill|pkill|killall)\b`)
	awaitsEnd    = regexp.MustCompile(`\bkill\s+-(0|s\s*0)\b|\b(pgrep|pidof|pidwait)\b`)
)

// scriptAwaitsAgent reports whether a script seems to stop the agent and to wait for its end in a loop of the shell, which
// shows in no argument of a process. A script that stops and awaits its own application mentions neither drover nor its
// parent.
func scriptAwaitsAgent(script string) bool {
	return namesAgent.MatchString(script) && sendsSignals.MatchString(script) && awaitsEnd.MatchString(script)
}

// awaitsAgent reports whether a process waits for the end of the agent: `systemctl` with the agent's unit, or any
// program with the option --pid and the agent's process id, such as `tail --pid`. The sender of a signal is unknown, so
// this is asked only after the agent was asked to stop. unit is the agent's unit, such as drover-agent.service; it may be
// empty.
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

// awaitsAgent reports whether a process of the group, or the script of the step, waits for the end of this agent.
func (g Group) awaitsAgent(script string) bool {
	if scriptAwaitsAgent(script) {
		return true
	}
	unit, agent := ownUnit(), os.Getpid()
	return slices.ContainsFunc(g.members(), func(p process) bool { return awaitsAgent(p.arguments(), unit, agent) })
}
