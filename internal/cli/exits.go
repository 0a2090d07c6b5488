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
	exitOK         = 0
	exitError      = 1
	exitUsage      = 2
	exitFailed     = 3
	exitDenied     = 4
	exitMissing    = 5
	exitConflict   = 6
	exitSuperseded = 7
	exitPending    = 8
	exitEmpty      = 9
)

// exits maps each exit code that a command can return to its meaning.
type exits map[int]string

// localExits returns the exit codes of a command that contacts no server; the entries of own replace the defaults.
func localExits(own exits) exits {
	all := exits{exitOK: "success", exitError: "an error occurred, or the input is invalid",
		exitUsage: "an argument or flag is unknown, missing or invalid"}
	maps.Copy(all, own)
	return all
}

// readExits returns the exit codes of a command that reads from a server; the entries of own replace the defaults.
func readExits(own exits) exits {
	all := localExits(exits{exitError: "the input is invalid, or no server answered",
		exitDenied: "no token is configured, or the server rejected it"})
	maps.Copy(all, own)
	return all
}

// writeExits returns the exit codes of a command that changes something on a server; the entries of own replace the
// defaults.
func writeExits(own exits) exits {
	all := readExits(exits{exitDenied: "no token is configured, or it does not permit this",
		exitConflict: "the stream of the resource is set aside, or the log has lost events; nothing was changed"})
	maps.Copy(all, own)
	return all
}

// exitsKey is the annotation of a command that holds its exit codes for the help, the man page and the reference.
const exitsKey = "exit codes"

// annotate stores the exit codes in the annotations of a command, one per line.
func (e exits) annotate(cmd *cobra.Command) {
	var lines []string
	for _, code := range slices.Sorted(maps.Keys(e)) {
		lines = append(lines, fmt.Sprintf("  %d  %s", code, e[code]))
	}
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[exitsKey] = strings.Join(lines, "\n")
}
