package rollout

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Measured is what the deciding server has measured itself.
type Measured struct {
	// Age returns how long ago an event was folded.
	Age projections.Age
	// Silence returns how long ago a machine was heard from, and false if this server does not hold its session. Nil
	// means that it holds no session.
	Silence func(*projections.Machine) (d time.Duration, held bool)
}

// Decide returns every decision that is due for the open deployments of all projects, in a fixed order.
func Decide(v *projections.View, now Measured) []domain.Decision {
	return DecideOn(v, now, parts)
}

// parts returns the parts of a deployment, by machine.
func parts(d *projections.Deployment) []*projections.Part {
	list := make([]*projections.Part, len(d.Order))
	for i, name := range d.Order {
		list[i] = d.Parts[name]
	}
	return list
}

// DecideOn is Decide for the parts that look selects from each deployment, sorted by machine.
func DecideOn(v *projections.View, now Measured,
	look func(*projections.Deployment) []*projections.Part) []domain.Decision {
	var all []domain.Decision
	for _, p := range projects(v) {
		for _, d := range p.Open {
			if v.SetAside(domain.ProjectStream(p.Name)) {
				continue // fails closed until a person clears the stream
			}
			all = append(all, deployment(v, d, look(d), now)...)
		}
		all = append(all, releases(v, p, now.Age)...)
	}
	return all
}

// projects returns the projects with open deployments, in queue order. Deleted projects are included until they have
// none.
func projects(v *projections.View) []*projections.Project {
	var found []*projections.Project
	for _, d := range v.OpenDeployments() {
		if !slices.Contains(found, d.Project) {
			found = append(found, d.Project)
		}
	}
	return found
}

func deployment(v *projections.View, d *projections.Deployment, parts []*projections.Part,
	now Measured) []domain.Decision {
	if d.OpenParts() == 0 {
		return []domain.Decision{end(d)}
	}
	if reason, stopped := d.TooManyFailed(); stopped && d.HasUnclaimed() {
		return []domain.Decision{withdraw(d, nil, reason)}
	}
	var all []domain.Decision
	withdrawals := map[domain.PartReason][]string{}
	for _, part := range parts {
		if part.State == domain.PartVerifying {
			if e, due := verified(v, part, now); due {
				all = append(all, verify(part, e))
			}
			continue
		}
		switch reason := endReason(v, part, now.Age); {
		case reason == "":
		case part.State == domain.PartRunning:
			all = append(all, endPart(part, domain.PartLost, reason))
		case d.Kind == domain.Automatic:
			withdrawals[reason] = append(withdrawals[reason], part.Machine)
		default:
			all = append(all, endPart(part, domain.PartSkipped, reason))
		}
	}
	return append(all, withdrawEach(d, withdrawals)...)
}

// Due reports whether a server must end an open part.
func Due(v *projections.View, part *projections.Part, now Measured) bool {
	if part.State == domain.PartVerifying {
		_, due := verified(v, part, now)
		return due
	}
	return endReason(v, part, now.Age) != ""
}

// endReason returns the reason why a server must end an open part that is not verified, or an empty reason if it must
// not.
func endReason(v *projections.View, part *projections.Part, age projections.Age) domain.PartReason {
	switch {
	case !part.Open():
		return ""
	case part.State == domain.PartRunning:
		return lostReason(v, part, age)
	case part.Deployment.Kind == domain.Automatic:
		return withdrawReason(v, part, age)
	}
	return skipReason(v, part, age)
}

// TimeLeft returns how much longer a part may wait if nothing happens to it. bounded is false if it waits for no agent.
func TimeLeft(v *projections.View, part *projections.Part, now Measured) (left time.Duration, bounded bool) {
	m, age := v.MachineOf(part), now.Age
	switch {
	case m == nil:
		return 0, false
	case part.State == domain.PartVerifying:
		return verificationTimeLeft(v, part, m, now)
	case part.State == domain.PartRunning:
		return maxDuration(part) + time.Duration(v.PolicyOf(m).LostAfter) - age(part.Claimed), true
	case part.State == domain.PartReleased:
		waited := age(claimableSince(part, m))
		if since, blocked := m.BlockedSince(); blocked {
			waited = max(waited, age(since))
		}
		return time.Duration(v.PolicyOf(m).LostAfter) - waited, true
	}
	return 0, false
}

