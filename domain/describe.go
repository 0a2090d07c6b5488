package domain

import (
	"fmt"
	"strings"
	"time"
)

// Description is an event in words, for people. It tells only what the event itself holds. What the fold made of the
// event, such as a claim that was void, is known to package explain alone.
type Description struct {
	// Name is the event's name, such as MachineCameOnline.
	Name string
	// Category is what triggers name; empty for facts that no trigger can name.
	Category Category
	// Subject is what the event is about.
	Subject Subject
	// Details is the event in a few words, to follow its name: "web-01 in production".
	Details string
	// Sentence is the event as one sentence without a full stop and without who asked: "machine web-01 enabled".
	Sentence string
	// Origin is who asked; empty where nobody did.
	Origin Origin
}

// Subject is what an event is about. Fields are empty where the event names no such thing.
type Subject struct {
	// Kind is that of the stream: machine, project, part, ….
	Kind string
	// Name is that of the thing as the stream has it; of a part the machine, of a release the version.
	Name        string
	Project     string
	Machine     string
	Environment string
	Release     string
	Deployment  ID
}

// Place is where an event stands, as far as its description needs it.
type Place struct {
	Stream string
	ID     ID
}

// words describes one event; it fills in Details, Sentence, Origin and what the event adds to the Subject.
type words func(e Event, d *Description)

// say adapts a function for events of one type to words.
func say[E Event](tell func(e E, d *Description)) words {
	return func(e Event, d *Description) { tell(e.(E), d) } //nolint:forcetypeassert // the row has the type
}

// Describe says what an event tells. An event that is not in the table has a name and a subject alone.
func Describe(e Event, at Place) Description {
	d := Description{Name: Name(e), Subject: subjectOf(at)}
	if k, known := kindByName[TypeName(e)]; known {
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
		k.words(e, &d)
	}
	return d
}

// subjectOf is what the name of the stream says.
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

// Short is the beginning of an id, as far as people need it.
func (id ID) Short() string { return id.String()[:8] }

// Listed is names as a sentence lists them.
func Listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// InBrackets is text in brackets behind a space; empty for no text.
func InBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// untilWords is a deadline as a sentence has it; empty for none.
func untilWords(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " until " + t.UTC().Format(time.RFC3339)
}

func settingsWords(environment string, roles []string, policy string) string {
	text := " in " + environment
	if len(roles) > 0 {
		text += " as " + strings.Join(roles, ", ")
	}
	if policy != "" && policy != DefaultPolicy {
		text += " under " + policy
	}
	return text
}

// offlineWords says why a machine went offline.
var offlineWords = map[string]string{
	"silent":       "nothing was heard of it for as long as its policy allows",
	"said-goodbye": "its agent said goodbye",
	"reported":     "it was reported offline",
	"server-gone":  "the server that held its session is gone",
}

// partWords says every reason of a part in words, to follow "skipped:" or "cannot be claimed:".
var partWords = map[PartReason]string{
	NotReleased:        "there was no room under maxParallel yet",
	PartHasEnded:       "the part had ended",
	AlreadyClaimed:     "it was claimed already",
	StreamSetAside:     "a stream of its machine or project is set aside",
	DeploymentStopped:  "the deployment was cancelled",
	ProjectIsDisabled:  "the project is disabled",
	MachineGone:        "the machine was deleted",
	OutOfScope:         "the machine left the environment or the project's roles",
	MachineIsDisabled:  "the machine is disabled",
	MachineIsOffline:   "the machine is offline",
	HealthNotKnown:     "the machine's health is not known yet",
	OldSession:         "another session of the machine's agent is newer",
	MachineIsBusy:      "another part runs on the machine",
	TriggerGone:        "no enabled trigger asks for it any more",
	MachineIsHeld:      "the machine is held",
	NotWantedAnyMore:   "the release is not the wanted one any more",
	Superseded:         "a later deployment took its place",
	TooManyFailures:    "as many parts failed as stopAfterFailures allows",
	NotClaimed:         "the machine did not claim it within its policy's lostAfter",
	MachineReplaced:    "the machine came back as another instance",
	NoEndReported:      "no end was reported in time",
	ProjectGone:        "the project was deleted",
	EnvironmentGone:    "the environment was deleted",
	StepFailed:         "a step failed",
	StepTimedOut:       "a step used up its time-out",
	AgentInterrupted:   "the agent was interrupted and cannot know how far it came",
	SecretMissing:      "a secret is missing on the machine",
	OtherAgentFailure:  "the agent could not run it",
	LateReportOfResult: "the result came after the part had been given up",
}

// Words says why a part ended, or cannot be claimed; an unknown reason is returned as it is.
func (r PartReason) Words() string {
	if text, ok := partWords[r]; ok {
		return text
	}
	return string(r)
}

// EndWords says how a part ended. part is the subject of the sentence; late says that the result came after the part had
// been given up.
func (e PartEnded) EndWords(part string, late bool) string {
	text := fmt.Sprintf("%s %s", part, e.State)
	if e.Reason != "" {
		text += ": " + e.Reason.Words()
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
	return text + InBrackets(e.Detail)
}
