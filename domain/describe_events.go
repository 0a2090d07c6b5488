package domain

import (
	"cmp"
	"fmt"
	"strings"
)

// The words of each event, in the order of the codec's table. A sentence names its subject: lists of events show it alone.

// machineWords is the machine that an event is about, as the subject of a sentence.
func machineWords(d *Description) string { return "machine " + d.Subject.Machine }

// partSubject is the part that an event is about, as the subject of a sentence.
func partSubject(d *Description) string {
	return fmt.Sprintf("part of deployment %s on %s", d.Subject.Deployment.Short(), machineWords(d))
}

func sayMachineAdded(e MachineAdded, d *Description) {
	d.Origin, d.Subject.Environment = e.Origin, e.Environment
	d.Details += settingsWords(e.Environment, e.Roles, e.Policy)
	d.Sentence = fmt.Sprintf("%s added to %s, roles %s", machineWords(d), e.Environment, Listed(e.Roles))
}

func sayMachineChanged(e MachineChanged, d *Description) {
	d.Origin, d.Subject.Environment = e.Origin, e.Environment
	d.Details += settingsWords(e.Environment, e.Roles, e.Policy)
	d.Sentence = fmt.Sprintf("%s changed: now in %s, roles %s, policy %s",
		machineWords(d), e.Environment, Listed(e.Roles), cmp.Or(e.Policy, DefaultPolicy))
}

func sayMachineEnabled(e MachineEnabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, machineWords(d)+" enabled"
}

func sayMachineDisabled(e MachineDisabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, machineWords(d)+" disabled"
}

func sayMachineCameOnline(e MachineCameOnline, d *Description) {
	d.Sentence = fmt.Sprintf("%s came online, instance %s, session %s", machineWords(d), e.Instance.Short(), e.Session.Short())
}

func sayMachineWentOffline(e MachineWentOffline, d *Description) {
	d.Details += InBrackets(e.Reason)
	d.Sentence = machineWords(d) + " went offline: " + cmp.Or(offlineWords[e.Reason], e.Reason)
}

func sayAgentConnected(e AgentConnected, d *Description) {
	d.Sentence = fmt.Sprintf("agent of %s connected to server %s, session %s", machineWords(d), e.Server.Short(), e.Session.Short())
}

func sayMachineHealthChanged(e MachineHealthChanged, d *Description) {
	d.Details += " " + string(e.Status)
	d.Sentence = fmt.Sprintf("%s became %s%s", machineWords(d), e.Status, InBrackets(e.Detail))
}

func sayMachineDeleted(e MachineDeleted, d *Description) {
	d.Origin = e.Origin
	d.Details += InBrackets(e.Reason)
	d.Sentence = machineWords(d) + " deleted" + InBrackets(e.Reason)
}

func sayMachineCleanUpHeld(e MachineCleanUpHeld, d *Description) {
	d.Details += fmt.Sprintf(" (%d of %d absent)", e.Absent, e.Machines)
	d.Sentence = fmt.Sprintf("%s not cleaned up: %d of %d machines of its environment are absent at once",
		machineWords(d), e.Absent, e.Machines)
}

func sayProjectDefined(e ProjectDefined, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project defined"
}

func sayProjectEnabled(e ProjectEnabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project enabled"
}

func sayProjectDisabled(e ProjectDisabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project disabled"
}

func sayProjectDeleted(e ProjectDeleted, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project deleted"
}

func sayTriggerDefined(e TriggerDefined, d *Description) {
	d.Origin, d.Details = e.Origin, d.Details+"/"+e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s defined", e.Trigger)
}

func sayTriggerEnabled(e TriggerEnabled, d *Description) {
	d.Origin, d.Details = e.Origin, d.Details+"/"+e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s enabled", e.Trigger)
}

func sayTriggerDisabled(e TriggerDisabled, d *Description) {
	d.Origin, d.Details = e.Origin, d.Details+"/"+e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s disabled", e.Trigger)
}

func sayTriggerDeleted(e TriggerDeleted, d *Description) {
	d.Origin, d.Details = e.Origin, d.Details+"/"+e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s deleted", e.Trigger)
}

func sayReleaseCreated(e ReleaseCreated, d *Description) {
	d.Origin, d.Subject.Release = e.Origin, e.Version
	d.Details += " " + e.Version
	d.Sentence = fmt.Sprintf("release %s created", e.Version)
}

func sayDeploymentQueued(e DeploymentQueued, d *Description) {
	d.Origin, d.Subject.Environment, d.Subject.Release = e.Origin, e.Environment, e.Release
	d.Details += " " + e.Release + " → " + e.Environment
	var machines []string
	for _, m := range e.Machines {
		machines = append(machines, m.Name)
	}
	if len(machines) > 0 {
		d.Details += ": " + strings.Join(machines, ", ")
	}
	d.Details += InBrackets(d.Subject.Deployment.String())
	d.Sentence = fmt.Sprintf("deployment %s of %s to %s queued%s", d.Subject.Deployment.Short(), e.Release, e.Environment, InBrackets(e.Reason))
}

func sayPartsReleased(e PartsReleased, d *Description) {
	d.Subject.Deployment = e.Deployment
	d.Details = e.Deployment.String() + ": " + strings.Join(e.Machines, ", ")
	d.Sentence = fmt.Sprintf("parts of deployment %s released: %s", e.Deployment.Short(), Listed(e.Machines))
}

