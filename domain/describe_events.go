package domain

import (
	"cmp"
	"fmt"
	"strings"
)

// The descriptions of each event type, in the order of the table of event types. Each sentence names its subject
// because lists of events show the sentence alone.

// machineSubject returns the machine of an event as the subject of a sentence.
func machineSubject(d *Description) string { return "machine " + d.Subject.Machine }

// partSubject returns the part of an event as the subject of a sentence.
func partSubject(d *Description) string {
	return fmt.Sprintf("part of deployment %s on %s", d.Subject.Deployment.Short(), machineSubject(d))
}

func describeMachineAdded(e MachineAdded, d *Description) {
	d.Origin, d.Subject.Environment = e.Origin, e.Environment
	d.Details += settingsText(e.Environment, e.Roles, e.Policy)
	d.Sentence = fmt.Sprintf("%s added to %s, roles %s", machineSubject(d), e.Environment, JoinNames(e.Roles))
	if e.PolicyToken != "" {
		d.Sentence += fmt.Sprintf(", policy %s of join token %s", e.Policy, e.PolicyToken)
	}
	if e.Ephemeral {
		d.Sentence += ", ephemeral"
	}
	if e.Keeps {
		d.Sentence += "; what a person set before its agent deleted it stays"
	}
}

func describeMachineChanged(e MachineChanged, d *Description) {
	d.Origin, d.Subject.Environment = e.Origin, e.Environment
	d.Details += settingsText(e.Environment, e.Roles, e.Policy)
	d.Sentence = fmt.Sprintf("%s changed: now in %s, roles %s, policy %s",
		machineSubject(d), e.Environment, JoinNames(e.Roles), cmp.Or(e.Policy, DefaultPolicy))
	if e.Ephemeral {
		d.Sentence += ", ephemeral"
	}
}

func describeMachineEnabled(e MachineEnabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, machineSubject(d)+" enabled"
}

func describeMachineDisabled(e MachineDisabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, machineSubject(d)+" disabled"
}

func describeMachineCameOnline(e MachineCameOnline, d *Description) {
	d.Sentence = fmt.Sprintf("%s came online, instance %s, session %s%s%s", machineSubject(d), e.Instance.Short(),
		e.Session.Short(), ignoredText(e.Ignored), cannotStopText(e.CannotStop))
}

func describeMachineWentOffline(e MachineWentOffline, d *Description) {
	d.Details += InParentheses(e.Reason)
	d.Sentence = machineSubject(d) + " went offline: " + cmp.Or(offlineReasonText[e.Reason], e.Reason)
}

func describeAgentConnected(e AgentConnected, d *Description) {
	d.Sentence = fmt.Sprintf("agent of %s connected to server %s, session %s%s%s", machineSubject(d), e.Server.Short(),
		e.Session.Short(), ignoredText(e.Ignored), cannotStopText(e.CannotStop))
}

// cannotStopText returns the end of a sentence about an agent that cannot stop a running part.
func cannotStopText(cannot bool) string {
	if !cannot {
		return ""
	}
	return "; its agent is too old to stop a running part"
}

// ignoredText returns the end of a sentence about flags of an agent that have no effect.
func ignoredText(f AgentFlags) string {
	if f.IsZero() {
		return ""
	}
	return "; ignored: " + f.String()
}

func describeMachineHealthChanged(e MachineHealthChanged, d *Description) {
	d.Details += " " + string(e.Status)
	d.Sentence = fmt.Sprintf("%s became %s%s", machineSubject(d), e.Status, InParentheses(e.Detail))
}

func describeMachineDeleted(e MachineDeleted, d *Description) {
	d.Origin = e.Origin
	d.Details += InParentheses(e.Reason)
	d.Sentence = machineSubject(d) + " deleted" + InParentheses(e.Reason)
}

func describeMachineCleanUpUndone(e MachineCleanUpUndone, d *Description) {
	if e.Reason == EphemeralReason {
		d.Details += InParentheses(e.Reason)
		d.Sentence = machineSubject(d) + " returned, so the deletion by its agent was undone"
		return
	}
	d.Sentence = machineSubject(d) + " returned, so its clean-up was undone"
}

func describeMachineCleanUpHeld(e MachineCleanUpHeld, d *Description) {
	d.Details += fmt.Sprintf(" (%d of %d absent)", e.Absent, e.Machines)
	d.Sentence = fmt.Sprintf("%s not cleaned up: %d of %d machines in its environment are absent",
		machineSubject(d), e.Absent, e.Machines)
}

