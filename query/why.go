package query

import (
	"context"
	"strings"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// WhyInput selects the machine and project to explain.
type WhyInput struct {
	Machine string
	// Project is the project to explain; empty selects every project that may have the machine in scope.
	Project string
	// At is a position or an RFC 3339 time in the past; empty means now.
	At string
}

// WhyAnswers is the result of Why.
type WhyAnswers struct {
	Items    []explain.Why `json:"items"`
	Position string        `json:"position"`
}

// Why explains why a machine has, gets or does not get the release that a project wants.
func (q *Queries) Why(ctx context.Context, in WhyInput) (WhyAnswers, error) {
	if in.At != "" {
		return q.whyAt(ctx, in)
	}
	var projects []string
	var err error
	q.cfg.Engine.Read(func(v *projections.View) { projects, err = in.projects(v) })
	if err != nil {
		return WhyAnswers{}, err
	}
	names := q.cfg.People.Names(ctx)
	answers := WhyAnswers{Items: []explain.Why{}, Position: q.Position().String()}
	for _, project := range projects {
		past, err := q.cfg.Engine.Past(ctx, in.Machine, project)
		if err != nil {
			return answers, err
		}
		q.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) {
			answers.Items = append(answers.Items, explain.WhyOf(v, age, project, in.Machine, past, names))
		})
	}
	if err := q.cfg.Engine.Stopped(); err != nil {
		for i := range answers.Items {
			answers.Items[i].Sentence += " But this server decides nothing now: " + err.Error() + "."
		}
	}
	return answers, nil
}

// whyAt explains a past state from the log.
func (q *Queries) whyAt(ctx context.Context, in WhyInput) (WhyAnswers, error) {
	until, err := q.parseMoment(ctx, in.At)
	if err != nil {
		return WhyAnswers{}, err
	}
	v, age, err := q.replay(ctx, until)
	if err != nil {
		return WhyAnswers{}, err
	}
	answers := WhyAnswers{Items: []explain.Why{}, Position: v.Position.String()}
	projects, err := in.projects(v)
	if err != nil {
		return WhyAnswers{}, q.didNotExist(err, in)
	}
	names := q.cfg.People.Names(ctx)
	for _, project := range projects {
		past, err := engine.PastOf(ctx, q.cfg.Log, v, in.Machine, project)
		if err != nil {
			return answers, err
		}
		answers.Items = append(answers.Items, explain.WhyOf(v, age, project, in.Machine, past, names))
	}
	return answers, nil
}

// projects returns the projects to explain. A name that the log has never had is a problem.
func (in WhyInput) projects(v *projections.View) ([]string, error) {
	if v.Revision(domain.MachineStream(in.Machine)) == eventlog.NoStream {
		return nil, problem.NotFound("machine %.80q does not exist",
			in.Machine).WithHint("`drover get machines` lists them")
	}
	if in.Project == "" {
		return explain.ProjectsFor(v, in.Machine), nil
	}
	if v.Revision(domain.ProjectStream(in.Project)) == eventlog.NoStream {
		return nil, problem.NotFound("project %.80q does not exist",
			in.Project).WithHint("`drover get projects` lists them")
	}
	return []string{in.Project}, nil
}

// didNotExist returns the problem of a machine or project that is in the log but did not exist at in.At.
func (q *Queries) didNotExist(missing error, in WhyInput) error {
	var unknown error
	q.cfg.Engine.Read(func(v *projections.View) { _, unknown = in.projects(v) })
	if unknown != nil {
		return unknown
	}
	detail := strings.Replace(problem.Of(missing).Detail, "does not exist", "did not exist", 1)
	at := in.At
	if position, err := eventlog.ParsePosition(strings.TrimPrefix(at, "#")); err == nil {
		at = "#" + position.String()
	}
	return problem.NotFound("%s at %s", detail, at).
		WithHint("`drover events` shows when it was added; ask for a later time")
}

// parseMoment parses a position or a time. The result reports whether an event is at or before it.
func (q *Queries) parseMoment(ctx context.Context, text string) (func(eventlog.Recorded) bool, error) {
	text = strings.TrimPrefix(text, "#")
	if position, err := eventlog.ParsePosition(text); err == nil {
		if head, err := q.cfg.Log.Head(ctx); err != nil {
			return nil, err
		} else if position > head {
			return nil, problem.Invalid("position #%s is beyond the end of the log, #%s", position, head).
				WithHint("omit the position to ask about the current state")
		}
		return func(rec eventlog.Recorded) bool { return rec.Position <= position }, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, problem.Invalid("invalid position or time %.40q", text).
			WithHint("use a position such as 12, or a time such as 2026-01-31T09:00:00Z")
	}
	return func(rec eventlog.Recorded) bool { return !rec.Time.After(at) }, nil
}
