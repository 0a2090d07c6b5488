package projections

import (
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Acceptance is a person's decision to want the release of a deployment that did not succeed.
type Acceptance struct {
	Time   time.Time
	Reason string // may be empty
	domain.Origin
}

// good reports whether the deployment succeeded, or a person accepted it.
func (d *Deployment) good() bool { return d.State == domain.DeploymentSucceeded || d.Accepted != nil }

// WantedFrom returns the time at which the deployment made its release the wanted one; zero if it did not.
func (d *Deployment) WantedFrom() time.Time {
	switch {
	case d.Accepted != nil:
		return d.Accepted.Time
	case d.State == domain.DeploymentSucceeded:
		return d.EndedTime
	}
	return time.Time{}
}

// accept folds that a person accepted a deployment. Everything is then as after a deployment that succeeded with failures.
func (v *View) accept(e domain.DeploymentAccepted, f Fact) {
	d := v.Deployments[e.Deployment]
	if d == nil || d.orphaned || d.good() {
		return
	}
	if s := d.Project.Environments[d.Environment]; s == nil || !s.Accepted(d.ID) {
		return // it has not ended, or its environment was deleted
	}
	d.Accepted = &Acceptance{Time: f.Time, Reason: e.Reason, Origin: e.Origin}
	v.liftOlderHolds(d)
	v.countTolerated(d)
	d.confirmWanted(f.Position)
	v.settleEnvironment(d.Project, d.Environment)
}

// countTolerated counts the parts that failed within maxFailures, or in a deployment that a person accepted, as the first
// attempts of the automatic retries: the machines have no hold, and the release is wanted there. A repair that failed
// since continues the deployment, so its part counts instead.
func (v *View) countTolerated(d *Deployment) {
	if d.orphaned || d.Accepted == nil && (d.Facts.MaxFailures == nil || d.State != domain.DeploymentSucceeded) {
		return
	}
	for _, name := range d.Order {
		m := v.known(name)
		if !d.Parts[name].IsFor(m) {
			continue
		}
		last := m.installed(d.Project.Name).Last
		if last == nil || last.Deployment != d && last.Deployment.Facts.RetryOf != d.ID || last.Instance != m.Instance {
			continue // something else decides what the machine has
		}
		late := v.Actual(d.Project, m) == d.Release && !v.Dirty(d.Project, m) // its success arrived after it was declared lost
		if (last.State == domain.PartFailed || last.State == domain.PartLost) && !late {
			m.countAttempt(d.Project, last, last.EndedAt)
		}
	}
}

// confirmWanted records that an environment-wide deployment that succeeded or was accepted says what the environment
// wants, even if it wanted that before: a machine that was unknown meanwhile may have something else, after a rollback for
// example.
func (d *Deployment) confirmWanted(at eventlog.Position) {
	if d.good() && !d.orphaned {
		d.Project.WantedSince[d.Environment] = at
	}
}
