package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// MaxHistory is the largest number of history lines in an answer.
const MaxHistory = 50

// history returns the newest lines about a machine and a project, oldest first. past holds the events that were read
// from the log; events after the view's position are skipped.
func history(v *projections.View, project, machine string, past []eventlog.Recorded, names Names) []History {
	lines, had := []History{}, deploymentsOn(machine, past)
	for _, rec := range past {
		fact, err := domain.Decode(rec.Type, rec.Data)
		if rec.Position > v.Position || err != nil {
			continue
		}
		if text := (describer{v, project, machine, had, rec, names}).describe(fact); text != "" {
			lines = append(lines, History{Position: rec.Position.String(), Time: rec.Time.UTC(),
				Type: domain.Name(fact), Text: text})
		}
	}
	slices.SortStableFunc(lines, func(a, b History) int {
		x, _ := eventlog.ParsePosition(a.Position)
		y, _ := eventlog.ParsePosition(b.Position)
		return cmp.Compare(x, y)
	})
	return lines[max(0, len(lines)-MaxHistory):]
}

// deploymentsOn returns the deployments in which the machine had a part, according to the events that were read.
func deploymentsOn(machine string, past []eventlog.Recorded) map[domain.ID]bool {
	had := map[domain.ID]bool{}
	for _, rec := range past {
		if kind, name := domain.SplitStream(rec.Stream); kind == domain.PartStreams {
			id, on, err := domain.ParsePartStream(name)
			had[id] = had[id] || err == nil && on == machine
		}
	}
	return had
}

// describer describes one event from the point of view of a machine and a project.
type describer struct {
	v                *projections.View
	project, machine string
	had              map[domain.ID]bool // see deploymentsOn; needed for deployments that the view no longer retains
	rec              eventlog.Recorded
	names            Names
}

// describe returns the text for an event, and nothing if the event does not concern the machine and the project.
func (t describer) describe(fact domain.Event) string {
	told := domain.Describe(fact, domain.Place{Stream: t.rec.Stream, ID: domain.ID(t.rec.ID)})
	about := told.Subject
	switch {
	case about.Kind == domain.MachineStreams && about.Machine == t.machine:
		return told.Sentence + t.names.by(told.Origin)
	case about.Kind == domain.ReleaseStreams && about.Project == t.project:
		return told.Sentence + t.names.by(told.Origin)
	case about.Kind == domain.ProjectStreams && about.Project == t.project:
		return t.projectWords(fact, told)
	case about.Kind == domain.PartStreams && about.Machine == t.machine:
		return t.part(about.Deployment, fact, told)
	}
	return ""
}

// projectWords describes an event of the project's stream if it concerns the machine.
func (t describer) projectWords(fact domain.Event, told domain.Description) string {
	about := told.Subject
	switch e := fact.(type) {
	case domain.DeploymentQueued:
		return t.queued(e, told)
	case domain.PartsReleased:
		if slices.Contains(e.Machines, t.machine) {
			return fmt.Sprintf("part of deployment %s released", e.Deployment.Short())
		}
		return ""
	case domain.PartsWithdrawn:
		return t.withdrawn(e)
	}
	switch {
	case !about.Deployment.IsZero() && !t.concerns(about.Deployment), // a deployment without a part on this machine
		about.Environment != "" && !t.isIn(about.Environment), // a pin of another environment
		about.Machine != "" && about.Machine != t.machine:     // a hold on another machine
		return ""
	}
	return told.Sentence + t.names.by(told.Origin)
}

