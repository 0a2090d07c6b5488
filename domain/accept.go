package domain

// AcceptDeployment makes the release of an environment-wide deployment that did not succeed the wanted one, because a
// person has looked at it and wants that.
type AcceptDeployment struct {
	Deployment ID     `json:"deployment"`
	Reason     string `json:"reason,omitempty"`
	Origin
}

// Stream returns the stream of the deployment's project.
func (c AcceptDeployment) Stream(w World) string {
	return CancelDeployment{Deployment: c.Deployment}.Stream(w)
}

// Decide accepts a deployment that has ended. A deployment that was accepted before is no change.
func (c AcceptDeployment) Decide(w World) ([]Event, *Rejection) {
	d := w.Deployment(c.Deployment)
	switch {
	case d == nil:
		return nil, deploymentNotFound(c.Deployment)
	case !d.Ended:
		return nil, conflict("deployment %s has not ended", c.Deployment).
			hint("wait for its end, or run `drover cancel %s` first", c.Deployment)
	case d.Accepted:
		return nil, nil
	case d.State == DeploymentSucceeded:
		return nil, conflict("deployment %s succeeded, so there is nothing to accept", c.Deployment)
	case d.Queued == nil:
		return nil, conflict("the parts of deployment %s are no longer stored", c.Deployment).
			hint("`drover deploy %s VERSION --to ENVIRONMENT --only-behind` deploys to the machines that lack a release", d.Project)
	case d.Queued.Kind != EnvironmentWide:
		return nil, conflict("deployment %s covered only some machines of %s", c.Deployment, d.Environment).
			hint("only an environment-wide deployment can change the wanted release")
	case !d.Succeeded:
		return nil, conflict("no machine of deployment %s has succeeded", c.Deployment).
			hint("deploy a release that works, or deploy this one again")
	}
	if r := c.check(w, d); r != nil {
		return nil, r
	}
	return []Event{DeploymentAccepted(c)}, nil // both have the same fields
}

// check rejects a deployment whose release cannot become the wanted one.
func (c AcceptDeployment) check(w World, d *DeploymentFacts) *Rejection {
	q := d.Queued
	p, r := Deploy{Project: d.Project, Release: q.Release, Environment: d.Environment, Reason: c.Reason}.check(w)
	if r != nil {
		return r
	}
	if open := p.openIn(d.Environment); open != nil {
		return conflict("environment-wide deployment %s of release %s to %s has not ended", open.Deployment, open.Release,
			d.Environment).hint("wait for its end, or run `drover cancel %s` first", open.Deployment)
	}
	s := p.Environments[d.Environment]
	if s == nil {
		s = &EnvironmentState{}
	}
	at := s.index(c.Deployment)
	switch good := s.succeeded(); {
	case at < 0:
		return conflict("environment %s was deleted and created again after deployment %s", d.Environment, c.Deployment)
	case good > at:
		return conflict("the later deployment %s of release %s sets the wanted release of %s",
			s.History[good].Deployment, s.History[good].Release, d.Environment).
			hint("deploy release %s again to return to it", q.Release)
	}
	return nil
}
