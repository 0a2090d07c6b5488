package domain

import (
	"fmt"
	"strings"
	"time"
)

// Description describes an event for people. It contains only what the event itself records. Package explain adds the
// effect of the event in the fold, for example that a claim was void.
type Description struct {
	// Name is the event's name, such as MachineCameOnline.
	Name string
	// Category is the category of the event; empty if triggers cannot react to it.
	Category Category
	// Subject identifies what the event is about.
	Subject Subject
	// Details is a short text that follows the name: "web-01 in production".
	Details string
	// Sentence describes the event in one sentence without a full stop and without the origin: "machine web-01
	// enabled".
	Sentence string
	// Origin is the caller whose command led to the event; empty for the decisions of a server.
	Origin Origin
}

// Subject identifies what an event is about. Fields that do not apply to the event are empty.
type Subject struct {
	// Kind is the kind of the stream: machine, project, part and so on.
	Kind string
	// Name is the name in the stream. For a part it is the machine, for a release the version.
	Name        string
	Project     string
	Machine     string
	Environment string
	Release     string
	Trigger     string
	Deployment  ID
}

// Place identifies an event in the log, as far as Describe needs it.
type Place struct {
	Stream string
	ID     ID
}

// describer describes an event of one type. It sets Details, Sentence and Origin, and can add to Subject.
type describer func(e Event, d *Description)

// describeWith converts a function for one type of event to a describer.
func describeWith[E Event](describe func(e E, d *Description)) describer {
	return func(e Event, d *Description) { describe(e.(E), d) } //nolint:forcetypeassert // the row has the type
}

// Describe returns the description of an event. An event that is not in the table has only a name and a subject.
func Describe(e Event, at Place) Description {
	d := Description{Name: Name(e), Subject: subjectOf(at)}
	if k, known := eventTypeByName[TypeName(e)]; known {
		d.Category, _ = CategoryOf(e)
		d.Details = d.Subject.Name
		if d.Subject.Kind == PartStreams {
			d.Details = d.Subject.Machine + " " + d.Subject.Deployment.String()
		}
		if d.Subject.Kind == ReleaseStreams {
			d.Details = d.Subject.Project
		}
		if _, queued := e.(DeploymentQueued); queued {
			d.Subject.Deployment = at.ID
		}
		k.describe(e, &d)
	}
	return d
}

// subjectOf returns the subject that the name of the stream identifies.
func subjectOf(at Place) Subject {
	kind, name := SplitStream(at.Stream)
	s := Subject{Kind: kind, Name: name}
	switch kind {
	case MachineStreams:
		s.Machine = name
	case ProjectStreams:
		s.Project = name
	case EnvironmentStreams:
		s.Environment = name
	case ReleaseStreams:
		if project, _, version, err := ParseReleaseStream(name); err == nil {
			s.Name, s.Project, s.Release = version, project, version
		}
	case PartStreams:
		if deployment, machine, err := ParsePartStream(name); err == nil {
			s.Name, s.Machine, s.Deployment = machine, machine, deployment
		}
	}
	return s
}

// Short returns the first eight digits of the id, for messages.
func (id ID) Short() string { return id.String()[:8] }

// JoinNames joins names for a sentence. It returns "none" for an empty list.
func JoinNames(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// InParentheses returns a space and the text in parentheses, or an empty string for an empty text.
func InParentheses(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// untilText returns the deadline for a sentence, or an empty string if there is no deadline.
func untilText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " until " + t.UTC().Format(time.RFC3339)
}

func settingsText(environment string, roles []string, policy string) string {
	text := " in " + environment
	if len(roles) > 0 {
		text += " as " + strings.Join(roles, ", ")
	}
	if policy != "" && policy != DefaultPolicy {
		text += " under " + policy
	}
	return text
}

// offlineReasonText explains why a machine went offline.
var offlineReasonText = map[string]string{
	"silent":       "it sent no heartbeat within its policy's offlineAfter",
	"said-goodbye": "its agent disconnected",
	"reported":     "it was reported offline",
	"server-gone":  "the server that held its session is gone",
}

// partReasonText explains every PartReason. Each text can follow "skipped:" or "cannot be claimed:".
var partReasonText = map[PartReason]string{
	NotReleased:        "no slot under maxParallel was free",
	NextWave:           "its wave has not started",
	PartHasEnded:       "the part had already ended",
	AlreadyClaimed:     "the part was already claimed",
	StreamSetAside:     "a stream of its machine or project is set aside",
	DeploymentStopped:  "the deployment was cancelled",
	ProjectIsDisabled:  "the project is disabled",
	MachineGone:        "the machine was deleted",
	OutOfScope:         "the machine left the environment or the project's roles",
	RolesDisagree:      "two roles of the machine disagree on a variable of the release",
	MachineIsDisabled:  "the machine is disabled",
	MachineIsOffline:   "the machine is offline",
	HealthNotKnown:     "the machine's health is not known yet",
	OldSession:         "a newer session of the machine's agent exists",
	MachineIsBusy:      "another part runs on the machine",
	TriggerGone:        "no enabled trigger asks for it any longer",
	MachineIsHeld:      "the machine is held",
	NoLongerWanted:     "the release is no longer wanted",
	Superseded:         "a later deployment replaced it",
	ReleasePinned:      "another release was pinned in the environment",
	TooManyFailures:    "the number of failed parts reached stopAfterFailures",
	MaxFailuresPassed:  "more parts failed than maxFailures allows",
	WaveFailed:         "the wave before it failed",
	NotClaimed:         "the machine did not claim it within its policy's lostAfter",
	MachineIsBlocked:   "the machine's agent reports a problem that keeps it from starting parts",
	MachineReplaced:    "the machine returned as another instance",
	StateLost:          "the machine lost what the part installed",
	NoEndReported:      "no result was reported in time",
	ProjectGone:        "the project was deleted",
	EnvironmentGone:    "the environment was deleted",
	StepFailed:         "a step failed",
	StepTimedOut:       "a step exceeded its timeout",
	AgentInterrupted:   "the agent was interrupted; it is unknown how far the part got",
	KilledByPerson:     "a person stopped it with `drover cancel --kill`",
	SecretMissing:      "a secret is missing on the machine",
	OtherAgentFailure:  "the agent could not run the part",
	MachineIsUnhealthy: "the machine was unhealthy after the success",
	LateReportOfResult: "the result arrived after the part had been declared lost",
}

// Text explains the reason. It returns an unknown reason unchanged.
func (r PartReason) Text() string {
	if text, ok := partReasonText[r]; ok {
		return text
	}
	return string(r)
}

// StepEnded describes the end of a step with an exit code other than 0. The detail of a part begins with it, and the last
// line of the step's output follows after a colon.
func StepEnded(step string, exitCode int) string {
	return fmt.Sprintf("step %q ended with exit code %d", step, exitCode)
}

// Text describes how the verification of a part ended. part is the subject of the sentence.
func (e PartVerified) Text(part string) string {
	switch e.State {
	case PartSucceeded:
		return part + " verified: the machine stayed healthy"
	case PartFailed:
		return part + " failed its verification: " + e.Reason.Text()
	}
	return fmt.Sprintf("%s %s during its verification: %s", part, e.State, e.Reason.Text())
}

// Text describes how a part ended. part is the subject of the sentence. late means that the result came after the part
// had been declared lost.
func (e PartEnded) Text(part string, late bool) string {
	text := fmt.Sprintf("%s %s", part, e.State)
	if e.Reason != "" {
		text += ": " + e.Reason.Text()
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
	return text + InParentheses(e.Detail)
}
