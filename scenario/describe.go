package scenario

import (
	"fmt"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// describe writes an event in one line: "#11 DeploymentQueued shop 1.4.3 → production: web-01 (d1)".
func (st *stage) describe(rec eventlog.Recorded) string {
	place := "#" + rec.Position.String() + " "
	e, err := domain.Decode(rec.Type, rec.Data)
	if err != nil {
		return place + rec.Type + " " + rec.Stream
	}
	kind, name := domain.SplitStream(rec.Stream)
	if kind == domain.PartStreams {
		if id, machine, err := domain.ParsePartStream(name); err == nil {
			name = machine + " " + id.String()
		}
	}
	if kind == domain.ServerStreams {
		name = st.names.replace(name)
	}
	text := place + domain.Name(e)
	if words := details(name, e, domain.ID(rec.ID)); words != "" {
		text += " " + words
	}
	return st.names.replace(text)
}

// details are the words after the event's name; name is that of its stream.
func details(name string, e domain.Event, id domain.ID) string {
	switch e := e.(type) {
	case domain.MachineAdded:
		return name + settings(e.Environment, e.Roles, e.Policy)
	case domain.MachineChanged:
		return name + settings(e.Environment, e.Roles, e.Policy)
	case domain.MachineWentOffline:
		return name + bracket(e.Reason)
	case domain.MachineHealthChanged:
		return name + " " + string(e.Status)
	case domain.MachineDeleted:
		return name + bracket(e.Reason)
	case domain.MachineCleanUpHeld:
		return fmt.Sprintf("%s (%d of %d absent)", name, e.Absent, e.Machines)
	case domain.TriggerDefined:
		return name + "/" + e.Trigger
	case domain.TriggerEnabled:
		return name + "/" + e.Trigger
	case domain.TriggerDisabled:
		return name + "/" + e.Trigger
	case domain.TriggerDeleted:
		return name + "/" + e.Trigger
	case domain.ReleaseCreated:
		return name + " " + e.Version
	case domain.PinSet:
		return name + " " + e.Release + " in " + e.Environment
	case domain.PinLifted:
		return name + " in " + e.Environment + bracket(e.Reason)
	case domain.HoldSet:
		return name + " on " + e.Machine
	case domain.HoldLifted:
		return name + " on " + e.Machine + bracket(e.Reason)
	case domain.WatchPassed:
		return e.Span.String()
	case domain.StreamCleared:
		return e.Stream
	}
	return deploymentDetails(name, e, id)
}

func deploymentDetails(name string, e domain.Event, id domain.ID) string {
	switch e := e.(type) {
	case domain.DeploymentQueued:
		return queued(name, e) + bracket(id.String())
	case domain.PartsReleased:
		return e.Deployment.String() + ": " + strings.Join(e.Machines, ", ")
	case domain.PartsWithdrawn:
		machines := strings.Join(e.Machines, ", ")
		if machines == "" {
			machines = "all unclaimed"
		}
		return e.Deployment.String() + ": " + machines + bracket(string(e.Reason))
	case domain.DeploymentCancelled:
		return e.Deployment.String()
	case domain.DeploymentEnded:
		return e.Deployment.String() + " " + string(e.State) + bracket(e.Reason)
	case domain.PartEnded:
		return name + " " + string(e.State) + bracket(string(e.Reason))
	}
	return name
}

func queued(project string, e domain.DeploymentQueued) string {
	text := project + " " + e.Release + " → " + e.Environment
	var machines []string
	for _, m := range e.Machines {
		machines = append(machines, m.Name)
	}
	if len(machines) > 0 {
		text += ": " + strings.Join(machines, ", ")
	}
	return text
}

func settings(environment string, roles []string, policy string) string {
	text := " in " + environment
	if len(roles) > 0 {
		text += " as " + strings.Join(roles, ", ")
	}
	if policy != "" && policy != domain.DefaultPolicy {
		text += " under " + policy
	}
	return text
}

func bracket(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
