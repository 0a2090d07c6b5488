package explain

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Deployments returns the deployments, newest first.
func Deployments(v *projections.View, f Filter, names Names) List[Deployment] {
	byKey, keys := map[string]*projections.Deployment{}, []string{}
	before, _ := eventlog.ParsePosition(f.After)
	found := []*projections.Deployment{}
	for _, d := range v.Deployments {
		if deploymentMatches(d, f) && (f.After == "" || d.Queued < before) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *projections.Deployment) int { return cmp.Compare(b.Queued, a.Queued) })
	for _, d := range found {
		key := d.Queued.String()
		keys, byKey[key] = append(keys, key), d
	}
	return page(v, f, keys, func(key string) (Deployment, bool) { return deployment(v, byKey[key], names), true },
		func(d Deployment) int { return len(d.Machines) })
}

// DeploymentOf returns the deployment with that id, and false if the view does not have it.
func DeploymentOf(v *projections.View, id domain.ID, names Names) (Deployment, bool) {
	d := v.Deployments[id]
	if d == nil {
		return Deployment{}, false
	}
	return deployment(v, d, names), true
}

func deploymentMatches(d *projections.Deployment, f Filter) bool {
	return (f.Project == "" || d.Project.Name == f.Project) &&
		(f.Environment == "" || d.Environment == f.Environment) &&
		(f.Machine == "" || d.Parts[f.Machine] != nil) &&
		(f.State == "" || string(d.State) == f.State)
}

func deployment(v *projections.View, d *projections.Deployment, names Names) Deployment {
	shown := Deployment{ID: d.ID.String(), Project: d.Project.Name, Release: d.Release, Environment: d.Environment,
		Kind: string(d.Kind), State: string(d.State), Cause: deploymentCause(d, names), Failures: d.Failures(),
		MaxFailures: d.Facts.MaxFailures, Machines: []DeploymentMachine{},
		CreatedAt: d.QueuedTime.UTC(), EndedAt: moment(d.EndedTime), Position: d.Queued.String()}
	if by := v.Replacement(d); by != nil {
		shown.SupersededBy = &Superseding{by.ID.String(), by.Release}
	}
	if by := d.Accepted; by != nil {
		shown.Accepted = &Acceptance{By: names.Who(by.Origin), At: by.Time.UTC(), Reason: by.Reason}
	}
	if d.Wave > 0 {
		shown.Wave = &Wave{Number: d.Wave, Of: len(d.Facts.Waves), Machines: d.WaveSize(),
			Sizes: d.Facts.Waves, Pause: d.Facts.WavePause}
	}
	for _, name := range d.Order {
		shown.Machines = append(shown.Machines, deploymentMachine(v, d.Parts[name]))
	}
	return shown
}

func deploymentCause(d *projections.Deployment, names Names) DeploymentCause {
	cause := DeploymentCause{By: names.Who(d.Facts.Origin), Triggers: []string{},
		Reason: d.Facts.Reason, Events: []string{}}
	cause.Actor = actorOf(d.Facts.Origin)
	for _, named := range d.Facts.Machines {
		cause.Triggers = append(cause.Triggers, named.Triggers...)
		for _, id := range named.Causes {
			cause.Events = append(cause.Events, id.String())
		}
	}
	slices.Sort(cause.Triggers)
	cause.Triggers = slices.Compact(cause.Triggers)
	return cause
}

func deploymentMachine(v *projections.View, part *projections.Part) DeploymentMachine {
	return DeploymentMachine{Name: part.Machine, State: string(part.State),
		Reason: string(partReason(v, part)), Detail: part.Detail, Step: part.Step, ExitCode: part.ExitCode,
		StartedAt: moment(part.StartedTime), FinishedAt: moment(part.EndedTime), WaitsFor: waitsFor(v, part),
		CannotStop: cannotStop(v.Machines[part.Machine], part)}
}

// partReason returns why a part ended, or why an open part cannot be claimed yet. It is empty for a part that can be
// claimed.
func partReason(v *projections.View, part *projections.Part) domain.PartReason {
	m := v.Machines[part.Machine]
	if !part.Unclaimed() || m == nil {
		return part.Reason
	}
	if reason := v.ClaimCheckOnceReleased(part, m.Session); reason != "" || part.State == domain.PartReleased {
		return reason
	}
	if d := part.Deployment; d.Wave > 0 && d.WaveSlots() == 0 {
		return domain.NextWave
	}
	return domain.NotReleased
}
