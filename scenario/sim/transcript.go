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

// transcript records a run as a scenario file. Faults that the language cannot express, such as short pages, become
// comments.
type transcript struct {
	text strings.Builder
	// queued lists the deployments in the order in which they were queued: d1, d2 and so on.
	queued []domain.ID
}

// learn names a new deployment.
func (s *transcript) learn(rec eventlog.Recorded) {
	if rec.Type == domain.TypeName(domain.DeploymentQueued{}) {
		s.queued = append(s.queued, domain.ID(rec.ID))
	}
}

// deployment returns the name of a deployment.
func (s *transcript) deployment(id domain.ID) string {
	for i := len(s.queued) - 1; i >= 0; i-- {
		if s.queued[i] == id {
			return fmt.Sprintf("d%d", i+1)
		}
	}
	return "d?"
}

// add writes a block of one line.
func (s *transcript) add(format string, args ...any) {
	fmt.Fprintf(&s.text, format+"\n----\n\n", args...)
}

func (s *transcript) comment(format string, args ...any) {
	fmt.Fprintf(&s.text, "# "+format+"\n\n", args...)
}

// damage writes an events block with a damaged event.
func (s *transcript) damage(at time.Duration, on *server, stream string, event eventlog.Event) {
	s.add("events server=%s\n%s Raw %s %s '%s'", on.name, clockText(at), s.stream(stream), event.Type, event.Data)
}

// stream returns the name of a stream, with the name of its deployment instead of the id.
func (s *transcript) stream(stream string) string {
	if rest, part := strings.CutPrefix(stream, domain.PartStreams+"/"); part {
		id, machine, _ := domain.ParsePartStream(rest)
		return domain.PartStreams + "/" + s.deployment(id) + "/" + machine
	}
	return stream
}

func (s *transcript) do(at time.Duration, on string, words string) {
	s.add("do server=%s\n%s %s", on, clockText(at), words)
}

func (s *transcript) report(at time.Duration, on string, words string) {
	s.add("report server=%s\n%s %s", on, clockText(at), words)
}

// apply writes a command as the equivalent document.
func (s *transcript) apply(at time.Duration, on *server, c domain.Command) {
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
		doc = resource.FromMachine(&domain.Machine{Name: c.Name, Environment: c.Environment, Roles: c.Roles,
			Policy: c.Policy, Disabled: c.Disabled, Ephemeral: c.Ephemeral})
	}
	var yaml strings.Builder
	if err := resource.Write(&yaml, doc); err != nil {
		s.comment("%v", err)
		return
	}
	s.add("apply %s server=%s\n%s", clockText(at), on.name, strings.TrimRight(yaml.String(), "\n"))
}

// file returns the transcript so far.
func (s *transcript) file(title string) string {
	return "# " + strings.ReplaceAll(title, "\n", "\n# ") + "\n\n" + s.text.String()
}

// separator precedes the expected output of a block.
const separator = "----\n"

// failure returns the transcript of a run that violated a law. Each block has its actual output as expected output,
// except the last one, which expects the law. The file therefore fails and shows what drover did instead. Once the
// defect is fixed, -rewrite replaces the expected output.
func (s *transcript) failure(title string, law error) string {
	text := s.file(title + "\n" + law.Error() +
		"\nShort pages, lost replies and an unavailable log are comments, because a scenario cannot express them.")
	if result, err := scenario.Run(context.Background(), title, text, scenario.Options{}); err == nil {
		text = result.Text
	} else {
		text += "# This scenario does not run to its end: " + strings.ReplaceAll(err.Error(), "\n", " ") + "\n"
	}
	if last := strings.LastIndex(text, separator); last >= 0 {
		text = text[:last+len(separator)] + "never: " + strings.ReplaceAll(law.Error(), "\n", " ") + "\n"
	}
	return text
}
