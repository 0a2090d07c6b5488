package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitFailed   = 3
	exitDenied   = 4
	exitMissing  = 5
	exitConflict = 6
	exitPending  = 8
)

// exits says what each code means that a command can end with; no command ends with another one.
type exits map[int]string

// alone are the codes of a command that asks no server, with its own ones.
func alone(own exits) exits {
	all := exits{exitOK: "ok", exitError: "error, or invalid input", exitUsage: "wrong use: an unknown, missing or invalid argument or flag"}
	maps.Copy(all, own)
	return all
}

// asks are the codes of a command that reads from a server, with its own ones.
func asks(own exits) exits {
	all := alone(exits{exitError: "invalid input, or no server answers", exitDenied: "no token is known, or the server does not accept it"})
	maps.Copy(all, own)
	return all
}

// writes are the codes of a command that a server carries out, with its own ones.
func writes(own exits) exits {
	all := asks(exits{exitDenied: "no token is known, or its scope does not allow this",
		exitConflict: "the stream is set aside, or servers doubt the log: nothing was changed"})
	maps.Copy(all, own)
	return all
}

// exitsKey is where a command keeps its exit codes for help, man page and reference.
const exitsKey = "exit codes"

// keep leaves the codes with a command, one in a line.
func (e exits) keep(cmd *cobra.Command) {
	var lines []string
	for _, code := range slices.Sorted(maps.Keys(e)) {
		lines = append(lines, fmt.Sprintf("  %d  %s", code, e[code]))
	}
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[exitsKey] = strings.Join(lines, "\n")
}
