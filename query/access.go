package query

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// Accesses lists Access resources by name.
func (q *Queries) Accesses(ctx context.Context, f explain.Filter) (explain.List[explain.Access], error) {
	names := q.cfg.People.Names(ctx)
	return list(q, f, nil, ignoreAges(func(v *projections.View, f explain.Filter) explain.List[explain.Access] {
		return explain.Accesses(v, names, f)
	}))
}

// Access returns one Access.
func (q *Queries) Access(ctx context.Context, in Item) (explain.Access, error) {
	names := q.cfg.People.Names(ctx)
	return named(ctx, q, in, "access", "get access", func(v *projections.View, name string) (explain.Access, bool) {
		return explain.AccessOf(v, names, name)
	})
}

// MayInput is a question about permissions.
type MayInput struct {
	// Can is the verb.
	Can domain.Verb
	// Project and Environment limit the question; empty: in any.
	Project, Environment string
	// Who is the id or name of a token or of a person, or the name of a group; empty asks who may.
	Who string
	// At is a position or an RFC 3339 time in the past; empty means now.
	At string
}

// MayAnswers is the result of May.
type MayAnswers struct {
	Items []explain.May `json:"items"`
	// Notes are facts about the project and the environment, such as that one does not exist.
	Notes    []string `json:"notes"`
	Position string   `json:"position"`
}

// May answers who may do something, or whether somebody may, and because of what.
func (q *Queries) May(ctx context.Context, in MayInput) (MayAnswers, error) {
	if !slices.Contains(domain.Verbs(), in.Can) {
		return MayAnswers{}, problem.Invalid("unknown verb %.40q", in.Can).WithHint("use one of %s", verbNames())
	}
	names := q.cfg.People.Names(ctx)
	var answers MayAnswers
	answer := func(v *projections.View, now time.Time) {
		need := in.need()
		answers = MayAnswers{Items: explain.WhoMay(v, names, need, in.Who, now), Notes: explain.MayNotes(v, need),
			Position: v.Position.String()}
	}
	if in.At == "" {
		now, _ := q.cfg.Engine.CredibleTime()
		q.cfg.Engine.Read(func(v *projections.View) { answer(v, now) })
	} else {
		var at time.Time
		v, _, err := q.replay(ctx, func(now time.Time) (m engine.Moment, err error) {
			m, err = q.parseMoment(ctx, in.At, now)
			at = m.Time
			return m, err
		})
		if err != nil {
			return answers, err
		}
		if at.IsZero() {
			at = v.Time
		}
		answer(v, at)
	}
	if in.Who != "" && len(answers.Items) == 0 {
		return answers, problem.NotFound("no token has the id or name %.80q or belongs to such a person or group", in.Who).
			WithHint("`drover token list` lists tokens with their owners")
	}
	return answers, nil
}

// need returns what the caller asks about.
func (in *MayInput) need() domain.Need {
	n := in.Can.Anywhere()
	if in.Project != "" {
		n.Project = in.Project
	}
	if in.Environment != "" {
		n.Environment = in.Environment
	}
	return n
}

func verbNames() string {
	var all []string
	for _, verb := range domain.Verbs() {
		all = append(all, string(verb))
	}
	return strings.Join(all, ", ")
}
