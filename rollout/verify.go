package rollout

import (
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// verified returns the end of a verification that is due.
//
// Any server can decide what the log shows: the machine became unhealthy, was not heard from, is gone, was replaced, or
// has lost what the part installed. Only the server that holds the session can decide that the machine stayed healthy.
// Only that server hears from the machine, and time without contact does not count.
func verified(v *projections.View, part *projections.Part, now Measured) (e domain.PartVerified, due bool) {
	m := v.MachineOf(part)
	e = domain.PartVerified{Project: part.Deployment.Project.Name}
	switch {
	case part.Broken != "":
		e.State, e.Reason = domain.PartFailed, part.Broken
	case !part.IsFor(m):
		e.State, e.Reason = domain.PartLost, domain.MachineGone
	case m.Instance != part.Instance:
		e.State, e.Reason = domain.PartLost, domain.MachineReplaced
	case part.Forgotten(m):
		e.State, e.Reason = domain.PartLost, domain.StateLost
	case v.SetAside(domain.MachineStream(m.Name)): // its health is not folded, so nothing is known
	case !m.Online && now.Age(m.Offline) > grace(v, m):
		e.State, e.Reason = domain.PartFailed, domain.MachineIsOffline
	case m.Online:
		if e.State, e.Reason = observed(v, part, m, now); e.State == domain.PartSucceeded {
			e.Steady = part.SteadyFrom
		}
	}
	return e, e.State != ""
}

// observed returns the end that follows from what the server of the machine's session has heard; empty if none does.
func observed(v *projections.View, part *projections.Part, m *projections.Machine,
	now Measured) (domain.PartState, domain.PartReason) {
	silence, held := silence(m, now)
	switch steady := now.Age(part.Steady); {
	case !held:
	case part.Steady == 0:
		if patienceLeft(v, part, m, now) < 0 {
			return domain.PartFailed, unsteady(m)
		}
	case steady > healthyFor(part):
		if steady-silence > healthyFor(part) && now.Age(m.Connected)-silence > settled {
			return domain.PartSucceeded, ""
		}
	case now.Age(part.Verifying) > longestVerification(v, part, m):
		return domain.PartFailed, domain.MachineIsOffline
	}
	return "", ""
}

// verificationTimeLeft returns the time until verified may return another answer without an event. It is 0 while only a
// heartbeat is missing.
func verificationTimeLeft(v *projections.View, part *projections.Part, m *projections.Machine,
	now Measured) (left time.Duration, bounded bool) {
	_, held := silence(m, now)
	switch steady := now.Age(part.Steady); {
	case !m.Online:
		return grace(v, m) - now.Age(m.Offline), true
	case !held:
		return 0, false
	case part.Steady == 0:
		return patienceLeft(v, part, m, now), true
	case steady > healthyFor(part):
		return max(settled-now.Age(m.Connected), 0), true
	default:
		return min(healthyFor(part)-steady, longestVerification(v, part, m)-now.Age(part.Verifying)), true
	}
}

// settled is how long after the start of a session its agent must have been heard from. An agent reports its health
// first in a new session, because it could not report changes before.
const settled = time.Second

// longestVerification bounds the verification of a machine whose agent connects and disconnects again and again.
func longestVerification(v *projections.View, part *projections.Part, m *projections.Machine) time.Duration {
	return healthyFor(part) + time.Duration(v.PolicyOf(m).LostAfter)
}

func silence(m *projections.Machine, now Measured) (d time.Duration, held bool) {
	if now.Silence == nil {
		return 0, false
	}
	return now.Silence(m)
}

func healthyFor(part *projections.Part) time.Duration {
	return time.Duration(part.Deployment.Facts.HealthyFor)
}

// grace returns how long the agent of a machine may be disconnected.
func grace(v *projections.View, m *projections.Machine) time.Duration {
	return time.Duration(v.PolicyOf(m).OfflineAfter)
}

// patience returns how long a machine may stay unhealthy, or without a result of its check, after the success. The part
// may be a cure, and the check needs the time of one run to notice.
func patience(v *projections.View, part *projections.Part, m *projections.Machine) time.Duration {
	required := healthyFor(part)
	if check := v.PolicyOf(m).HealthCheck; check != nil {
		required = max(required, time.Duration(check.Every+check.Timeout))
	}
	return required
}

// patienceLeft returns how much longer a machine may stay unhealthy, or without a result of its check. An agent that
// connects again has the whole time again, but only until LostAfter has passed.
func patienceLeft(v *projections.View, part *projections.Part, m *projections.Machine, now Measured) time.Duration {
	return patience(v, part, m) + min(-now.Age(max(part.Verifying, m.Connected)),
		time.Duration(v.PolicyOf(m).LostAfter)-now.Age(part.Verifying))
}

func unsteady(m *projections.Machine) domain.PartReason {
	if m.Health == domain.Unhealthy {
		return domain.MachineIsUnhealthy
	}
	return domain.HealthNotKnown
}

func verify(part *projections.Part, e domain.PartVerified) domain.Decision {
	return domain.Decision{Kind: "verify-part", Stream: domain.PartStream(part.Deployment.ID, part.Machine),
		Events: []domain.Event{e}, Causes: []domain.ID{part.Deployment.ID}}
}