func sayPartsWithdrawn(e PartsWithdrawn, d *Description) {
	d.Subject.Deployment = e.Deployment
	machines := cmp.Or(strings.Join(e.Machines, ", "), "all unclaimed")
	d.Details = e.Deployment.String() + ": " + machines + InBrackets(string(e.Reason))
	d.Sentence = fmt.Sprintf("parts of deployment %s withdrawn (%s): %s", e.Deployment.Short(), machines, e.Reason.Words())
}

func sayDeploymentCancelled(e DeploymentCancelled, d *Description) {
	d.Origin, d.Subject.Deployment = e.Origin, e.Deployment
	d.Details = e.Deployment.String()
	d.Sentence = fmt.Sprintf("deployment %s cancelled", e.Deployment.Short())
}

func sayDeploymentEnded(e DeploymentEnded, d *Description) {
	d.Subject.Deployment = e.Deployment
	d.Details = e.Deployment.String() + " " + string(e.State) + InBrackets(e.Reason)
	d.Sentence = fmt.Sprintf("deployment %s ended: %s%s", e.Deployment.Short(), e.State, InBrackets(e.Reason))
}

func sayPinSet(e PinSet, d *Description) {
	d.Origin, d.Subject.Environment, d.Subject.Release = e.Origin, e.Environment, e.Release
	d.Details += " " + e.Release + " in " + e.Environment
	d.Sentence = fmt.Sprintf("environment %s pinned to %s%s%s", e.Environment, e.Release, untilWords(e.Until), InBrackets(e.Reason))
}

func sayPinLifted(e PinLifted, d *Description) {
	d.Origin, d.Subject.Environment = e.Origin, e.Environment
	d.Details += " in " + e.Environment + InBrackets(e.Reason)
	d.Sentence = fmt.Sprintf("pin of environment %s %s", e.Environment, e.Reason)
}

func sayHoldSet(e HoldSet, d *Description) {
	d.Origin, d.Subject.Machine, d.Subject.Release = e.Origin, e.Machine, e.Release
	d.Details += " on " + e.Machine
	d.Sentence = fmt.Sprintf("%s held at %s%s%s", machineWords(d), cmp.Or(e.Release, "what it has"), untilWords(e.Until), InBrackets(e.Reason))
}

func sayHoldLifted(e HoldLifted, d *Description) {
	d.Origin, d.Subject.Machine = e.Origin, e.Machine
	d.Details += " on " + e.Machine + InBrackets(e.Reason)
	d.Sentence = fmt.Sprintf("hold of %s %s", machineWords(d), e.Reason)
}

func sayPartClaimed(e PartClaimed, d *Description) {
	d.Subject.Project = e.Project
	d.Sentence = partSubject(d) + " claimed"
}

func sayPartEnded(e PartEnded, d *Description) {
	d.Subject.Project = e.Project
	d.Details += " " + string(e.State) + InBrackets(string(e.Reason))
	d.Sentence = e.EndWords(partSubject(d), e.Reason == LateReportOfResult)
}

func sayEnvironmentDefined(e EnvironmentDefined, d *Description) {
	d.Origin, d.Sentence = e.Origin, "environment defined"
}

func sayEnvironmentDeleted(e EnvironmentDeleted, d *Description) {
	d.Origin, d.Sentence = e.Origin, "environment deleted"
}

func sayPolicyDefined(e PolicyDefined, d *Description) {
	d.Origin, d.Sentence = e.Origin, "machine policy defined"
}

func sayPolicyDeleted(e PolicyDeleted, d *Description) {
	d.Origin, d.Sentence = e.Origin, "machine policy deleted"
}

func sayTokenCreated(e TokenCreated, d *Description) {
	kind := "token with the scope " + string(e.Settings.Scope)
	if e.Settings.Join {
		kind = "join token"
	}
	valid := untilWords(e.Settings.Until)
	if valid != "" {
		valid = ", valid" + valid
	}
	d.Origin, d.Sentence = e.Origin, kind+" created"+valid
}

func sayTokenUsed(e TokenUsed, d *Description) {
	d.Subject.Machine = e.Machine
	d.Sentence = fmt.Sprintf("token used by %s, instance %s", machineWords(d), e.Instance.Short())
}

func sayTokenRevoked(e TokenRevoked, d *Description) {
	d.Origin, d.Sentence = e.Origin, "token revoked"
}

func sayServerStarted(e ServerStarted, d *Description) {
	d.Sentence = fmt.Sprintf("server started, version %s, decision version %d", cmp.Or(e.Version, "unknown"), e.DecisionVersion)
}

func sayWatchPassed(e WatchPassed, d *Description) {
	d.Details = e.Span.String()
	d.Sentence = fmt.Sprintf("absent machines were watched for %s", e.Span)
}

func sayStreamCleared(e StreamCleared, d *Description) {
	d.Origin, d.Details = e.Origin, e.Stream
	d.Sentence = fmt.Sprintf("stream %s cleared: it continues without the event that could not be folded", e.Stream)
}

func sayLogRestored(e LogRestored, d *Description) {
	d.Origin = e.Origin
	d.Sentence = fmt.Sprintf("restore of log %s accepted", e.Was.Short())
}
