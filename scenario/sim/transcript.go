package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/scenario"
)

// story writes a day down as a scenario file. What the grammar has no words for, such as pages that are
// cut, is a comment.
type story struct {
	text strings.Builder
	// queued are the deployments in the order they were queued: d1, d2 and so on.
	queued []domain.ID
}

// learn gives a new deployment its name.
func (s *story) learn(rec eventlog.Recorded) {
	if rec.Type == domain.TypeName(domain.DeploymentQueued{}) {
		s.queued = append(s.queued, domain.ID(rec.ID))
	}
}

// deployment is the name of a deployment in the story.
func (s *story) deployment(id domain.ID) string {
	for i := len(s.queued) - 1; i >= 0; i-- {
		if s.queued[i] == id {
			return fmt.Sprintf("d%d", i+1)
		}
	}
	return "d?"
}

// add writes a block of one line.
func (s *story) add(format string, args ...any) {
	fmt.Fprintf(&s.text, format+"\n----\n\n", args...)
}

func (s *story) comment(format string, args ...any) {
	fmt.Fprintf(&s.text, "# "+format+"\n\n", args...)
}

// damage writes an event that nobody can fold as the fact that it is.
func (s *story) damage(at time.Duration, on *server, stream string, event eventlog.Event) {
	s.add("events server=%s\n%s Raw %s %s '%s'", on.name, clockText(at), s.stream(stream), event.Type, event.Data)
}

// stream is the name of a stream in the story.
func (s *story) stream(stream string) string {
	if rest, part := strings.CutPrefix(stream, domain.PartStreams+"/"); part {
		id, machine, _ := domain.ParsePartStream(rest)
		return domain.PartStreams + "/" + s.deployment(id) + "/" + machine
	}
	return stream
}

func (s *story) do(at time.Duration, on string, words string) {
	s.add("do server=%s\n%s %s", on, clockText(at), words)
}

func (s *story) report(at time.Duration, on string, words string) {
	s.add("report server=%s\n%s %s", on, clockText(at), words)
}

// apply writes a command as the document that says the same.
func (s *story) apply(at time.Duration, on *server, c domain.Command) {
	var doc resource.Document
	switch c := c.(type) {
	case domain.ApplyEnvironment:
		doc = resource.FromEnvironment(c.Name)
	case domain.ApplyPolicy:
		doc = resource.FromPolicy(c.Name, c.Settings)
	case domain.ApplyProject:
		doc = resource.FromProject(&domain.Project{Name: c.Name, Settings: c.Settings, Disabled: c.Disabled})
	case domain.ApplyTrigger:
		doc = resource.FromTrigger(c.Project, &domain.Trigger{Name: c.Name, Settings: c.Settings, Disabled: c.Disabled})
	case domain.ApplyMachine:
		doc = resource.FromMachine(&domain.Machine{Name: c.Name, Environment: c.Environment, Roles: c.Roles, Policy: c.Policy, Disabled: c.Disabled})
	}
	var yaml strings.Builder
	if err := resource.Write(&yaml, doc); err != nil {
		s.comment("%v", err)
		return
	}
	s.add("apply %s server=%s\n%s", clockText(at), on.name, strings.TrimRight(yaml.String(), "\n"))
}

// file is the whole story so far.
func (s *story) file(title string) string {
	return "# " + strings.ReplaceAll(title, "\n", "\n# ") + "\n\n" + s.text.String()
}

// separator stands before what a block is expected to give.
const separator = "----\n"

// failure is the story of a day that broke a law: each block expects what it gives, but the last one expects the law. So
// the file fails, and shows what drover did instead; once that is mended, -rewrite puts in what it does then.
func (s *story) failure(title string, law error) string {
	text := s.file(title + "\n" + law.Error() + "\nPages that are cut, answers that are lost and a log that is away are comments: a file has no words for them.")
	if result, err := scenario.Run(context.Background(), title, text, scenario.Options{}); err == nil {
		text = result.Text
	} else {
		text += "# It does not run as a scenario to its end: " + strings.ReplaceAll(err.Error(), "\n", " ") + "\n"
	}
	if last := strings.LastIndex(text, separator); last >= 0 {
		text = text[:last+len(separator)] + "never: " + strings.ReplaceAll(law.Error(), "\n", " ") + "\n"
	}
	return text
}
