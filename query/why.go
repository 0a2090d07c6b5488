package query

import (
	"context"
	"slices"
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
	// Sees is what the reader may see; nil means everything.
	Sees explain.Sees
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
			seen := explain.VisibleOf(v, in.Sees, past)
			answers.Items = append(answers.Items, in.limited(explain.WhyOf(v, age, project, in.Machine, seen, names)))
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
	v, age, err := q.replay(ctx, func(now time.Time) (engine.Moment, error) { return q.parseMoment(ctx, in.At, now) })
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
		seen := explain.VisibleOf(v, in.Sees, past)
		answers.Items = append(answers.Items, in.limited(explain.WhyOf(v, age, project, in.Machine, seen, names)))
	}
	return answers, nil
}

// limited leaves out what the reader must not see.
func (in WhyInput) limited(why explain.Why) explain.Why {
	explain.Limit(in.Sees, &why)
	return why
}

// projects returns the projects to explain. A name that the log has never had is a problem.
func (in WhyInput) projects(v *projections.View) ([]string, error) {
	if v.Revision(domain.MachineStream(in.Machine)) == eventlog.NoStream || !in.seesMachine(v, "") {
		return nil, problem.NotFound("machine %.80q does not exist",
			in.Machine).WithHint("`drover get machines` lists them")
	}
	if in.Project == "" {
		return slices.DeleteFunc(explain.ProjectsFor(v, in.Machine), func(project string) bool {
			return !in.seesMachine(v, project)
		}), nil
	}
	if v.Revision(domain.ProjectStream(in.Project)) == eventlog.NoStream || !in.seesMachine(v, in.Project) {
		return nil, problem.NotFound("project %.80q does not exist",
			in.Project).WithHint("`drover get projects` lists them")
	}
	return []string{in.Project}, nil
}

// seesMachine reports whether the reader may see the machine, and a project on it unless project is empty. Only a reader
// who may read everything sees machines that do not exist any more.
func (in WhyInput) seesMachine(v *projections.View, project string) bool {
	if in.Sees == nil {
		return true
	}
	m := v.Machines[in.Machine]
	return m != nil && in.Sees(project, m.Environment)
}

// didNotExist returns the problem of a machine or project that is in the log but did not exist at in.At.
func (q *Queries) didNotExist(missing error, in WhyInput) error {
	var unknown error
	q.cfg.Engine.Read(func(v *projections.View) { _, unknown = in.projects(v) })
	if unknown != nil {
		return unknown
	}
	return didNotExistAt(missing, in.At)
}

// aheadOfServer is how far a person's clock may be ahead of the server's when the person asks about the present.
const aheadOfServer = 5 * time.Second

// parseMoment parses a position or a time up to now, and finds its moment.
func (q *Queries) parseMoment(ctx context.Context, text string, now time.Time) (engine.Moment, error) {
	text = strings.TrimPrefix(text, "#")
	if position, err := eventlog.ParsePosition(text); err == nil {
		if head, err := q.cfg.Log.Head(ctx); err != nil {
			return engine.Moment{}, err
		} else if position > head {
			return engine.Moment{}, problem.Invalid("position #%s is beyond the end of the log, #%s", position, head).
				WithHint("omit the position to ask about the current state")
		}
		return engine.MomentOf(ctx, q.cfg.Log, position, now)
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return engine.Moment{}, problem.Invalid("invalid position or time %.40q", text).
			WithHint("use a position such as 12, or a time such as 2026-01-31T09:00:00Z")
	}
	if at.After(now.Add(aheadOfServer)) {
		return engine.Moment{}, problem.Invalid("%s is in the future: on this server it is %s", text,
			now.UTC().Format(time.RFC3339)).WithHint("omit the time to ask about the current state")
	}
	return engine.MomentAt(ctx, q.cfg.Log, at, now)
}
