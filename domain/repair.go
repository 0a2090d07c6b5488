package domain

import "fmt"

// RetryDeployment queues a deployment that repairs an ended one of a person: a narrowed deployment of the same release to
// the machines that the first one left without it.
type RetryDeployment struct {
	Deployment ID `json:"deployment"`
	// Failed selects the machines whose part failed or was lost, and Skipped those on which no part started. At least one
	// of them is set.
	Failed  bool `json:"failed"`
	Skipped bool `json:"skipped"`
	Origin
}

// RepairFacts is what a retry of a deployment would do with the machines whose parts ended in certain states.
type RepairFacts struct {
	// Machines would be deployed to, sorted by name.
	Machines []string
	// The other machines, by the reason why they would not.
	Done  int // they have the release
	Held  int // a person holds them, or excluded them from a later deployment
	Moved int // a later deployment of another release started there
	Gone  int // they were deleted, or left the scope of the deployment
	// Later is the release that a later environment-wide deployment made the wanted one; empty if none did.
	Later string
}

// maxRepairBytes bounds the machines of one repair as JSON: a log accepts 512 KiB in one append.
const maxRepairBytes = 384 << 10

// Stream returns the stream of the deployment's project.
func (c RetryDeployment) Stream(w World) string {
	return CancelDeployment{Deployment: c.Deployment}.Stream(w)
}

// Decide queues the deployment. The fold leaves out the machines that have the release at its position.
func (c RetryDeployment) Decide(w World) ([]Event, *Rejection) {
	d := w.Deployment(c.Deployment)
	if r := c.check(w, d); r != nil {
		return nil, r
	}
	facts := w.Repairable(c.Deployment, c.Failed, c.Skipped)
	if facts.Later != "" {
		return nil, conflict("release %s of project %s has since been deployed to %s", facts.Later, d.Project, d.Environment).
			hint("`drover deploy %s VERSION --to %s --only-behind` deploys to the machines that lack a release", d.Project,
				d.Environment)
	}
	if len(facts.Machines) == 0 {
		return nil, c.nothingLeft(facts)
	}
	q := DeploymentQueued{Kind: Narrowed, Environment: d.Environment, Release: d.Queued.Release,
		MaxParallel: d.Queued.MaxParallel, RoleSlots: d.Queued.RoleSlots, StopAfterFailures: d.Queued.StopAfterFailures,
		Unavailable: d.Queued.Unavailable, HealthyFor: d.Queued.HealthyFor, Reason: "retry of the " + c.which(),
		RetryOf: c.Deployment, Origin: c.Origin}
	if !d.Queued.RetryOf.IsZero() {
		q.RetryOf = d.Queued.RetryOf // the first deployment of a chain decides about holds
	}
	bytes := 0
	for _, name := range facts.Machines {
		q.Machines = append(q.Machines, DeploymentMachine{Name: name})
		bytes += len(name) + len(`{"name":""},`)
	}
	if bytes > maxRepairBytes {
		return nil, invalid("%d machines are too many for one retry", len(facts.Machines)).
			hint("`drover deploy %s %s --to %s --only-behind` has no such limit", d.Project, q.Release, d.Environment)
	}
	return []Event{q}, nil
}

// check rejects the retry of a deployment that cannot be retried, whatever became of its machines.
func (c RetryDeployment) check(w World, d *DeploymentFacts) *Rejection {
	id := c.Deployment
	switch {
	case !c.Failed && !c.Skipped:
		return invalid("no parts of deployment %s are selected", id).hint("use --failed, --skipped or both")
	case d == nil:
		return deploymentNotFound(id)
	case !d.Ended:
		return conflict("deployment %s has not ended", id).hint("wait for its end, or run `drover cancel %s` first", id)
	case d.Queued == nil:
		return conflict("the parts of deployment %s are no longer stored", id).
			hint("`drover deploy %s VERSION --to ENVIRONMENT --only-behind` deploys to the machines that lack a release",
				d.Project)
	case d.Queued.Kind == Automatic:
		return conflict("deployment %s is automatic: drover retries its machines by itself", id).
			hint("`drover retry MACHINE --project %s` retries one of them now", d.Project)
	}
	_, r := Deploy{Project: d.Project, Release: d.Queued.Release, Environment: d.Environment}.check(w)
	if r != nil {
		return r
	}
	if open := w.Project(d.Project).openIn(d.Environment); open != nil {
		return conflict("environment-wide deployment %s of release %s to %s has not ended", open.Deployment, open.Release,
			d.Environment).hint("wait for its end, or run `drover cancel %s` first", open.Deployment)
	}
	return nil
}

// which names the selected machines.
func (c RetryDeployment) which() string {
	switch {
	case !c.Failed:
		return "skipped machines"
	case !c.Skipped:
		return "failed machines"
	}
	return "failed and skipped machines"
}

// nothingLeft explains why none of the selected machines would be deployed to.
func (c RetryDeployment) nothingLeft(f RepairFacts) *Rejection {
	text := ""
	for _, reason := range []struct {
		count int
		is    string
	}{{f.Done, "now with the release"}, {f.Held, "held"}, {f.Moved, "with a later release"}, {f.Gone, "deleted or moved"}} {
		if reason.count > 0 {
			text += fmt.Sprintf(", %d %s", reason.count, reason.is)
		}
	}
	if text == "" {
		return conflict("deployment %s has no %s to retry", c.Deployment, c.which()).
			hint("`drover describe deployment %s` lists its machines", c.Deployment)
	}
	return conflict("deployment %s has no %s left to retry: %s", c.Deployment, c.which(), text[len(", "):]).
		hint("`drover describe deployment %s` lists its machines", c.Deployment)
}
