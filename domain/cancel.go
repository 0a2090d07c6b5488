package domain

import "slices"

// CancelDeployment cancels a deployment. Unclaimed parts end. Claimed parts finish, unless Kill is set.
type CancelDeployment struct {
	Deployment ID `json:"deployment"`
	// Kill asks the agents to stop the claimed parts.
	Kill bool `json:"kill,omitempty"`
	// Machine limits Kill to the part of one machine, which must run; empty: the parts of all machines. The whole
	// deployment is cancelled in either case.
	Machine string `json:"machine,omitempty"`
	// Reason is why a person kills the parts; may be empty.
	Reason string `json:"reason,omitempty"`
	Origin
}

// Stream returns the stream of the deployment's project.
func (c CancelDeployment) Stream(w World) string {
	if d := w.Deployment(c.Deployment); d != nil {
		return ProjectStream(d.Project)
	}
	return ProjectStream("")
}

// Decide cancels an open deployment. A deployment that was already cancelled is no change.
func (c CancelDeployment) Decide(w World) ([]Event, *Rejection) {
	d := w.Deployment(c.Deployment)
	switch {
	case d == nil:
		return nil, deploymentNotFound(c.Deployment)
	case c.Kill:
		return c.kill(w, d)
	case d.Cancelled:
		return nil, nil
	case d.Ended:
		return nil, conflict("deployment %s has ended: %s", c.Deployment, d.State)
	}
	return []Event{DeploymentCancelled{Deployment: c.Deployment, Origin: c.Origin}}, nil
}

// kill cancels the deployment and asks for the stop of its claimed parts. It is no change if the deployment was
// cancelled and no claimed part is left that was not asked to stop.
func (c CancelDeployment) kill(w World, d *DeploymentFacts) ([]Event, *Rejection) {
	if d.Ended {
		return nil, conflict("deployment %s has ended: %s", c.Deployment, d.State).
			hint("no part of it is running, so there is nothing to kill")
	}
	if r := checkReason(c.Reason); r != nil {
		return nil, r
	}
	running := w.Running(c.Deployment)
	if c.Machine != "" {
		p := w.Part(c.Deployment, c.Machine)
		switch {
		case p == nil:
			return nil, partNotFound(c.Deployment, c.Machine)
		case p.State.Ended():
			return nil, conflict("the part of machine %s in deployment %s has ended: %s", c.Machine, c.Deployment, p.State).
				hint("`drover cancel %s` cancels the rest of the deployment", c.Deployment)
		case !slices.Contains(running, c.Machine):
			return nil, conflict("nothing runs on machine %s for deployment %s: its part is %s", c.Machine, c.Deployment,
				p.State).
				hint("`drover cancel %s` cancels the deployment, and machines that have not started it never start it",
					c.Deployment)
		}
		running = slices.DeleteFunc(running, func(machine string) bool { return machine != c.Machine })
	}
	killed := func(machine string) bool { return w.Part(c.Deployment, machine).Killed }
	if d.Cancelled && !slices.ContainsFunc(running, func(machine string) bool { return !killed(machine) }) {
		return nil, nil
	}
	return []Event{DeploymentCancelled(c)}, nil // both have the same fields
}