// queued describes a deployment that has a part on the machine or excludes it.
func (t describer) queued(e domain.DeploymentQueued, told domain.Description) string {
	id := told.Subject.Deployment
	d := t.v.Deployments[id]
	what := fmt.Sprintf("deployment %s of %s to %s", id.Short(), e.Release, e.Environment)
	if d == nil {
		return t.queuedAndPruned(what, e, told)
	}
	part := d.Parts[t.machine]
	switch {
	case d.Excludes(t.machine):
		return what + " queued without this machine" + t.names.by(e.Origin)
	case part == nil && e.OnlyBehind && t.isIn(e.Environment):
		return what + " queued while this machine had the release or was not in scope" + t.names.by(e.Origin)
	case part == nil && e.Kind == domain.EnvironmentWide && t.isIn(e.Environment):
		return what + " queued while this machine was not in scope" + t.names.by(e.Origin)
	case part == nil:
		return ""
	case e.Kind == domain.Automatic:
		return fmt.Sprintf("%s queued: %s, requested by trigger %s", what, part.Verdict, domain.JoinNames(part.Triggers))
	case part.State == domain.PartSkipped && part.EndedAt == d.Queued:
		return what + " queued, this machine skipped: " + part.Reason.Text() + t.names.by(e.Origin)
	}
	return what + " queued" + domain.InParentheses(e.Reason) + replacing(part.Replaced) + t.names.by(e.Origin)
}

// queuedAndPruned describes, from its event alone, a deployment that the view no longer retains.
func (t describer) queuedAndPruned(what string, e domain.DeploymentQueued, told domain.Description) string {
	here := slices.IndexFunc(e.Machines, func(m domain.DeploymentMachine) bool { return m.Name == t.machine })
	switch {
	case slices.Contains(e.Exclude, t.machine):
		return what + " queued without this machine" + t.names.by(e.Origin)
	case here >= 0 && e.Kind == domain.Automatic:
		return fmt.Sprintf("%s queued: %s, requested by trigger %s",
			what, e.Machines[here].Reason, domain.JoinNames(e.Machines[here].Triggers))
	case here >= 0 || t.had[told.Subject.Deployment]:
		return told.Sentence + t.names.by(e.Origin)
	}
	return ""
}

// replacing returns the end of a sentence about a deployment that replaced the parts of others.
func replacing(deployments []domain.ID) string {
	var names []string
	for _, id := range deployments {
		names = append(names, id.Short())
	}
	if len(names) == 0 {
		return ""
	}
	return ", replacing deployment " + domain.JoinNames(names)
}

func (t describer) isIn(environment string) bool {
	m := t.v.Machines[t.machine]
	return m != nil && m.Environment == environment
}

func (t describer) withdrawn(e domain.PartsWithdrawn) string {
	part := t.partOf(e.Deployment)
	if part == nil || part.EndedAt != t.rec.Position {
		return ""
	}
	return fmt.Sprintf("part of deployment %s withdrawn: %s", e.Deployment.Short(), e.Reason.Text())
}

func (t describer) partOf(id domain.ID) *projections.Part {
	if d := t.v.Deployments[id]; d != nil {
		return d.Parts[t.machine]
	}
	return nil
}

// concerns reports whether the machine had a part in a deployment, according to the view or the events that were read.
func (t describer) concerns(id domain.ID) bool { return t.partOf(id) != nil || t.had[id] }

// part describes the claim or the end of the machine's part.
func (t describer) part(id domain.ID, fact domain.Event, told domain.Description) string {
	d := t.v.Deployments[id]
	switch {
	case d == nil && told.Subject.Project == t.project:
		return told.Sentence // the view no longer retains the deployment, so only the event describes it
	case d == nil || d.Project.Name != t.project:
		return ""
	}
	part := d.Parts[t.machine]
	what := "part of deployment " + id.Short()
	switch e := fact.(type) {
	case domain.PartClaimed:
		if part != nil && part.Claimed == t.rec.Position {
			return fmt.Sprintf("%s started: release %s", what, d.Release)
		}
		return "claim of the " + what + " was void"
	case domain.PartEnded:
		if part != nil && part.Verifying == t.rec.Position {
			return fmt.Sprintf("%s; the machine must stay healthy for %s", e.Text(what, false), d.Facts.HealthyFor)
		}
		return e.Text(what, part == nil || part.EndedAt != t.rec.Position)
	case domain.PartVerified:
		return e.Text(what)
	}
	return ""
}
