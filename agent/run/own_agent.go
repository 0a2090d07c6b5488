package run

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Recipe is how a step restarts its own agent.
const Recipe = "systemd-run --on-active=5s systemctl restart drover-agent"

// ownAgentGrace is how long a step that seems to wait for the end of its own agent may run after the agent was asked to
// stop.
const ownAgentGrace = 10 * time.Second

// ownAgentPoll is how often the processes of the step are examined meanwhile.
const ownAgentPoll = time.Second

var (
	// sendsSignals and awaitsEnd match scripts that send signals, and scripts that wait for the end of a process that is
	// not their child.
	sendsSignals = regexp.MustCompile(`\b(kill|pkill|killall)\b`)
	awaitsEnd    = regexp.MustCompile(`\bkill\s+-(0|s\s*0)\b|--pid\b|\b(pgrep|pidof|pidwait)\b|/proc/`)
)

// awaitsAgent reports whether a step seems to wait for the end of the agent that runs it: one of its processes names the
// agent's unit as an argument, as `systemctl restart` does, or its script sends a signal and then waits for the end of a
// process. The sender of a signal is unknown, so this is asked only after the agent was asked to stop. unit is the
// agent's unit, such as drover-agent.service; it may be empty.
func awaitsAgent(script string, arguments [][]string, unit string) bool {
	names := []string{unit, strings.TrimSuffix(unit, ".service")}
	for _, process := range arguments {
		if unit != "" && len(process) > 1 && slices.ContainsFunc(process[1:], func(a string) bool { return slices.Contains(names, a) }) {
			return true
		}
	}
	return sendsSignals.MatchString(script) && awaitsEnd.MatchString(script)
}

// awaitsAgent reports whether the processes of the group or the script of the step wait for the end of this agent.
func (g Group) awaitsAgent(script string) bool {
	var all [][]string
	for _, m := range g.members() {
		all = append(all, m.arguments())
	}
	return awaitsAgent(script, all, ownUnit())
}