func describeMachineReimageAllowed(e MachineReimageAllowed, d *Description) {
	d.Origin = e.Origin
	d.Sentence = machineSubject(d) + " may be taken by another instance" + untilText(&e.Until)
}

func describeMachineLostState(e MachineLostState, d *Description) {
	var lost []string
	for _, s := range e.Lost {
		lost = append(lost, fmt.Sprintf("%s of project %s", cmp.Or(s.Release, "a release"), s.Project))
	}
	d.Details += InParentheses(strings.Join(lost, ", "))
	d.Sentence = fmt.Sprintf("%s lost its state: its agent does not remember that it installed %s",
		machineSubject(d), JoinNames(lost))
}

func describeMachineMemoryAccepted(e MachineMemoryAccepted, d *Description) {
	d.Origin = e.Origin
	d.Sentence = machineSubject(d) + ": a person accepted that the log does not have what its agent remembers"
}

func describeMachineMemoryCleared(e MachineMemoryCleared, d *Description) {
	d.Sentence = fmt.Sprintf("%s is no longer doubted: %d missing ids were accepted", machineSubject(d), len(e.Accepted))
}

func describeMachineConditionsChanged(e MachineConditionsChanged, d *Description) {
	if len(e.Conditions) == 0 {
		d.Details += " none"
		d.Sentence = machineSubject(d) + ": its agent reports no problem any more"
		return
	}
	var kinds, texts []string
	for _, c := range e.Conditions {
		kinds, texts = append(kinds, string(c.Kind)), append(texts, c.Text())
	}
	d.Details += " " + strings.Join(kinds, ", ")
	d.Sentence = fmt.Sprintf("%s: its agent reports that %s", machineSubject(d), strings.Join(texts, "; "))
}

func describeProjectDefined(e ProjectDefined, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project defined"
}

func describeProjectEnabled(e ProjectEnabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project enabled"
}

func describeProjectDisabled(e ProjectDisabled, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project disabled"
}

func describeProjectDeleted(e ProjectDeleted, d *Description) {
	d.Origin, d.Sentence = e.Origin, "project deleted"
}

func describeTriggerDefined(e TriggerDefined, d *Description) {
	d.Origin, d.Details, d.Subject.Trigger = e.Origin, d.Details+"/"+e.Trigger, e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s defined", e.Trigger)
}

func describeTriggerEnabled(e TriggerEnabled, d *Description) {
	d.Origin, d.Details, d.Subject.Trigger = e.Origin, d.Details+"/"+e.Trigger, e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s enabled", e.Trigger)
}

func describeTriggerDisabled(e TriggerDisabled, d *Description) {
	d.Origin, d.Details, d.Subject.Trigger = e.Origin, d.Details+"/"+e.Trigger, e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s disabled", e.Trigger)
}

func describeTriggerDeleted(e TriggerDeleted, d *Description) {
	d.Origin, d.Details, d.Subject.Trigger = e.Origin, d.Details+"/"+e.Trigger, e.Trigger
	d.Sentence = fmt.Sprintf("trigger %s deleted", e.Trigger)
}

func describeReleaseCreated(e ReleaseCreated, d *Description) {
	d.Origin, d.Subject.Release = e.Origin, e.Version
	d.Details += " " + e.Version
	d.Sentence = fmt.Sprintf("release %s created", e.Version)
}

func describeReleaseRetired(e ReleaseRetired, d *Description) {
	d.Origin, d.Subject.Release = e.Origin, e.Release
	d.Details += " " + e.Release + InParentheses(e.Reason)
	d.Sentence = fmt.Sprintf("release %s retired%s", e.Release, InParentheses(e.Reason))
}

func describeReleaseRestored(e ReleaseRestored, d *Description) {
	d.Origin, d.Subject.Release = e.Origin, e.Release
	d.Details += " " + e.Release + InParentheses(e.Reason)
	d.Sentence = fmt.Sprintf("release %s restored%s", e.Release, InParentheses(e.Reason))
}

