package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// MaxHistory is how many lines of history an answer has at most.
const MaxHistory = 50

// history turns what was read into the newest lines that matter to a machine and a project.
func history(v *projections.View, project, machine string, past []eventlog.Recorded, names Names) []History {
	lines, worked := []History{}, workedOn(machine, past)
	for _, rec := range past {
		fact, err := domain.Decode(rec.Type, rec.Data)
		if rec.Position > v.Position || err != nil {
			continue
		}
		if text := (teller{v, project, machine, worked, rec, names}).tell(fact); text != "" {
			lines = append(lines, History{Position: rec.Position.String(), Time: rec.Time.UTC(), Type: domain.Name(fact), Text: text})
		}
	}
	slices.SortStableFunc(lines, func(a, b History) int {
		x, _ := eventlog.ParsePosition(a.Position)
		y, _ := eventlog.ParsePosition(b.Position)
		return cmp.Compare(x, y)
	})
	return lines[max(0, len(lines)-MaxHistory):]
}

// workedOn are the deployments of which what was read tells that the machine had a part.
func workedOn(machine string, past []eventlog.Recorded) map[domain.ID]bool {
	worked := map[domain.ID]bool{}
	for _, rec := range past {
		if kind, name := domain.SplitStream(rec.Stream); kind == domain.PartStreams {
			id, on, err := domain.ParsePartStream(name)
			worked[id] = worked[id] || err == nil && on == machine
		}
	}
	return worked
}

// teller says one event in words, as it matters to a machine and a project.
type teller struct {
	v                *projections.View
	project, machine string
	worked           map[domain.ID]bool // see workedOn; all that is known of deployments that the view has forgotten
	rec              eventlog.Recorded
	names            Names
}

// tell is the words for a fact; empty if it does not matter here.
func (t teller) tell(fact domain.Event) string {
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

// projectWords tells of a fact in the project's stream as far as it matters to the machine.
func (t teller) projectWords(fact domain.Event, told domain.Description) string {
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
	case !about.Deployment.IsZero() && !t.concerns(about.Deployment), // how a deployment went that had no part here
		about.Environment != "" && !t.stands(about.Environment), // a pin elsewhere
		about.Machine != "" && about.Machine != t.machine:       // a hold of another machine
		return ""
	}
	return told.Sentence + t.names.by(told.Origin)
}

// queued tells of a deployment that has a part on the machine, or left it out by name.
func (t teller) queued(e domain.DeploymentQueued, told domain.Description) string {
	id := told.Subject.Deployment
	d := t.v.Deployments[id]
	what := fmt.Sprintf("deployment %s of %s to %s", id.Short(), e.Release, e.Environment)
	if d == nil {
		return t.queuedLongAgo(what, e, told)
	}
	part := d.Parts[t.machine]
	switch {
	case d.Excludes(t.machine):
		return what + " queued without this machine" + t.names.by(e.Origin)
	case part == nil && e.Kind == domain.EnvironmentWide && t.stands(e.Environment):
		return what + " queued while this machine was not in scope" + t.names.by(e.Origin)
	case part == nil:
		return ""
	case e.Kind == domain.Automatic:
		return fmt.Sprintf("%s queued: %s, asked by trigger %s", what, part.Verdict, domain.Listed(part.Triggers))
	case part.State == domain.PartSkipped && part.EndedAt == d.Queued:
		return what + " queued, this machine skipped: " + part.Reason.Words() + t.names.by(e.Origin)
	}
	return what + " queued" + domain.InBrackets(e.Reason) + inPlaceOf(part.Replaced) + t.names.by(e.Origin)
}

// queuedLongAgo tells of a deployment that the view has forgotten what the event itself says.
func (t teller) queuedLongAgo(what string, e domain.DeploymentQueued, told domain.Description) string {
	here := slices.IndexFunc(e.Machines, func(m domain.DeploymentMachine) bool { return m.Name == t.machine })
	switch {
	case slices.Contains(e.Exclude, t.machine):
		return what + " queued without this machine" + t.names.by(e.Origin)
	case here >= 0 && e.Kind == domain.Automatic:
		return fmt.Sprintf("%s queued: %s, asked by trigger %s", what, e.Machines[here].Reason, domain.Listed(e.Machines[here].Triggers))
	case here >= 0 || t.worked[told.Subject.Deployment]:
		return told.Sentence + t.names.by(e.Origin)
	}
	return ""
}

func inPlaceOf(deployments []domain.ID) string {
	var names []string
	for _, id := range deployments {
		names = append(names, id.Short())
	}
	if len(names) == 0 {
		return ""
	}
	return ", in place of deployment " + domain.Listed(names)
}

func (t teller) stands(environment string) bool {
	m := t.v.Machines[t.machine]
	return m != nil && m.Environment == environment
}

func (t teller) withdrawn(e domain.PartsWithdrawn) string {
	part := t.partOf(e.Deployment)
	if part == nil || part.EndedAt != t.rec.Position {
		return ""
	}
	return fmt.Sprintf("part of deployment %s withdrawn: %s", e.Deployment.Short(), e.Reason.Words())
}

func (t teller) partOf(id domain.ID) *projections.Part {
	if d := t.v.Deployments[id]; d != nil {
		return d.Parts[t.machine]
	}
	return nil
}

// concerns says that the machine had a part in a deployment, as far as the view or what was read knows.
func (t teller) concerns(id domain.ID) bool { return t.partOf(id) != nil || t.worked[id] }

// part tells of a claim or an end of the machine's part.
func (t teller) part(id domain.ID, fact domain.Event, told domain.Description) string {
	d := t.v.Deployments[id]
	switch {
	case d == nil && told.Subject.Project == t.project:
		return told.Sentence // of a part that the view has forgotten the event itself tells all that is known
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
		return "a claim of the " + what + " was void"
	case domain.PartEnded:
		return e.EndWords(what, part == nil || part.EndedAt != t.rec.Position)
	}
	return ""
}
