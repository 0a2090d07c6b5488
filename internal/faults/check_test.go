package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// lostCommands returns the acknowledged commands whose events are not all in the log at the acknowledged position.
func lostCommands(commands []sentCommand, events []eventlog.Recorded) (found []string) {
	byCommand := map[uuid.UUID][]eventlog.Recorded{}
	for _, e := range events {
		byCommand[e.Command] = append(byCommand[e.Command], e)
	}
	for _, o := range commands {
		written := byCommand[o.key]
		switch {
		case !o.acked || len(o.answer.Events) == 0 && !o.answer.Repeat: // the command changed nothing
		case len(written) == 0:
			found = append(found, fmt.Sprintf("%s: acknowledged at position %s, but not in the log", o.what,
				o.answer.Position))
		case written[len(written)-1].Position.String() != o.answer.Position:
			found = append(found, fmt.Sprintf("%s: acknowledged at position %s, but in the log at %s", o.what,
				o.answer.Position, written[len(written)-1].Position))
		case len(o.answer.Events) > 0 && len(written) != len(o.answer.Events):
			found = append(found, fmt.Sprintf("%s: acknowledged with %v, but in the log with %d events", o.what,
				o.answer.Events, len(written)))
		}
	}
	return found
}

// duplicates returns the events that are in the log twice, the commands that were executed twice, and the refused
// commands that were executed.
func duplicates(commands []sentCommand, events []eventlog.Recorded) (found []string) {
	ids := map[uuid.UUID]eventlog.Position{}
	last := map[uuid.UUID]eventlog.Recorded{}
	for _, e := range events {
		if before, there := ids[e.ID]; there {
			found = append(found, fmt.Sprintf("event %s is at positions %s and %s", e.ID, before, e.Position))
		}
		ids[e.ID] = e.Position
		if e.Command == uuid.Nil {
			continue
		}
		if before, there := last[e.Command]; there && (before.Stream != e.Stream || before.Revision+1 != e.Revision) {
			found = append(found, fmt.Sprintf("command %s was executed at position %s and again at %s", e.Command,
				before.Position, e.Position))
		}
		last[e.Command] = e
	}
	for _, o := range commands {
		if e, there := last[o.key]; o.refused && o.tries == 1 && there {
			found = append(found, fmt.Sprintf("%s: refused, but executed at position %s", o.what, e.Position))
		}
	}
	return found
}

// gaps returns the missing and repeated positions and revisions of the log.
func gaps(events []eventlog.Recorded) (found []string) {
	next := map[string]eventlog.Revision{}
	for n, e := range events {
		if e.Position != eventlog.Position(n+1) {
			found = append(found, fmt.Sprintf("event %[2]d of the log has position %[1]s", e.Position, n+1))
		}
		if e.Revision != next[e.Stream] {
			found = append(found, fmt.Sprintf("stream %s has revision %d at position %s, want %d", e.Stream, e.Revision,
				e.Position, next[e.Stream]))
		}
		next[e.Stream] = e.Revision + 1
	}
	return found
}

// lostStates returns the machines that servers called dirty because their agents did not remember a success. No disk is
// lost in these tests.
func lostStates(events []eventlog.Recorded) (found []string) {
	for _, e := range events {
		fact, err := domain.Decode(e.Type, e.Data)
		if _, lost := fact.(domain.MachineLostState); err == nil && lost {
			found = append(found, fmt.Sprintf("#%s: %s has lost its state", e.Position, e.Stream))
		}
	}
	return found
}

// line is a line that a step wrote when it began or ended.
type line struct {
	what, deployment, machine, release, pid string
	at                                      time.Time
}

func (l line) part() string { return "part/" + l.deployment + "/" + l.machine }

func readLines(text string) (all []line) {
	for row := range strings.Lines(text) {
		f := strings.Fields(row)
		if len(f) == 6 {
			nanoseconds, _ := strconv.ParseInt(f[5], 10, 64)
			all = append(all, line{f[0], f[1], f[2], f[3], f[4], time.Unix(0, nanoseconds)})
		}
	}
	return all
}

// repeatedRuns returns the parts that ran more than once and the parts that ran while another part ran on the same
// machine.
func repeatedRuns(lines []line) (found []string) {
	begun := map[string]int{}
	running := map[string]line{}
	for _, l := range lines {
		switch {
		case l.what == "begin":
			if begun[l.part()]++; begun[l.part()] == 2 {
				found = append(found, l.part()+" ran twice")
			}
			running[l.machine] = l
		case running[l.machine].pid != l.pid:
			found = append(found, fmt.Sprintf("%s ended while %s ran on the machine", l.part(),
				running[l.machine].part()))
		}
	}
	return found
}

// unclaimed returns the parts that ran without a claim in the log, and the parts that succeeded according to the log
// but did not run to the end.
func unclaimed(lines []line, events []eventlog.Recorded) (found []string) {
	ended := map[string]bool{}
	claimed, began := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		if e.Type == "part.claimed/v1" {
			claimed[e.Stream] = true
		}
	}
	for _, l := range lines {
		began[l.part()] = true
		ended[l.part()] = ended[l.part()] || l.what == "end"
		if !claimed[l.part()] {
			found = append(found, l.part()+" ran without a claim")
		}
	}
	for _, e := range events {
		if e.Type == "part.ended/v1" && strings.Contains(string(e.Data), `"succeeded"`) && !ended[e.Stream] {
			found = append(found, e.Stream+" succeeded but did not run to its end")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