func describeDeploymentQueued(e DeploymentQueued, d *Description) {
	d.Origin, d.Subject.Environment, d.Subject.Release = e.Origin, e.Environment, e.Release
	d.Details += " " + e.Release + " → " + e.Environment
	var machines []string
	for _, m := range e.Machines {
		machines = append(machines, m.Name)
	}
	switch {
	case len(machines) > 0:
		d.Details += ": " + strings.Join(machines, ", ")
	case len(e.Roles) > 0:
		d.Details += ": role " + strings.Join(e.Roles, ", ")
	case e.OnlyBehind:
		d.Details += ": only behind"
	}
	d.Details += InParentheses(d.Subject.Deployment.String())
	d.Sentence = fmt.Sprintf("deployment %s of %s to %s queued%s",
		d.Subject.Deployment.Short(), e.Release, e.Environment, InParentheses(e.Reason))
}

func describePartsReleased(e PartsReleased, d *Description) {
	d.Subject.Deployment = e.Deployment
	if e.Wave > 0 {
		d.Details = fmt.Sprintf("%s wave %d: %s", e.Deployment, e.Wave, strings.Join(e.Machines, ", "))
		d.Sentence = fmt.Sprintf("deployment %s started wave %d: %s", e.Deployment.Short(), e.Wave, JoinNames(e.Machines))
		return
	}
	d.Details = e.Deployment.String() + ": " + strings.Join(e.Machines, ", ")
	d.Sentence = fmt.Sprintf("parts of deployment %s released: %s", e.Deployment.Short(), JoinNames(e.Machines))
}

func describePartsWithdrawn(e PartsWithdrawn, d *Description) {
	d.Subject.Deployment = e.Deployment
	machines := cmp.Or(strings.Join(e.Machines, ", "), "all unclaimed")
	d.Details = e.Deployment.String() + ": " + machines + InParentheses(string(e.Reason))
	d.Sentence = fmt.Sprintf("parts of deployment %s withdrawn (%s): %s", e.Deployment.Short(), machines, e.Reason.Text())
}

func describeDeploymentCancelled(e DeploymentCancelled, d *Description) {
	d.Origin, d.Subject.Deployment = e.Origin, e.Deployment
	d.Details = e.Deployment.String()
	d.Sentence = fmt.Sprintf("deployment %s cancelled", e.Deployment.Short())
	if e.Kill {
		parts := "its running parts"
		if e.Machine != "" {
			parts = "its part on " + e.Machine
		}
		d.Details += ", " + parts + " to be stopped" + InParentheses(e.Reason)
		d.Sentence += " and " + parts + " asked to stop" + InParentheses(e.Reason)
	}
}

func describeDeploymentAccepted(e DeploymentAccepted, d *Description) {
	d.Origin, d.Subject.Deployment = e.Origin, e.Deployment
	d.Details = e.Deployment.String() + InParentheses(e.Reason)
	d.Sentence = fmt.Sprintf("deployment %s accepted%s", e.Deployment.Short(), InParentheses(e.Reason))
}

func describeDeploymentEnded(e DeploymentEnded, d *Description) {
	d.Subject.Deployment = e.Deployment
	d.Details = e.Deployment.String() + " " + string(e.State) + InParentheses(e.Reason)
	d.Sentence = fmt.Sprintf("deployment %s ended: %s%s", e.Deployment.Short(), e.State, InParentheses(e.Reason))
	if !e.SupersededBy.IsZero() {
		d.Sentence += " by deployment " + e.SupersededBy.Short()
	}
}

func describePinSet(e PinSet, d *Description) {
	d.Origin, d.Subject.Environment, d.Subject.Release = e.Origin, e.Environment, e.Release
	d.Details += " " + e.Release + " in " + e.Environment
	d.Sentence = fmt.Sprintf("environment %s pinned to %s%s%s",
		e.Environment, e.Release, untilText(e.Until), InParentheses(e.Reason))
}

func describePinLifted(e PinLifted, d *Description) {
	d.Origin, d.Subject.Environment = e.Origin, e.Environment
	d.Details += " in " + e.Environment + InParentheses(e.Reason)
	d.Sentence = fmt.Sprintf("pin of environment %s %s", e.Environment, e.Reason)
}

func describeHoldSet(e HoldSet, d *Description) {
	d.Origin, d.Subject.Machine, d.Subject.Release = e.Origin, e.Machine, e.Release
	d.Details += " on " + e.Machine
	d.Sentence = fmt.Sprintf("%s held at %s%s%s",
		machineSubject(d), cmp.Or(e.Release, "its current state"), untilText(e.Until), InParentheses(e.Reason))
}

func describeHoldLifted(e HoldLifted, d *Description) {
	d.Origin, d.Subject.Machine = e.Origin, e.Machine
	d.Details += " on " + e.Machine + InParentheses(e.Reason)
	d.Sentence = fmt.Sprintf("hold of %s %s", machineSubject(d), e.Reason)
}