func withdrawEach(d *projections.Deployment, withdrawals map[domain.PartReason][]string) []domain.Decision {
	var reasons []domain.PartReason
	for reason := range withdrawals {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	var all []domain.Decision
	for _, reason := range reasons {
		all = append(all, withdraw(d, withdrawals[reason], reason))
	}
	return all
}

// skipReason returns why a released part of a person's deployment will not run. While its project is disabled the part
// waits, and that time does not count.
func skipReason(v *projections.View, part *projections.Part, age projections.Age) domain.PartReason {
	m, p := v.MachineOf(part), part.Deployment.Project
	switch {
	case part.State != domain.PartReleased || p.Disabled:
		return ""
	case !part.IsFor(m):
		return domain.MachineGone
	case !v.PartInScope(part, m):
		return domain.OutOfScope
	case part.RolesDisagree(m):
		return domain.RolesDisagree
	case part.HeldSinceQueued(m):
		return domain.MachineIsHeld
	}
	if ok, reason := v.Deployable(m); !ok {
		return reason
	}
	return notClaimed(v, part, m, age)
}

// notClaimed returns NotClaimed if the machine could have claimed the part for longer than its policy's lostAfter. If its
// agent reports that it cannot start parts, it returns MachineIsBlocked instead, and also if the agent has reported that
// for so long: the part then does not keep its slot.
func notClaimed(v *projections.View, part *projections.Part, m *projections.Machine,
	age projections.Age) domain.PartReason {
	if part.State != domain.PartReleased || m.Claimed != nil {
		return ""
	}
	lostAfter := time.Duration(v.PolicyOf(m).LostAfter)
	expired := age(claimableSince(part, m)) > lostAfter
	if since, blocked := m.BlockedSince(); blocked && (expired || age(since) > lostAfter) {
		return domain.MachineIsBlocked
	}
	if expired {
		return domain.NotClaimed
	}
	return ""
}

// claimableSince returns the position since which the machine could have claimed the part.
func claimableSince(part *projections.Part, m *projections.Machine) eventlog.Position {
	return max(part.Released, m.Ready, part.Deployment.Project.Enabled)
}

// withdrawReason returns why an automatic part can no longer be claimed. A condition that ends by itself is not a
// reason.
func withdrawReason(v *projections.View, part *projections.Part, age projections.Age) domain.PartReason {
	m := v.MachineOf(part)
	if m == nil {
		return domain.MachineGone
	}
	switch reason := v.ClaimCheckOnceReleased(part, m.Session); reason {
	case "":
		return notClaimed(v, part, m, age)
	case domain.StreamSetAside, domain.MachineIsBusy:
		return ""
	default:
		return reason
	}
}

// lostReason returns why a server stops waiting for a claimed part, whether or not the machine is online.
func lostReason(v *projections.View, part *projections.Part, age projections.Age) domain.PartReason {
	m := v.MachineOf(part)
	switch {
	case !part.IsFor(m):
		return domain.MachineGone
	case m.Instance != part.Instance:
		return domain.MachineReplaced
	case age(part.Claimed) > maxDuration(part)+time.Duration(v.PolicyOf(m).LostAfter):
		return domain.NoEndReported
	}
	return ""
}

func maxDuration(part *projections.Part) time.Duration {
	if part.Deployment.Content == nil {
		return 0
	}
	return time.Duration(domain.LongestRun(part.Deployment.Content.Steps))
}

func endPart(part *projections.Part, state domain.PartState, reason domain.PartReason) domain.Decision {
	return domain.Decision{Kind: "end-part", Stream: domain.PartStream(part.Deployment.ID, part.Machine),
		Events: []domain.Event{domain.PartEnded{Project: part.Deployment.Project.Name, State: state, Reason: reason}},
		Causes: []domain.ID{part.Deployment.ID}}
}

func withdraw(d *projections.Deployment, machines []string, reason domain.PartReason) domain.Decision {
	return domain.Decision{Kind: "withdraw-parts", Stream: domain.ProjectStream(d.Project.Name),
		Events: []domain.Event{domain.PartsWithdrawn{Deployment: d.ID, Machines: machines, Reason: reason}},
		Causes: []domain.ID{d.ID}}
}

// end returns the decision that ends a deployment without open parts.
func end(d *projections.Deployment) domain.Decision {
	ended := domain.DeploymentEnded{Deployment: d.ID}
	if ended.State, ended.Reason = outcome(d); ended.Reason == string(domain.Superseded) {
		ended.SupersededBy = d.SupersededBy
	}
	return domain.Decision{Kind: "end-deployment", Stream: domain.ProjectStream(d.Project.Name),
		Events: []domain.Event{ended},
		Causes: []domain.ID{d.ID}}
}

func outcome(d *projections.Deployment) (domain.DeploymentState, string) {
	count := map[domain.PartState]int{}
	for _, name := range d.Order {
		if part := d.Parts[name]; part.Reason != domain.MachineIsHeld || part.State != domain.PartSkipped {
			count[part.State]++
		}
	}
	missed, limited := count[domain.PartSkipped]+count[domain.PartLost], d.Facts.MaxFailures != nil
	reason, stopped := d.TooManyFailed()
	switch {
	case stopped && (limited || reason == domain.WaveFailed):
		return domain.DeploymentFailed, string(reason)
	case limited: // the failures are within it, and lost and skipped parts are counted with them
	case count[domain.PartFailed] > 0:
		return domain.DeploymentFailed, "parts-failed"
	case stopped: // lost parts count too
		return domain.DeploymentFailed, "parts-failed" // law 27
	case missed > 0 && d.Facts.Unavailable == domain.FailUnavailable:
		return domain.DeploymentFailed, "machines-unavailable"
	}
	switch {
	case d.Cancelled:
		return domain.DeploymentCancelledState, string(d.CancelledFor)
	case d.Superseded:
		return domain.DeploymentCancelledState, string(domain.Superseded)
	case d.Kind != domain.EnvironmentWide && count[domain.PartSucceeded] == 0 && count[domain.PartCancelled] > 0:
		return domain.DeploymentCancelledState, withdrawalReason(d) // nothing changed, so succeeded would be wrong
	}
	switch {
	case limited && d.Failures() > 0 && count[domain.PartSucceeded] == 0: // nothing has shown that the release works
		return domain.DeploymentFailed, "parts-failed"
	case limited && d.Failures() > 0:
		return domain.DeploymentSucceeded, "with-failures"
	}
	return domain.DeploymentSucceeded, ""
}

// withdrawalReason returns why all parts of a deployment were withdrawn. Only a later deployment by a person replaces
// the parts of a person's deployment.
func withdrawalReason(d *projections.Deployment) string {
	if d.Kind == domain.Automatic {
		return "withdrawn"
	}
	return string(domain.Superseded)
}

// releases releases queued parts where slots under maxParallel are free, oldest deployment first. It does not release a
// part that is withdrawn in the same pass.
func releases(v *projections.View, p *projections.Project, age projections.Age) []domain.Decision {
	var all []domain.Decision
	taken := map[string]int{} // slots by environment, in this pass
	takenByRole := map[string]map[string]int{}
	for _, d := range p.Open {
		if _, stopped := d.TooManyFailed(); stopped {
			continue
		}
		waveSlots, wave := waveSlots(d, age)
		slots := min(d.FreeSlots()-taken[d.Environment], waveSlots, domain.MaxNamedMachines)
		if takenByRole[d.Environment] == nil {
			takenByRole[d.Environment] = map[string]int{}
		}
		machines := releasable(v, d, slots, takenByRole[d.Environment], age)
		if len(machines) == 0 {
			continue
		}
		taken[d.Environment] += len(machines)
		all = append(all, domain.Decision{Kind: "release-parts", Stream: domain.ProjectStream(p.Name),
			Events: []domain.Event{domain.PartsReleased{Deployment: d.ID, Machines: machines, Wave: wave}},
			Causes: []domain.ID{d.ID}})
	}
	return all
}

// waveSlots returns how many parts the waves of a deployment allow to release, and the wave that starts with them; 0 if
// none starts.
func waveSlots(d *projections.Deployment, age projections.Age) (slots, wave int) {
	if since, ended := d.WaveEnded(); ended && age(since) >= time.Duration(d.Facts.WavePause) {
		wave, slots = d.NextWave()
		return slots, wave
	}
	return d.WaveSlots(), 0
}

// releasable returns up to that many machines whose parts can be released, and counts the slots of their roles as taken. A
// part whose role has no free slot does not stop the others.
func releasable(v *projections.View, d *projections.Deployment, slots int, taken map[string]int,
	age projections.Age) (machines []string) {
	for _, name := range d.Unreleased() {
		part := d.Parts[name]
		if len(machines) >= slots {
			break
		}
		m := v.MachineOf(part)
		if part.State != domain.PartQueued || !d.RolesAllow(m, taken) ||
			d.Kind == domain.Automatic && withdrawReason(v, part, age) != "" {
			continue
		}
		machines = append(machines, name)
		if m != nil {
			for _, role := range m.Roles {
				taken[role]++
			}
		}
	}
	return machines
}
