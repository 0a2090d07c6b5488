package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/clocks"
	"github.com/droverhq/drover/projections"
)

// setClock is the advice for a wrong clock.
const setClock = "timedatectl set-ntp true (on the machine whose clock is wrong)"

// verdictFinding reports that a server does not let deadlines pass.
func verdictFinding(v *projections.View, s Vitals) (Finding, bool) {
	if s.Self.IsZero() || s.Clock.Confirmed {
		return Finding{}, false
	}
	f := Finding{Severity: Bad, Text: Unconfirmed(v, s.Clock), Fix: setClock}
	switch s.Clock.Reason {
	case clocks.Started: // it is normal, and ends by itself
		f.Severity, f.Fix = OK, ""
	case clocks.Jumped:
		f.Fix = "timedatectl status (on the machine of this server; if its time is right, wait)"
	}
	return f, true
}

// Unconfirmed returns the sentence that explains why a server does not let deadlines pass.
func Unconfirmed(v *projections.View, c clocks.Verdict) string {
	const effect = "pins, holds and stored output do not expire on this server now: "
	switch c.Reason {
	case clocks.ServersDisagree:
		names := make([]string, len(c.Servers))
		for i, id := range c.Servers {
			names[i] = serverName(v, id)
		}
		return effect + fmt.Sprintf("its clock differs by more than %s from that of %s", span(clocks.Bound),
			strings.Join(names, ", "))
	case clocks.AgentsDisagree:
		return effect + fmt.Sprintf("its clock is %s the clocks of most of its %s", direction(c.Ahead),
			counted(c.Agents, "agent"))
	case clocks.Jumped:
		way := "forward"
		if c.Ahead < 0 {
			way = "back"
		}
		return effect + fmt.Sprintf("its clock was set %s by %s, and neither another server nor %d agents confirm the new "+
			"time; without them it is accepted in %s", way, span(c.Ahead.Abs()), clocks.MinAgents, span(c.Wait))
	}
	return effect + fmt.Sprintf("it has just started, and neither another server nor %d agents confirm its clock; "+
		"without them it is accepted in %s", clocks.MinAgents, span(c.Wait))
}

// direction formats how far a clock is ahead of others.
func direction(ahead time.Duration) string {
	if ahead < 0 {
		return span(-ahead) + " behind"
	}
	return span(ahead) + " ahead of"
}

// ClockFinding compares the clock of subject with that of reference. ahead is the measured difference, and tolerance is
// the error of the measurement. It returns false if the clocks agree well enough.
func ClockFinding(subject, reference string, ahead, tolerance time.Duration) (Finding, bool) {
	off := ahead.Abs() - tolerance
	if off <= clockWarn {
		return Finding{}, false
	}
	severity := Warn
	if off > clockBad {
		severity = Bad
	}
	return Finding{Severity: severity,
		Text: fmt.Sprintf("the clock of %s is %s that of %s; pins, holds and tokens expire by these clocks",
			subject, direction(ahead), reference), Fix: setClock}, true
}

// leaseTolerance is how old a lease can be when another server reads it.
const leaseTolerance = 2500 * time.Millisecond

func clockFindings(v *projections.View, _ projections.Age, s Vitals) (found []Finding) {
	if f, ok := verdictFinding(v, s); ok {
		found = append(found, f)
	}
	for _, other := range s.Others {
		if !other.Alive || !other.Timed {
			continue
		}
		if f, ok := ClockFinding(serverName(v, other.Server), serverName(v, s.Self), other.Ahead, leaseTolerance); ok {
			found = append(found, f)
		}
	}
	if ahead := v.Time.Sub(s.Now); ahead > clockWarn {
		found = append(found, Finding{Severity: Warn,
			Text: fmt.Sprintf("the newest event is %s ahead of this server's clock: a clock was set back, "+
				"or the clock of another server is ahead", span(ahead)),
			Fix: setClock})
	}
	return found
}

func fineClocks(v *projections.View, s Vitals) string {
	timed := 0
	for _, other := range s.Others {
		if other.Alive && other.Timed {
			timed++
		}
	}
	if timed == 0 {
		return "the newest event is not in the future; there is no other server to compare clocks with"
	}
	return fmt.Sprintf("the clocks of this server and %s agree", counted(timed, "other server"))
}