func describePartClaimed(e PartClaimed, d *Description) {
	d.Subject.Project = e.Project
	d.Sentence = partSubject(d) + " claimed"
}

func describePartEnded(e PartEnded, d *Description) {
	d.Subject.Project = e.Project
	d.Details += " " + string(e.State) + InParentheses(string(e.Reason))
	d.Sentence = e.Text(partSubject(d), e.Reason == LateReportOfResult)
}

func describePartVerified(e PartVerified, d *Description) {
	d.Subject.Project = e.Project
	d.Details += " " + string(e.State) + InParentheses(string(e.Reason))
	d.Sentence = e.Text(partSubject(d))
}

func describeEnvironmentDefined(e EnvironmentDefined, d *Description) {
	d.Origin, d.Sentence = e.Origin, "environment defined"
}

func describeEnvironmentDeleted(e EnvironmentDeleted, d *Description) {
	d.Origin, d.Sentence = e.Origin, "environment deleted"
}

func describePolicyDefined(e PolicyDefined, d *Description) {
	d.Origin, d.Sentence = e.Origin, "machine policy defined"
}

func describePolicyDeleted(e PolicyDeleted, d *Description) {
	d.Origin, d.Sentence = e.Origin, "machine policy deleted"
}

func describeTokenCreated(e TokenCreated, d *Description) {
	name := ""
	if e.Settings.Name != "" {
		name = " " + e.Settings.Name
	}
	kind := "token" + name + " with scope " + string(e.Settings.Scope)
	switch {
	case e.Settings.Join:
		kind = "join token" + name
	case e.Settings.Permission == NoPermission:
		kind = "token" + name + " without a permission"
	case e.Settings.Permission != "":
		kind = fmt.Sprintf("token%s with permission %s", name, e.Settings.Permission)
	}
	valid := untilText(e.Settings.Until)
	if valid != "" {
		valid = ", valid" + valid
	}
	if e.Settings.Policy != "" {
		kind += " for machines with policy " + e.Settings.Policy
	}
	d.Origin, d.Sentence = e.Origin, kind+" created"+valid
}

func describeTokenUsed(e TokenUsed, d *Description) {
	d.Subject.Machine = e.Machine
	d.Sentence = fmt.Sprintf("token used by %s, instance %s", machineSubject(d), e.Instance.Short())
}

func describeVerifierRegistered(e VerifierRegistered, d *Description) {
	d.Sentence = fmt.Sprintf("token has a verifier of the secret of instance %s", e.Instance.Short())
}

func describeTokenRevoked(e TokenRevoked, d *Description) {
	d.Origin, d.Sentence = e.Origin, "token revoked"
}

func describeServerKeyCreated(e ServerKeyCreated, d *Description) {
	d.Origin, d.Details = e.Origin, e.Public
	d.Sentence = "server key created: " + e.Public
}

func describeAccessDefined(e AccessDefined, d *Description) {
	s := e.Settings
	g := Grant{Projects: s.Projects, Environments: s.Environments}
	var to []string
	for _, w := range s.Who.all() {
		to = append(to, string(w.kind)+" "+w.name)
	}
	d.Origin, d.Sentence = e.Origin, fmt.Sprintf("access defined: permission %s %s, granted to %s", s.Permission, g.limits(),
		firstThree(to))
}

func describeAccessDeleted(e AccessDeleted, d *Description) {
	d.Origin, d.Sentence = e.Origin, "access deleted"
}

func describeServerStarted(e ServerStarted, d *Description) {
	d.Sentence = fmt.Sprintf("server started, version %s, decision version %d",
		cmp.Or(e.Version, "unknown"), e.DecisionVersion)
}

func describeWatchPassed(e WatchPassed, d *Description) {
	d.Details = e.Span.String()
	d.Sentence = fmt.Sprintf("absent machines were watched for %s", e.Span)
}

func describeStreamCleared(e StreamCleared, d *Description) {
	d.Origin, d.Details = e.Origin, e.Stream
	d.Sentence = fmt.Sprintf("stream %s cleared: it continues without the event that could not be folded", e.Stream)
}

func describeLogRestored(e LogRestored, d *Description) {
	d.Origin = e.Origin
	d.Sentence = fmt.Sprintf("restore of log %s accepted", e.Was.Short())
}
