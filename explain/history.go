package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// MaxHistory is how many lines of history an answer has at most.
const MaxHistory = 50

// history turns what was read into the newest lines that matter to a machine and a project.
func history(v *projections.View, project, machine string, past []eventlog.Recorded) []History {
	lines, worked := []History{}, workedOn(machine, past)
	for _, rec := range past {
		fact, err := domain.Decode(rec.Type, rec.Data)
		if rec.Position > v.Position || err != nil {
			continue
		}
		if text := (teller{v, project, machine, worked, rec}).tell(fact); text != "" {
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
}

// tell is the words for a fact; empty if it does not matter here.
func (t teller) tell(fact domain.Event) string {
	kind, name := domain.SplitStream(t.rec.Stream)
	switch {
	case kind == domain.MachineStreams && name == t.machine:
		return machineWords(fact)
	case kind == domain.ProjectStreams && name == t.project:
		return cmp.Or(t.projectWords(fact), t.deploymentWords(fact), t.choiceWords(fact))
	case kind == domain.PartStreams:
		if id, machine, err := domain.ParsePartStream(name); err == nil && machine == t.machine {
			return t.part(id, fact)
		}
	}
	return ""
}

func machineWords(fact domain.Event) string {
	switch e := fact.(type) {
	case domain.MachineAdded:
		return fmt.Sprintf("added to %s, roles %s%s", e.Environment, listed(e.Roles), by(e.By))
	case domain.MachineChanged:
		return fmt.Sprintf("now in %s, roles %s, policy %s%s", e.Environment, listed(e.Roles), cmp.Or(e.Policy, domain.DefaultPolicy), by(e.By))
	case domain.MachineEnabled:
		return "enabled" + by(e.By)
	case domain.MachineDisabled:
		return "disabled" + by(e.By)
	case domain.MachineCameOnline:
		return fmt.Sprintf("came online, instance %s, session %s", short(e.Instance), short(e.Session))
	case domain.AgentConnected:
		return fmt.Sprintf("its agent connected to server %s, session %s", short(e.Server), short(e.Session))
	case domain.MachineWentOffline:
		return "went offline: " + cmp.Or(offlineWords[e.Reason], e.Reason)
	case domain.MachineHealthChanged:
		return fmt.Sprintf("became %s%s", e.Status, detail(e.Detail))
	case domain.MachineDeleted:
		return "deleted" + detail(e.Reason) + by(e.By)
	case domain.MachineCleanUpHeld:
		return fmt.Sprintf("not cleaned up: %d of %d machines of its environment are absent at once", e.Absent, e.Machines)
	}
	return ""
}

var offlineWords = map[string]string{
	"silent":       "nothing was heard of it for as long as its policy allows",
	"said-goodbye": "its agent said goodbye",
	"reported":     "it was reported offline",
	"server-gone":  "the server that held its session is gone",
}

func (t teller) projectWords(fact domain.Event) string {
	switch e := fact.(type) {
	case domain.ProjectDefined:
		return "settings of the project" + by(e.By)
	case domain.ProjectEnabled:
		return "project enabled" + by(e.By)
	case domain.ProjectDisabled:
		return "project disabled" + by(e.By)
	case domain.ProjectDeleted:
		return "project deleted" + by(e.By)
	case domain.TriggerDefined:
		return fmt.Sprintf("settings of trigger %s%s", e.Trigger, by(e.By))
	case domain.TriggerEnabled:
		return fmt.Sprintf("trigger %s enabled%s", e.Trigger, by(e.By))
	case domain.TriggerDisabled:
		return fmt.Sprintf("trigger %s disabled%s", e.Trigger, by(e.By))
	case domain.TriggerDeleted:
		return fmt.Sprintf("trigger %s deleted%s", e.Trigger, by(e.By))
	case domain.ReleaseCreated:
		return fmt.Sprintf("release %s created%s", e.Version, by(e.By))
	}
	return ""
}

// deploymentWords tells of deployments that have a part on the machine, or left it out by name.
func (t teller) deploymentWords(fact domain.Event) string {
	switch e := fact.(type) {
	case domain.DeploymentQueued:
		return t.queued(e)
	case domain.PartsReleased:
		if slices.Contains(e.Machines, t.machine) {
			return fmt.Sprintf("part of deployment %s released", short(e.Deployment))
		}
	case domain.PartsWithdrawn:
		return t.withdrawn(e)
	case domain.DeploymentCancelled:
		if t.concerns(e.Deployment) {
			return fmt.Sprintf("deployment %s cancelled%s", short(e.Deployment), by(e.By))
		}
	case domain.DeploymentEnded:
		if t.concerns(e.Deployment) {
			return fmt.Sprintf("deployment %s ended: %s%s", short(e.Deployment), e.State, detail(e.Reason))
		}
	}
	return ""
}

func (t teller) queued(e domain.DeploymentQueued) string {
	d := t.v.Deployments[domain.ID(t.rec.ID)]
	what := fmt.Sprintf("deployment %s of %s to %s", short(domain.ID(t.rec.ID)), e.Release, e.Environment)
	if d == nil {
		return t.queuedLongAgo(what, e)
	}
	part := d.Parts[t.machine]
	switch {
	case d.Excludes(t.machine):
		return what + " queued without this machine" + by(e.By)
	case part == nil && e.Kind == domain.EnvironmentWide && t.stands(e.Environment):
		return what + " queued while this machine was not in scope" + by(e.By)
	case part == nil:
		return ""
	case e.Kind == domain.Automatic:
		return fmt.Sprintf("%s queued: %s, asked by trigger %s", what, part.Verdict, listed(part.Triggers))
	case part.State == domain.PartSkipped && part.EndedAt == d.Queued:
		return what + " queued, this machine skipped: " + PartWords(part.Reason) + by(e.By)
	}
	return what + " queued" + detail(e.Reason) + inPlaceOf(part.Replaced) + by(e.By)
}

// queuedLongAgo tells of a deployment that the view has forgotten what the event itself says.
func (t teller) queuedLongAgo(what string, e domain.DeploymentQueued) string {
	here := slices.IndexFunc(e.Machines, func(m domain.DeploymentMachine) bool { return m.Name == t.machine })
	switch {
	case slices.Contains(e.Exclude, t.machine):
		return what + " queued without this machine" + by(e.By)
	case here >= 0 && e.Kind == domain.Automatic:
		return fmt.Sprintf("%s queued: %s, asked by trigger %s", what, e.Machines[here].Reason, listed(e.Machines[here].Triggers))
	case here >= 0 || t.worked[domain.ID(t.rec.ID)]:
		return what + " queued" + detail(e.Reason) + by(e.By)
	}
	return ""
}

func inPlaceOf(deployments []domain.ID) string {
	var names []string
	for _, id := range deployments {
		names = append(names, short(id))
	}
	if len(names) == 0 {
		return ""
	}
	return ", in place of deployment " + listed(names)
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
	return fmt.Sprintf("part of deployment %s withdrawn: %s", short(e.Deployment), PartWords(e.Reason))
}

func (t teller) partOf(id domain.ID) *projections.Part {
	if d := t.v.Deployments[id]; d != nil {
		return d.Parts[t.machine]
	}
	return nil
}

// concerns says that the machine had a part in a deployment, as far as the view or what was read knows.
func (t teller) concerns(id domain.ID) bool { return t.partOf(id) != nil || t.worked[id] }

// choiceWords tells of pins where the machine stands, and of its holds.
func (t teller) choiceWords(fact domain.Event) string {
	switch e := fact.(type) {
	case domain.PinSet:
		if t.stands(e.Environment) {
			return fmt.Sprintf("%s pinned to %s%s%s%s", e.Environment, e.Release, until(e.Until), detail(e.Reason), by(e.By))
		}
	case domain.PinLifted:
		if t.stands(e.Environment) {
			return fmt.Sprintf("pin of %s %s%s", e.Environment, e.Reason, by(e.By))
		}
	case domain.HoldSet:
		if e.Machine == t.machine {
			return fmt.Sprintf("held at %s%s%s%s", cmp.Or(e.Release, "what it has"), until(e.Until), detail(e.Reason), by(e.By))
		}
	case domain.HoldLifted:
		if e.Machine == t.machine {
			return "hold " + e.Reason + by(e.By)
		}
	}
	return ""
}

func (t teller) part(id domain.ID, fact domain.Event) string {
	what := fmt.Sprintf("part of deployment %s", short(id))
	d := t.v.Deployments[id]
	if d == nil {
		return t.partLongAgo(what, fact)
	}
	if d.Project.Name != t.project {
		return ""
	}
	part := d.Parts[t.machine]
	switch e := fact.(type) {
	case domain.PartClaimed:
		if part != nil && part.Claimed == t.rec.Position {
			return fmt.Sprintf("%s started: release %s", what, d.Release)
		}
		return "a claim of the " + what + " was void"
	case domain.PartEnded:
		return endWords(what, part == nil || part.EndedAt != t.rec.Position, e)
	}
	return ""
}

// partLongAgo tells of a part that the view has forgotten what the event itself says.
func (t teller) partLongAgo(what string, fact domain.Event) string {
	switch e := fact.(type) {
	case domain.PartClaimed:
		if e.Project == t.project {
			return what + " claimed"
		}
	case domain.PartEnded:
		if e.Project == t.project {
			return endWords(what, e.Reason == domain.LateReportOfResult, e)
		}
	}
	return ""
}

func endWords(what string, late bool, e domain.PartEnded) string {
	text := fmt.Sprintf("%s %s", what, e.State)
	if e.Reason != "" {
		text += ": " + PartWords(e.Reason)
	}
	if e.Step != "" {
		text += fmt.Sprintf(", step %s", e.Step)
	}
	if e.ExitCode != 0 {
		text += fmt.Sprintf(", exit code %d", e.ExitCode)
	}
	if late {
		text += ", reported late"
	}
	return text + detail(e.Detail)
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return ", by " + who
}

func detail(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func until(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " until " + t.UTC().Format(time.RFC3339)
}

// short is an id as far as people need it.
func short(id domain.ID) string { return id.String()[:8] }
